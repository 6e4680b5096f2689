from __future__ import annotations

from importlib.util import find_spec

import pytest

from open_speech.cli._weights import needed
from open_speech.config import Settings, SettingsError
from runners import catalog
from runners.wiring.factories import CPU_MODEL

TONES = Settings(
    os_turn_detector="timer", stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak"
)


def chosen(**changes: object) -> list[str]:
    return [model.id for model in needed(TONES.model_copy(update=changes))]


def test_the_default_models_are_needed() -> None:
    assert chosen() == ["tones/listen", "tones/speak"]


def test_the_turn_detector_is_needed_unless_there_is_another() -> None:
    assert chosen(os_turn_detector="auto")[2:] == ["smart-turn-v3.2"]
    assert chosen(os_turn_detector="smart-turn")[2:] == ["smart-turn-v3.2"]
    assert chosen(os_turn_detector="mine")[2:] == []


def test_a_backend_that_no_default_belongs_to_gets_its_first_model() -> None:
    first = next(model.id for model in catalog.models() if model.backend == "piper")
    assert chosen(tts_backends=("tones-tts", "piper")) == ["tones/listen", "tones/speak", first]


def test_models_to_preload_are_needed_once() -> None:
    assert chosen(tts_preload_models=("tones/speak",)) == ["tones/listen", "tones/speak"]


def test_a_backend_on_another_machine_needs_nothing_here() -> None:
    assert chosen(tts_backends=("tones-tts@http://gpu-box:3000",)) == ["tones/listen"]


def test_without_speech_synthesis_no_voice_is_needed() -> None:
    assert chosen(tts_enabled=False) == ["tones/listen"]


def test_the_automatic_recogniser_on_a_cpu_is_the_small_one() -> None:
    assert chosen(stt_backends=("faster-whisper",), stt_model="auto", stt_device="cpu") == [CPU_MODEL, "tones/speak"]


def test_a_hub_repository_that_the_catalog_does_not_list_may_be_the_default() -> None:
    assert chosen(stt_backends=("faster-whisper",), stt_model="me/my-whisper") == ["me/my-whisper", "tones/speak"]


def test_a_language_model_is_needed_only_if_it_is_named_and_runs_here() -> None:
    assert chosen(llm_model="gemma-3-270m")[2:] == (["gemma-3-270m"] if find_spec("xllamacpp") else [])
    assert chosen(llm_model="/models/mine.gguf") == ["tones/listen", "tones/speak"]
    assert chosen(llm_model="small", llm_base_url="http://127.0.0.1:9/v1") == ["tones/listen", "tones/speak"]


@pytest.mark.parametrize(
    ("variable", "changes"),
    [
        ("STT_MODEL", {"stt_model": "nonsense"}),
        ("TTS_MODEL", {"tts_model": "nonsense"}),
        ("LLM_MODEL", {"llm_model": "nonsense"}),
        ("TTS_PRELOAD_MODELS", {"tts_preload_models": ("nonsense",)}),
    ],
)
def test_a_model_that_does_not_exist_is_a_wrong_setting(variable: str, changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: The model `nonsense` does not exist"):
        chosen(**changes)
