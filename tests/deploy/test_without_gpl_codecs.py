"""The script that takes x264 and x265 out of an installed PyAV."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

SCRIPT = Path(__file__).parents[2] / "deploy" / "without_gpl_codecs.py"
SITE = Path(str(importlib.metadata.distribution("av").locate_file("")))
USE = """
import io, sys
from fractions import Fraction
import av
from open_speech.audio import Audio
from open_speech.codecs import decode, encoder
import numpy as np
assert av.__file__.startswith(sys.argv[1]), av.__file__
tone = Audio(np.sin(np.arange(48_000) / 20).astype(np.float32), 48_000)
for form in ("mp3", "aac", "opus", "flac"):
    writer = encoder(form, 48_000)
    print(form, round(decode(writer.encode(tone) + writer.finish(), 48_000, max_seconds=9).seconds))
for name in ("libx264", "libx265"):
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 64, "yuv420p", Fraction(1, 25)
    try:
        encoder.open()
        print(name, "opened")
    except av.error.FFmpegError:
        print(name, "cannot be opened")
"""

IS_POSSIBLE = bool(shutil.which("cc") and shutil.which("nm") and list(SITE.glob("av.libs/libx26*")))
pytestmark = pytest.mark.skipif(not IS_POSSIBLE, reason="needs a C compiler, nm, and PyAV's wheel")


def test_without_them_audio_is_read_and_written_and_video_is_not(tmp_path: Path) -> None:
    for folder in ("av", "av.libs"):
        shutil.copytree(SITE / folder, tmp_path / folder, copy_function=shutil.copyfile)
    done = run([str(SCRIPT), str(tmp_path)], os.environ["PATH"], tmp_path)
    assert done.stdout.startswith("replaced libx264-")
    assert sum(path.stat().st_size for path in tmp_path.glob("av.libs/libx26*")) < 100_000
    used = run(["-W", "ignore", "-c", USE, str(tmp_path)], os.environ["PATH"], tmp_path)
    expected = ["mp3 1", "aac 1", "opus 1", "flac 1", "libx264 cannot be opened", "libx265 cannot be opened"]
    assert used.stdout.splitlines() == expected, used.stderr


def run(arguments: list[str], path: str, first: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the modules of a folder before all others."""
    folders = os.pathsep.join([str(first), str(Path(__file__).parents[2])])
    environ = {"PYTHONPATH": folders, "PATH": path}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
