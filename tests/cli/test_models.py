from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech.model_files import WeightFile
from open_speech.weights.manifest import Manifest
from runners import catalog

Run = Callable[..., Any]


def test_the_list_has_a_line_of_tabs_for_every_model_of_the_catalog(run: Run) -> None:
    result = run("models", "list")
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == [*(model.id for model in catalog.models()), "smart-turn-v3.2"]
    assert {len(row) for row in rows} == {6}
    kokoro = next(row for row in rows if row[0] == "kokoro")
    assert kokoro[1:] == ["text-to-speech", "kokoro", "120.6 MB", "not downloaded", "Apache-2.0"]


def test_nothing_is_here_on_a_fresh_machine(run: Run) -> None:
    assert run("models", "list", "--here").stdout == ""


def test_show_tells_what_a_model_can_do(run: Run) -> None:
    result = run("models", "show", "tones/speak")
    shown = dict(line.split("\t") for line in result.stdout.splitlines())
    assert shown["task"] == "text-to-speech"
    assert shown["voices"] == "tone"
    assert shown["sample rate"] == "24000 Hz"
    assert shown["weights"] == "none needed"


def test_the_turn_detector_is_a_model_of_the_command_line(run: Run) -> None:
    shown = dict(line.split("\t") for line in run("models", "show", "smart-turn-v3.2").stdout.splitlines())
    assert (shown["task"], shown["size"], shown["licence"]) == ("turn-detection", "8.7 MB", "BSD-2-Clause")
    assert "smart-turn-v3.2-cpu.onnx" in run("models", "pull", "smart-turn-v3.2").stderr
    assert "are not downloaded" in run("models", "rm", "smart-turn-v3.2").stderr


def test_a_model_in_parts_is_here_when_all_of_them_are(run: Run) -> None:
    shown = dict(line.split("\t") for line in run("models", "show", "qwen3-tts-0.6b").stdout.splitlines())
    assert shown["weights"] == "not downloaded"
    assert shown["in parts"] == "Qwen/Qwen3-TTS-12Hz-0.6B-CustomVoice Qwen/Qwen3-TTS-12Hz-0.6B-Base"
    assert "size" not in shown
    assert "config.json" in run("models", "pull", "qwen3-tts-0.6b").stderr
    assert run("models", "rm", "qwen3-tts-0.6b").stderr == "Error: model: The weights of `qwen3-tts-0.6b` are not downloaded.\n"


def test_an_alias_of_openai_shows_the_model_behind_it(run: Run) -> None:
    assert "id\ttones/listen\n" in run("models", "show", "whisper-1").stdout


@pytest.mark.parametrize("verb", ["show", "pull", "rm"])
def test_an_unknown_model_fails_and_names_the_field(run: Run, verb: str) -> None:
    result = run("models", verb, "kokorro")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: model: The model `kokorro` does not exist")
    assert "Did you mean `kokoro`?" in result.stderr


def test_rm_of_what_is_not_here_fails(run: Run) -> None:
    result = run("models", "rm", "kokoro")
    assert result.exit_code == 1
    assert result.stderr == "Error: model: The weights of `kokoro` are not downloaded.\n"


def test_pull_offline_fails_and_says_what_is_missing(run: Run) -> None:
    result = run("models", "pull", "piper/en_US-joe-medium")
    assert result.exit_code == 1
    assert "en_US-joe-medium.onnx" in result.stderr


def test_pull_without_names_brings_what_the_settings_need(run: Run) -> None:
    result = run("models", "pull", OS_TURN_DETECTOR="timer")
    assert result.exit_code == 0
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["tones/listen", "tones/speak"]
    assert "smart-turn-v3.2-cpu.onnx" in run("models", "pull").stderr


def test_a_default_model_that_does_not_exist_is_a_wrong_setting(run: Run) -> None:
    result = run("models", "pull", STT_MODEL="nonsense")
    assert result.exit_code == 2
    assert "STT_MODEL: The model `nonsense` does not exist" in result.stderr


@pytest.fixture
def own_whisper(tmp_path: Path) -> str:
    """A model that nobody has listed, put into the models folder by hand."""
    folder = tmp_path / "models/me/my-whisper"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(hashlib.sha256(b"weights").digest())
    (folder / "config.json").write_text(json.dumps({}))
    (folder / "tokenizer.json").write_text(json.dumps({}))
    return "me/my-whisper"


def test_a_folder_put_there_by_hand_is_adopted_listed_and_removed(run: Run, own_whisper: str, tmp_path: Path) -> None:
    pulled = run("models", "pull", own_whisper)
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stdout == f"{own_whisper}\t{tmp_path / 'models' / own_whisper}\n"
    assert f"{own_whisper}: ready" in pulled.stderr
    assert run("models", "list", "--here").stdout.split("\t")[0] == own_whisper
    assert run("models", "rm", own_whisper).exit_code == 0
    assert run("models", "list", "--here").stdout == ""
    assert not (tmp_path / "models" / own_whisper).exists()


def test_a_model_on_disk_that_the_catalog_does_not_know_is_listed(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "gone-with-its-package"
    folder.mkdir(parents=True)
    (folder / "voice.onnx").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    Manifest("gone-with-its-package", (WeightFile("voice.onnx", digest, 3),), complete=True).write(folder)
    listed = run("models", "list")
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.splitlines()[-1].split("\t") == ["gone-with-its-package", "-", "-", "0.0 MB", "downloaded", "-"]
