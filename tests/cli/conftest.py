from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from open_speech.cli import main
from open_speech.config import PREFIXES

Run = Callable[..., Result]


@pytest.fixture
def tones(tmp_path: Path) -> dict[str, str | None]:
    """The environment of a machine with the weightless backends only; None takes a variable away."""
    cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith(PREFIXES)}
    return cleared | {
        "STT_BACKENDS": "tones-stt",
        "TTS_BACKENDS": "tones-tts",
        "STT_MODEL": "tones/listen",
        "TTS_MODEL": "tones/speak",
        "OS_MODELS_DIR": str(tmp_path / "models"),
        "OS_OFFLINE": "1",
    }


@pytest.fixture
def run(tones: dict[str, str | None]) -> Run:
    """Run a command line as in a pipe; keyword arguments are environment variables."""

    def invoke(*arguments: str, stdin: str | bytes | None = None, **environ: Any) -> Result:
        return CliRunner().invoke(main, list(arguments), input=stdin, env=tones | environ)

    return invoke
