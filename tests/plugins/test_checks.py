from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.model_files import Archive, ArchiveSource, HubSource, UrlSource, WeightFile
from open_speech.plugins.checks import backend_faults, model_faults
from tests.plugins.test_joining import MODEL, SPEAKS

FILE = WeightFile("a.onnx", "0" * 64, 1)
ARCHIVE = Archive("acme", "1.0", "acme.whl", "1" * 64)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "Acme"}, "`Acme` is not a valid name"),
        ({"name": "acme_tts"}, "`acme_tts` is not a valid name"),
        ({"name": "open-speech"}, "`open-speech` is not a valid name"),
        ({"task": Task.VAD}, "cannot do the task"),
        ({"target": "acme.runner.Acme"}, "`target` must be `module:Class`"),
        ({"offers": "acme"}, "`offers` must be `module:function`"),
        ({"extra": "acme"}, "use `install`"),
        ({"licence": ""}, "`licence` is missing"),
        ({"settings": ("acme_key",)}, "`settings` names no settings of Open Speech: acme_key"),
        ({"variables": ("TTS_ACME_KEY", "ACME_KEY")}, "OPENAUDIO_: TTS_ACME_KEY"),
        ({"variables": ("LLM_API_KEY",)}, "LLM_API_KEY"),
        ({"speed_range": (1.5, 2.0)}, "`speed_range` must contain 1.0"),
    ],
)
def test_what_is_wrong_with_a_backend_is_told(changed: dict[str, Any], told: str) -> None:
    (fault,) = backend_faults(replace(SPEAKS, **changed))
    assert told in fault


def test_a_right_backend_has_no_faults() -> None:
    assert list(backend_faults(replace(SPEAKS, variables=("ACME_KEY",), settings=("os_offline",), programs=("acme",)))) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"id": "acme/../ann"}, "an id has letters"),
        ({"id": "/acme"}, "an id has letters"),
        ({"id": "acme ann"}, "an id has letters"),
        ({"backend": "kokoro"}, "it must have the backend `acme`"),
        ({"task": Task.STT}, "and the task `text-to-speech`"),
        ({"licence": ""}, "`licence` is missing"),
        ({"languages": (), "voices": (), "default_voice": ""}, "`languages` is missing"),
        ({"description": ""}, "`description` is missing"),
        ({"sample_rate": None}, "`sample_rate` is missing"),
        ({"default_voice": "bob"}, "`default_voice` must be one of its voices, not `bob`"),
        ({"voices": (Voice("ann", "de-DE"),)}, "`languages` lacks languages of its voices: de"),
        ({"files": (FILE,)}, "no source has the files a.onnx"),
        ({"files": (replace(FILE, sha256="abc"),), "sources": (HubSource("a/b"),)}, "`abc` is not a SHA-256"),
        ({"sources": (HubSource("a/b", paths={"b.onnx": "c"}),)}, "a source has files that the model does not list: b.onnx"),
        ({"files": (FILE,), "sources": (UrlSource({"a.onnx": "http://x"}),)}, "a URL must begin with https://"),
        ({"files": (FILE,), "sources": (ArchiveSource((ARCHIVE,), {"a.onnx": ((1, "a"),)}),)}, "`members` must use each archive"),
    ],
)
def test_what_is_wrong_with_a_model_is_told(changed: dict[str, Any], told: str) -> None:
    assert any(told in fault for fault in model_faults(replace(MODEL, **changed), SPEAKS))


def test_a_model_that_listens_has_no_voices() -> None:
    listens = replace(SPEAKS, task=Task.STT)
    row = ModelEntry("acme/listen", "acme", Task.STT, "MIT", ("en",), "It listens.")
    assert list(model_faults(row, listens)) == []
    assert list(model_faults(replace(row, sample_rate=16_000), listens)) == ["only a model that speaks has a `sample_rate` and voices"]
