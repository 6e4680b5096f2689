"""The curl lines of GemmaVoice's README, as a shell runs them, with the address of a server of the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from open_speech.app import create_app
from open_speech.codecs import decode
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.contract.conftest import serving
from tests.waiting import PATIENCE_S

__all__ = ["serving"]
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
TEXT = "Today is a wonderful day to build something people love!"


@pytest.fixture
def url(serving: Any, tones_settings: Settings) -> Iterator[str]:
    with serving(create_app(tones_settings, local_engine(tones_settings))) as url:
        yield url


def run(folder: Path, url: str, line: str) -> str:
    """Run a line of the README in a folder."""
    command = line.replace("http://localhost:6666", url)
    shell = ["bash", "-ec", command]
    environ = {**os.environ, "OPENAI_API_KEY": "YOUR_KEY"}
    shown = subprocess.run(shell, cwd=folder, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_the_lines_of_the_readme_run_as_they_are(url: str, tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, url, "curl http://localhost:6666/health"))["status"] == "ok"
    answer = run(
        tmp_path, url,
        """curl -X POST "http://localhost:6666/v1/text-to-speech" \\
     -H "Content-Type: application/json" \\
     -d '{
       "text": "Today is a wonderful day to build something people love!",
       "format": "wav",
       "reference_id": "default"
     }'""",
    )  # fmt: skip
    encoded = json.loads(answer)["audio_base64"]
    (tmp_path / "base64").write_text(encoded)
    run(tmp_path, url, "base64 --decode base64 > sample.wav")
    heard = run(
        tmp_path, url,
        """curl -X POST "http://localhost:6666/v1/speech-to-text" \\
     -H "Authorization: Bearer $OPENAI_API_KEY" \\
     -F "file=@sample.wav" \\
     -F "language=en\"""",
    )  # fmt: skip
    assert json.loads(heard)["text"] == TEXT
    run(
        tmp_path, url,
        """curl -X POST "http://localhost:6666/v1/text-to-speech" \\
     -H "Content-Type: application/json" \\
     -d '{
       "text": "Welcome to the OpenAudio powered API!",
       "stream": true,
       "format": "wav"
     }' --output speech.wav""",
    )  # fmt: skip
    assert decode(tmp_path / "speech.wav", 16_000, max_seconds=60).seconds > 0.5
