"""examples/backend-espeak is found by its entry point, passes its own tests, and speaks through the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin_packages import ESPEAK, copy_example, needs_espeak, python

pytestmark = needs_espeak

SETTINGS = {
    "STT_BACKENDS": "tones-stt", "STT_MODEL": "tones/listen", "TTS_BACKENDS": "espeak", "TTS_MODEL": "espeak-ng",
    "STT_VAD_ENABLED": "false",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the example."""
    copy_example(tmp_path / "packages")
    return tmp_path / "packages"


def test_its_own_tests_pass_with_the_kit(folder: Path) -> None:
    done = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ESPEAK / "tests"))
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout


def test_the_command_line_speaks_with_it(folder: Path, tmp_path: Path) -> None:
    for placement in ("espeak", "espeak@inproc"):
        path = tmp_path / f"{placement}.wav"
        done = python(folder, "-m", "open_speech.cli", "speak", "Hello there.", "-o", str(path), **SETTINGS | {"TTS_BACKENDS": placement})
        assert done.returncode == 0, done.stderr
        assert path.stat().st_size > 20_000


def test_the_lists_of_the_command_line_have_it(folder: Path) -> None:
    listed = python(folder, "-m", "open_speech.cli", "models", "list", **SETTINGS).stdout
    assert "espeak-ng\ttext-to-speech\tespeak\t\tnone needed\tGPL-3.0-or-later" in listed.splitlines()
    shown = python(folder, "-m", "open_speech.cli", "models", "show", "espeak-ng", **SETTINGS).stdout
    assert "backend installed\tyes" in shown


def test_without_the_program_it_is_not_installed(folder: Path) -> None:
    done = python(folder, "-m", "open_speech.cli", "doctor", PATH="/nowhere", **SETTINGS | {"TTS_BACKENDS": "tones-tts,espeak"})
    assert "warning\tbackend espeak\tnot installed: apt-get install espeak-ng" in done.stdout.splitlines()
