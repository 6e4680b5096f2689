"""Names and aliases resolve to catalog entries, or say what is wrong."""

from __future__ import annotations

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.errors import NotInstalled, UnknownModel, UnknownVoice, WrongTask
from open_speech.registry import OPENAI_STT, OPENAI_TTS, OPENAI_VOICES, Defaults, Registry
from open_speech.sources import HubSource

BACKENDS = (
    BackendEntry("ears", Task.STT, "m:C", (), "ears", "MIT", open_ended=True),
    BackendEntry("mouth", Task.TTS, "m:C", (), "mouth", "MIT", openai_voices={"alloy": "ann", "nova": "bea"}),
    BackendEntry("other", Task.TTS, "m:C", (), "other-extra", "MIT"),
)
MODELS = (
    ModelEntry("acme/listen", "ears", Task.STT, "MIT", ("en",)),
    ModelEntry("speak", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en-US"), Voice("bea", "en-GB")), default_voice="ann"),
    ModelEntry("elsewhere", "other", Task.TTS, "MIT", ("en",), voices=(Voice("cid", "en"),), default_voice="cid"),
)


@pytest.fixture
def registry() -> Registry:
    return Registry(BACKENDS, MODELS, {"ears": "process", "mouth": "inproc"}, Defaults("acme/listen", "speak", "bea"))


@pytest.mark.parametrize("name", OPENAI_STT)
def test_openais_listening_names_are_the_default_model(registry: Registry, name: str) -> None:
    assert registry.find(name, Task.STT).id == "acme/listen"
    assert registry.aliases[name] == "acme/listen"


@pytest.mark.parametrize("name", OPENAI_TTS)
def test_openais_speaking_names_are_the_default_model(registry: Registry, name: str) -> None:
    assert registry.find(name, Task.TTS).id == "speak"


def test_a_model_of_the_other_task_is_named_as_such(registry: Registry) -> None:
    with pytest.raises(WrongTask, match="speak") as raised:
        registry.find("speak", Task.STT)
    assert raised.value.param == "model"
    assert registry.find("speak").task is Task.TTS


def test_an_unknown_model_suggests_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownModel, match="`speak`") as raised:
        registry.find("speack")
    assert raised.value.param == "model"


def test_a_model_of_a_backend_that_is_not_served_names_the_extra_and_the_setting(registry: Registry) -> None:
    with pytest.raises(NotInstalled, match=r"open-speech\[other-extra\].*TTS_BACKENDS"):
        registry.find("elsewhere")


def test_a_hub_id_goes_to_the_open_ended_backend(registry: Registry) -> None:
    entry = registry.find("Somebody/whisper-ct2.v1", Task.STT)
    assert (entry.id, entry.backend, entry.sources) == ("Somebody/whisper-ct2.v1", "ears", (HubSource("Somebody/whisper-ct2.v1"),))


@pytest.mark.parametrize("name", ["../x", "a/../b", "a/b/c", "/a", "a/", "a b/c", "a/b\n", "ü/b", ".a/b", "a/..", "https://x/y"])
def test_what_is_no_hub_id_is_unknown(registry: Registry, name: str) -> None:
    with pytest.raises(UnknownModel):
        registry.find(name)


def test_a_hub_id_is_unknown_when_no_served_backend_takes_such() -> None:
    registry = Registry(BACKENDS, MODELS, {"mouth": "inproc"}, Defaults("acme/listen", "speak", "bea"))
    with pytest.raises(UnknownModel):
        registry.find("Somebody/whisper")


def test_only_what_is_served_is_listed(registry: Registry) -> None:
    assert [model.id for model in registry.models()] == ["acme/listen", "speak"]
    assert [model.id for model in registry.models(Task.TTS)] == ["speak"]
    assert len(registry.all_models()) == 3
    assert [(model.id, voice.id) for model, voice in registry.voices()] == [("speak", "ann"), ("speak", "bea")]


@pytest.mark.parametrize("name", ["ann", "ann(2)+bea(1)", "ann+bea", "ann(0.5)"])
def test_own_voices_and_blends_stay_as_they_are(registry: Registry, name: str) -> None:
    assert registry.voice(MODELS[1], name) == name


def test_the_settings_voice_is_the_default_where_the_model_has_it(registry: Registry) -> None:
    assert registry.voice(MODELS[1], None) == "bea"
    assert registry.voice(MODELS[2], None) == "cid"
    assert registry.voice(MODELS[1], "") == "bea"


@pytest.mark.parametrize("name", OPENAI_VOICES)
def test_every_openai_voice_is_some_voice_of_every_model(registry: Registry, name: str) -> None:
    for model in MODELS[1:]:
        assert registry.voice(model, name) in {voice.id for voice in model.voices}


def test_an_unknown_voice_names_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownVoice, match="Nearest: ann") as raised:
        registry.voice(MODELS[1], "anne")
    assert raised.value.param == "voice"
