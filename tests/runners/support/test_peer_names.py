"""Other people's names of models become ids, and are found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.backends import ModelEntry, Task
from open_speech.weights import Store
from runners.support.peer_names import id_of, name_of, voice_of


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("whisper-1", "upstream/whisper-1"),
        ("Systran/faster-whisper-base", "upstream/Systran/faster-whisper-base"),
        ("whisper:latest", "upstream/whisper-latest"),
        ("/data/models/base-int8", "upstream/models/base-int8"),
        ("../../etc", "upstream/etc"),
        ("my voice (new)", "upstream/my-voice-new-"),
    ],
)
def test_an_id_is_one_that_can_be_asked_for_and_leads_back_to_the_name(name: str, model_id: str, tmp_path: Path) -> None:
    assert id_of("upstream/", name) == model_id
    assert name_of("upstream/", model_id, ["another", name]) == name
    entry = ModelEntry(model_id, "upstream", Task.STT, "MIT", ())
    assert Store(tmp_path).folder(entry).is_relative_to(tmp_path)


def test_a_name_that_is_not_known_is_what_the_id_says() -> None:
    assert name_of("upstream/", "upstream/a/b", []) == "a/b"


@pytest.mark.parametrize(
    ("name", "known", "voice"),
    [
        ("alloy", ["joe", "amy"], "joe"),
        ("alloy", ["joe", "alloy"], "alloy"),
        ("alloy", [], "alloy"),
        ("nobody", ["joe"], "nobody"),
    ],
)
def test_a_voice_of_openais_is_the_first_of_a_server_that_has_it_not(name: str, known: list[str], voice: str) -> None:
    assert voice_of(name, known) == voice
