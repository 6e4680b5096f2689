from __future__ import annotations

import pytest
from wyoming.tts import SynthesizeVoice

from open_speech.api.wyoming.info import Offer, VoiceChoice
from open_speech.api.wyoming.names import model_names, shared_voices
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.registry import Defaults, Registry
from open_speech.voices import Presets, VoiceResolver

BACKENDS = (
    BackendEntry("ear", Task.STT, "x:X", (), "", "MIT"),
    BackendEntry("far", Task.STT, "x:X", (), "", "MIT", prefix="far/"),
    BackendEntry("other", Task.STT, "x:X", (), "", "MIT", prefix="other/"),
    BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", prefix="far/"),
)
OWN = ModelEntry("small", "ear", Task.STT, "MIT", ("en",))


def far(name: str, backend: str = "far") -> ModelEntry:
    return ModelEntry(f"{backend}/{name.rpartition('/')[2]}", backend, Task.STT, "MIT", (), peer_name=name)


def speaking(name: str, *voices: str) -> ModelEntry:
    return ModelEntry(f"far/{name}", "mouth", Task.TTS, "MIT", (), voices=tuple(Voice(each, "en") for each in voices), peer_name=name)


def registry(*models: ModelEntry, stt_model: str = "gone") -> Registry:
    return Registry(BACKENDS, models, {entry.name: "process" for entry in BACKENDS}, Defaults(stt_model, "far/tts-1", ""))


def offer(*models: ModelEntry, stt_model: str = "gone", streaming: str = "") -> Offer:
    resolver = VoiceResolver(registry(*models, stt_model=stt_model), Presets())
    return Offer(resolver, is_here=lambda entry: True, streams=lambda entry: entry.peer_name == streaming)


def names(*models: ModelEntry, stt_model: str = "gone") -> dict[str, str]:
    return model_names(registry(*models, stt_model=stt_model), models)


def test_a_model_of_another_server_has_its_name_there() -> None:
    assert names(far("whisper-1"), far("org/deep/model")) == {"far/whisper-1": "whisper-1", "far/model": "org/deep/model"}


def test_a_server_that_has_not_told_its_name_for_a_model_is_asked_by_the_id() -> None:
    assert names(ModelEntry("far/new", "far", Task.STT, "MIT", ())) == {"far/new": "new"}


def test_a_name_of_this_servers_own_models_stays_theirs() -> None:
    assert names(OWN, far("small"), far("large")) == {"small": "small", "far/small": "far/small", "far/large": "large"}
    assert names(OWN, far("whisper-1"), stt_model="small") == {"small": "small", "far/whisper-1": "far/whisper-1"}


def test_an_alias_of_another_servers_model_takes_no_name_from_its_neighbour() -> None:
    models = (far("gpt-4o-transcribe"), far("whisper-1"))
    assert offer(*models, stt_model="far/gpt-4o-transcribe").model("whisper-1").id == "far/whisper-1"


def test_a_name_that_two_servers_have_is_listed_with_each_ones_prefix() -> None:
    assert names(far("base"), far("base", "other")) == {"far/base": "far/base", "other/base": "other/base"}


def test_a_model_is_found_by_its_listed_name_and_by_its_id() -> None:
    served = offer(OWN, far("whisper-1"))
    assert [served.model(name).id for name in ("whisper-1", "far/whisper-1", "small")] == ["far/whisper-1", "far/whisper-1", "small"]


@pytest.mark.parametrize(
    ("program", "streaming", "model"),
    [
        ("openai", "two", "far/one"), ("openai-streaming", "two", "far/two"), ("openai", "", "far/one"),
        ("openai-streaming", "", "far/one"),
    ],
)  # fmt: skip
def test_the_programs_of_wyoming_openai_can_be_selected(program: str, streaming: str, model: str) -> None:
    assert offer(far("one"), far("two"), streaming=streaming).model(program).id == model


def test_voices_that_several_models_have_say_which_model_speaks() -> None:
    models = (speaking("tts-1", "alloy", "echo"), speaking("tts-1-hd", "alloy"))
    assert shared_voices(registry(*models), models) == {"alloy"}
    listed = offer(*models).info().tts[0].voices
    assert [voice.name for voice in listed] == ["alloy (tts-1)", "echo", "alloy (tts-1-hd)"]
    assert [voice.description for voice in listed] == ["alloy (tts-1)", "echo (mouth)", "alloy (tts-1-hd)"]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("alloy (tts-1-hd)", ("far/tts-1-hd", "alloy")), ("far/tts-1-hd/alloy", ("far/tts-1-hd", "alloy")),
        ("echo (tts-1)", ("far/tts-1", "echo")), ("alloy", ("far/tts-1", "alloy")),
    ],
)  # fmt: skip
def test_a_voice_is_found_by_the_name_of_either_server(name: str, chosen: tuple[str, str]) -> None:
    served = offer(speaking("tts-1", "alloy", "echo"), speaking("tts-1-hd", "alloy"))
    assert served.voice(SynthesizeVoice(name)) == VoiceChoice(*chosen)


def test_a_model_without_voices_is_a_voice_of_its_name() -> None:
    served = offer(speaking("en-us-amy.onnx"))
    assert "en-us-amy.onnx" in [voice.name for voice in served.info().tts[0].voices]
    assert served.voice(SynthesizeVoice("en-us-amy.onnx")) == VoiceChoice("far/en-us-amy.onnx")
