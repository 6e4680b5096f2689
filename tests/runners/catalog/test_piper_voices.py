"""The table of Piper's voices has what the public list has, which the package wyoming-piper contains."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from open_speech.backends import ModelEntry, Task
from open_speech.registry import Defaults, Registry
from runners.catalog import BACKENDS, own_models, piper_voices

BY_KEY = {model.aliases[1]: model for model in piper_voices.rows()}
SPOKEN = (
    "ar bg bn ca cs cy da de el en es et eu fa fi fr he hi hu hy id is it ja ka kk ko ku lb lv ml mr ne nl no pl pt ro ru sk sl sq sr"
    " sv sw te th tr uk ur vi zh"
).split()


@pytest.fixture(scope="module")
def public_list() -> dict[str, Any]:
    """The list of the package; its newer versions may have more voices than the table."""
    package = find_spec("wyoming_piper")
    assert package is not None and package.origin is not None
    listed: dict[str, Any] = json.loads((Path(package.origin).parent / "voices.json").read_text(encoding="utf-8"))
    return listed


def test_every_voice_of_the_list_is_a_row_with_its_files(public_list: dict[str, Any]) -> None:
    assert len(BY_KEY) == 176
    assert BY_KEY.keys() <= public_list.keys()
    for key, model in BY_KEY.items():
        listed = public_list[key]
        (source,) = model.sources
        files = {source.paths[file.path]: {"size_bytes": file.size, "md5_digest": file.md5} for file in model.files}  # type: ignore[union-attr]
        assert files == {path: facts for path, facts in listed["files"].items() if ".onnx" in path}
        assert list(model.voices[0].speakers) == sorted(listed["speaker_id_map"], key=listed["speaker_id_map"].__getitem__)
        assert (model.voices[0].language.replace("-", "_"), model.languages) == (
            listed["language"]["code"],
            (listed["language"]["family"],),
        )
        assert set(listed["aliases"]) <= set(model.aliases)


def test_no_language_of_the_list_is_missing(public_list: dict[str, Any]) -> None:
    assert sorted({language for model in own_models() if model.backend == "piper" for language in model.languages}) == SPOKEN
    assert {voice["language"]["family"] for voice in public_list.values()} <= set(SPOKEN)


def test_a_row_with_more_facts_replaces_that_of_the_table() -> None:
    (joe,) = [model for model in own_models() if model.id == "piper/en_US-joe-medium"]
    assert all(file.sha256 for file in joe.files) and joe != BY_KEY["en_US-joe-medium"]
    assert [file.size for file in joe.files] == [file.size for file in BY_KEY["en_US-joe-medium"].files]


def found(name: str, voice: str | None = None) -> ModelEntry:
    registry = Registry(BACKENDS, own_models(), {"piper": "process", "kokoro": "process"}, Defaults("", "kokoro", "af_heart"))
    return registry.speaker(name, voice)


@pytest.mark.parametrize("name", ["piper/{}", "piper%2F{}", "{}", "speaches-ai/piper-{}"])
@pytest.mark.parametrize("key", ["de_DE-thorsten-medium", "sw_CD-lanfrica-medium", "pt_PT-tugão-medium"])
def test_a_voice_is_found_by_every_name_of_it(name: str, key: str) -> None:
    shown = piper_voices.ascii_key(key) if "/{}" in name or "%2F" in name else key
    assert found(name.format(shown)).id == f"piper/{piper_voices.ascii_key(key)}"


def test_a_voice_alone_selects_its_model() -> None:
    assert found("tts-1", "de_DE-thorsten_emotional-medium#whisper").id == "piper/de_DE-thorsten_emotional-medium"
    assert found("tts-1", "fr_FR-upmc-medium").task is Task.TTS


def test_the_rate_follows_from_the_quality() -> None:
    rates = {key.rpartition("-")[2]: model.sample_rate for key, model in BY_KEY.items()}
    assert rates == {"x_low": 16_000, "low": 16_000, "medium": 22_050, "high": 22_050}
