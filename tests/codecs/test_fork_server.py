"""The process of each file: how it is confined, and that every format is decoded in it."""

from __future__ import annotations

import fcntl
import os
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from open_speech.audio import Audio
from open_speech.codecs import blocks, decode, isolation
from open_speech.codecs import isolated as module
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks as blocks_here
from open_speech.codecs.isolated import ForkServer

RATE = 16_000
FORMATS = [
    ("flac", "flac", 44_100), ("ipod", "aac", 44_100), ("mp3", "libmp3lame", 22_050), ("mp4", "aac", 48_000), ("mpeg", "mp2", 44_100),
    ("mpeg", "ac3", 48_000), ("matroska", "eac3", 48_000), ("ogg", "libopus", 48_000), ("wav", "pcm_s24le", 48_000),
    ("wav", "pcm_f32le", 48_000), ("wav", "pcm_u8", 8_000),
    ("wav", "pcm_mulaw", 8_000), ("wav", "adpcm_ms", 22_050), ("wav", "adpcm_ima_wav", 22_050), ("webm", "libopus", 48_000),
    ("adts", "aac", 24_000), ("mpegts", "aac", 44_100), ("mov", "alac", 44_100), ("matroska", "pcm_f32le", 96_000),
    ("aiff", "pcm_s16be", 44_100), ("caf", "pcm_s16be", 44_100), ("au", "pcm_s16be", 16_000), ("w64", "pcm_s16le", 44_100),
    ("avi", "pcm_s16le", 44_100), ("asf", "libmp3lame", 44_100),
    ("flv", "adpcm_swf", 44_100), ("tta", "tta", 44_100), ("wv", "wavpack", 44_100),
]  # fmt: skip
Media = Callable[..., bytes]


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with isolation(memory_mb=256, quiet_s=20) as fork_server:
        yield fork_server


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS, ids=[" in ".join(reversed(names)) for *names, _ in FORMATS])
def test_every_format_is_decoded_in_the_sandbox_as_it_is_without(
    fork_server: ForkServer, media: Media, tone: Callable[..., Audio], container: str, codec: str, rate: int
) -> None:
    file = media(container, codec, tone(1.0, rate).samples[np.newaxis], rate)
    expected = collect(blocks_here(file, RATE, max_seconds=9), RATE)
    assert expected.seconds == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(decode(file, RATE, max_seconds=9).samples, expected.samples)


def test_a_file_on_disk_is_read_by_its_descriptor_alone(
    fork_server: ForkServer, media: Media, tone: Callable[..., Audio], tmp_path: Path
) -> None:
    file = tmp_path / "private" / "upload"
    file.parent.mkdir(mode=0o700)
    file.write_bytes(media("flac", "flac", tone(1.0, RATE).samples[np.newaxis], RATE))
    file.chmod(0o400)
    assert decode(file, RATE, max_seconds=9).seconds == 1


def children() -> list[psutil.Process]:
    """The processes that decode, or wait for a file: children of the fork server."""
    ours = psutil.Process().children(recursive=True)
    named = [process for process in ours if any("codecs.fork_server" in word for word in process.cmdline())]
    return [process for process in named if process.ppid() != os.getpid()]


@pytest.mark.skipif(platform.system() != "Linux", reason="the sandbox is Linux's")
def test_each_process_with_a_file_is_confined(fork_server: ForkServer, media: Media, tone: Callable[..., Audio]) -> None:
    reported = fork_server.in_force()
    assert reported.no_new_privs
    assert reported.no_capabilities
    assert reported.not_dumpable
    sound = blocks(media("flac", "flac", tone(300.0, RATE).samples[np.newaxis], RATE), RATE, max_seconds=999)
    next(sound)
    (decoding, *_) = sorted(children(), key=lambda process: process.create_time())
    lines = Path(f"/proc/{decoding.pid}/status").read_text(encoding="ascii").splitlines()
    status = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["Seccomp"] == ("2" if reported.seccomp else "0")
    assert decoding.rlimit(psutil.RLIMIT_CPU) == (999 + 20 + 1,) * 2
    assert decoding.rlimit(psutil.RLIMIT_FSIZE) == decoding.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert decoding.rlimit(psutil.RLIMIT_NOFILE) == (16, 16)
    if os.getuid() != 0:
        with pytest.raises(PermissionError):
            os.listdir(f"/proc/{decoding.pid}/fd")
    sound.close()  # type: ignore[attr-defined]


def test_a_file_in_memory_cannot_be_changed_by_who_gets_it() -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    with module._file_of(b"sound") as file:
        for change in (lambda: os.pwrite(file.fileno(), b"x", 0), lambda: os.ftruncate(file.fileno(), 0)):
            with pytest.raises(PermissionError):
                change()
        with pytest.raises(PermissionError):
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        assert file.read() == b"sound"


def test_the_fork_server_is_started_without_the_environment_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "environment"
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\nenv > {seen}\n", encoding="ascii")
    interpreter.chmod(stat.S_IRWXU)
    monkeypatch.setenv("OS_API_KEY", "sesame")
    monkeypatch.setattr(sys, "executable", str(interpreter))
    fork_server = ForkServer(memory_mb=64, quiet_s=1)
    fork_server.start()
    assert fork_server._finalizer is not None
    process = fork_server._finalizer.peek()[2][0]  # type: ignore[index]
    process.wait(30)
    monkeypatch.undo()
    fork_server.close()
    names = {line.partition("=")[0] for line in seen.read_text(encoding="utf-8").splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PYTHONPATH", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}
