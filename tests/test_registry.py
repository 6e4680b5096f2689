"""Names and aliases resolve to catalog entries, or say what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.errors import NotInstalled, UnknownModel, UnknownVoice, WrongTask
from open_speech.model_files import HubSource
from open_speech.registry import OPENAI_STT, OPENAI_TTS, OPENAI_VOICES, Defaults, Registry

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


@pytest.mark.parametrize("name", ["acme%2Flisten", "acme%2flisten"])
def test_an_id_may_be_encoded_as_in_a_path(registry: Registry, name: str) -> None:
    assert registry.find(name, Task.STT).id == registry.listed(name).id == "acme/listen"
    assert not registry.is_unlisted(name)


@pytest.mark.parametrize("task", [None, Task.STT, Task.TTS])
@pytest.mark.parametrize("name", ["mouth/nobody", "mouth%2Fnobody"])
def test_an_unknown_id_of_a_backend_is_no_repository(registry: Registry, name: str, task: Task | None) -> None:
    with pytest.raises(UnknownModel, match="mouth.*does not exist"):
        registry.find(name, task)


@pytest.mark.parametrize(("name", "task"), [("speak", Task.TTS), ("speak", None), ("nobody", Task.TTS), ("tts-1", Task.TTS)])
def test_a_disabled_task_names_the_setting(name: str, task: Task | None) -> None:
    registry = Registry(BACKENDS, MODELS, {"ears": "process"}, Defaults("acme/listen", "speak", "bea"), disabled={Task.TTS: "X is false"})
    with pytest.raises(NotInstalled, match="no text-to-speech, because X is false") as raised:
        registry.find(name, task)
    assert raised.value.param == "model"
    assert registry.find("whisper-1", Task.STT).id == "acme/listen"


@pytest.mark.parametrize(
    "name", ["ann", "ANN", "bea#3", "ann+bea", "alloy", "ECHO", "speak", "tts-1", "nobody", "cid", "elsewhere", "ann+cid"]
)
def test_the_server_has_the_voices_that_a_model_of_it_resolves(registry: Registry, name: str) -> None:
    def resolves() -> bool:
        try:
            registry.voice(registry.find("speak"), name)
        except UnknownVoice:
            return False
        return True

    assert registry.has_voice(name) is resolves()


def with_aliases(*served: str, stt_model: str = "acme/listen") -> Registry:
    """A registry of two models with the alias `base`, of the backends `ears` and `more-ears`."""
    backends = (*BACKENDS, BackendEntry("more-ears", Task.STT, "m:C", (), "more", "MIT"))
    models = (
        replace(MODELS[0], aliases=("base", "acme/base")),
        ModelEntry("more", "more-ears", Task.STT, "MIT", ("en",), aliases=("base",)),
    )
    return Registry(backends, models, dict.fromkeys(served, "process"), Defaults(stt_model, "speak", "bea"))


@pytest.mark.parametrize(
    ("served", "found"), [(("ears",), "acme/listen"), (("more-ears",), "more"), (("more-ears", "ears"), "acme/listen")]
)
def test_an_alias_of_two_models_selects_the_one_that_is_served(served: tuple[str, ...], found: str) -> None:
    for name in ("base", "Base"):
        assert with_aliases(*served).find(name, Task.STT).id == found


def test_an_alias_of_models_that_are_not_served_names_the_extra_of_the_first() -> None:
    with pytest.raises(NotInstalled, match=r"open-speech\[ears\]"):
        with_aliases().find("base")


def test_the_default_model_may_be_an_alias() -> None:
    registry = with_aliases("more-ears", stt_model="base")
    assert (registry.defaults.stt_model, registry.find("whisper-1").id) == ("more", "more")


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


@pytest.mark.parametrize("name", ["speak", "tts-1", "openai/tts-1", "gpt-4o-mini-tts"])
def test_a_name_of_the_model_is_its_default_voice(registry: Registry, name: str) -> None:
    assert registry.voice(registry.find(name, Task.TTS), name) == "bea"


def test_a_name_of_another_model_is_no_voice(registry: Registry) -> None:
    with pytest.raises(UnknownVoice, match="has no voice `acme/listen`"):
        registry.voice(registry.find("speak"), "acme/listen")


def test_an_unknown_voice_names_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownVoice, match="Nearest: ann") as raised:
        registry.voice(MODELS[1], "anne")
    assert raised.value.param == "voice"


@pytest.mark.parametrize("name", ["openai/tts-1", "Acme/Speak-v1", "acme/speak-V1"])
def test_other_ids_of_the_same_weights_are_understood_and_not_listed(name: str) -> None:
    speaks = replace(MODELS[1], aliases=("acme/speak-v1",))
    registry = Registry(BACKENDS, (MODELS[0], speaks), {"ears": "process", "mouth": "inproc"}, Defaults("acme/listen", "speak", "bea"))
    assert registry.find(name, Task.TTS).id == "speak"
    assert name not in registry.aliases


@pytest.mark.parametrize("name", ["hexgrad/Kokoro-82M", "nobody/speak", "speak-1", "gpt-4o-tts"])
def test_an_unknown_model_to_speak_with_is_unknown_and_not_one_that_listens(registry: Registry, name: str) -> None:
    with pytest.raises(UnknownModel, match="Did you mean `") as refused:
        registry.find(name, Task.TTS)
    assert (refused.value.status, refused.value.param) == (404, "model")
    assert "acme/listen" not in refused.value.message


def test_the_nearest_name_is_found_behind_another_owner(registry: Registry) -> None:
    with pytest.raises(UnknownModel, match="`acme/listen`"):
        registry.find("Elsewhere-Listen", Task.STT)
    with pytest.raises(UnknownModel, match="`speak`"):
        registry.find("nobody/Speak", Task.TTS)


@pytest.mark.parametrize(
    ("asked", "voice"),
    [("ANN", "ann"), ("Bea", "bea"), ("Ann#3", "ann#3"), ("Alloy", "ann"), ("NOVA", "bea"), ("Ann(2)+BEA(1.5)", "ann(2)+bea(1.5)")],
)
def test_voices_are_found_in_any_case(registry: Registry, asked: str, voice: str) -> None:
    assert registry.voice(registry.find("speak"), asked) == voice


@pytest.fixture
def two_speakers() -> Registry:
    return Registry(BACKENDS, MODELS, {"ears": "process", "mouth": "inproc", "other": "process"}, Defaults("acme/listen", "speak", "bea"))


@pytest.mark.parametrize(
    ("model", "voice", "speaks"),
    [
        ("tts-1", "cid", "elsewhere"), ("openai/tts-1-hd", "CID", "elsewhere"), ("tts-1", "ann", "speak"), ("tts-1", "alloy", "speak"),
        ("tts-1", None, "speak"), ("tts-1", "nobody", "speak"), ("tts-1", "ann+bea", "speak"), ("speak", "cid", "speak"),
    ],
)  # fmt: skip
def test_an_alias_speaks_with_the_model_that_has_the_voice(two_speakers: Registry, model: str, voice: str | None, speaks: str) -> None:
    assert two_speakers.speaker(model, voice).id == speaks


def test_a_named_model_names_the_model_that_has_the_voice(two_speakers: Registry) -> None:
    with pytest.raises(UnknownVoice, match="It is a voice of the model `elsewhere`"):
        two_speakers.voice(two_speakers.find("speak"), "cid")


def test_a_repository_is_unlisted_unless_the_catalog_has_it_under_some_name() -> None:
    models = (*MODELS, replace(MODELS[0], id="acme/turbo", aliases=("other/Turbo",)))
    registry = Registry(BACKENDS, models, {"ears": "process"}, Defaults("acme/listen", "speak", "bea"))
    listed = ("acme/listen", "acme/turbo", "other/turbo", "whisper-1", "openai/whisper-1", "tts-1", "speak")
    assert [name for name in listed if registry.is_unlisted(name)] == []
    assert all(registry.is_unlisted(name) for name in ("acme/whisper", "acme/Listen-2", "evil/turbo"))


def test_a_revision_ends_when_a_server_offers_other_models_and_not_when_it_offers_the_same(registry: Registry) -> None:
    offered = ModelEntry("acme/more", "ears", Task.STT, "MIT", ("en",))
    revisions = [registry.revision]
    for models in ([offered], [offered], [], []):
        registry.learn("ears", models)
        revisions.append(registry.revision)
    assert revisions == [0, 1, 1, 2, 2]
