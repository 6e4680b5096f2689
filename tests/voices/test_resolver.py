"""Who speaks, decided on values: models that can and cannot clone, presets, recordings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice, VoiceReference
from open_speech.codecs import wav_bytes
from open_speech.errors import InvalidRequest, InvalidValue, UnknownModel, UnknownVoice, UnsupportedValue
from open_speech.registry import OPENAI_VOICES, Defaults, Registry
from open_speech.voices import Library, NewVoice, Preset, Presets, ResolvedVoice, VoiceFolder, VoiceOptions, VoiceResolver

BACKENDS = (BackendEntry("mouth", Task.TTS, "m:C", (), "", "MIT", openai_voices={"alloy": "ann", "nova": "bea"}),)
PLAIN = ModelEntry("plain", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en-US"), Voice("bea", "en-GB")), default_voice="ann")
OTHER = ModelEntry("other", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("cid", "en"),), default_voice="cid")
PARROT = ModelEntry(
    "parrot", "mouth", Task.TTS, "MIT", ("en",), voices=(Voice("own", "en"),), default_voice="own",
    clones=True, designs=True, instructs=True,
)  # fmt: skip
PRESETS = Presets(
    voices={
        "narrator": Preset(voice="ann(2)+bea(1)", speed=0.9, instructions="Slowly."),
        "other man": Preset(model="other", voice="cid", language="en-GB"),
        "made up": Preset(model="parrot", design="A deep voice."),
        "copied": Preset(model="parrot", voice="Eve"),
    },
    openai={"alloy": "bea", "echo": "other man", "fable": "narrator"},
)
RECORDED = VoiceReference(b"\x01\x02" * 10, "Hello.")


@pytest.fixture
def voice_resolver(tmp_path: Path, murmur: Audio) -> VoiceResolver:
    registry = Registry(BACKENDS, (PLAIN, OTHER, PARROT), {"mouth": "inproc"}, Defaults("", "plain", "bea"))
    library = Library(tmp_path / "library", limit=9)
    library.add(NewVoice("Eve", "Yes, you may.", transcript="I am Eve."), murmur)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "dora_fr.wav").write_bytes(wav_bytes(murmur))
    (folder / "noise_xx.wav").write_bytes(b"no sound")
    return VoiceResolver(registry, PRESETS, library, VoiceFolder(folder))


def resolve(
    voice_resolver: VoiceResolver, model: str = "tts-1", voice: str | None = None, manner: VoiceOptions | None = None, **wishes: Any
) -> ResolvedVoice:
    return asyncio.run(voice_resolver.resolve(model, voice, manner or VoiceOptions(), **{"speed": None, "language": None, **wishes}))


def test_a_models_own_voice_is_just_that(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, "other", "cid") == ResolvedVoice(OTHER, "cid")
    assert resolve(voice_resolver) == ResolvedVoice(PLAIN, "bea")


def test_a_preset_is_a_voice_with_its_settings(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, voice="narrator") == ResolvedVoice(PLAIN, "ann(2)+bea(1)", speed=0.9)
    assert resolve(voice_resolver, voice="other man") == ResolvedVoice(OTHER, "cid", language="en-GB")


def test_what_the_request_says_counts_more_than_the_preset(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, voice="narrator", speed=1.5, language="en").speed == 1.5
    assert resolve(voice_resolver, voice="other man", language="en").language == "en"


def test_a_preset_of_another_model_than_the_request_insists_on_is_refused(voice_resolver: VoiceResolver) -> None:
    with pytest.raises(UnknownVoice, match="`other`") as refused:
        resolve(voice_resolver, "plain", "other man")
    assert refused.value.param == "voice"


def test_the_table_says_what_openais_names_mean(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, voice="alloy").voice == "bea"
    assert resolve(voice_resolver, voice="echo") == ResolvedVoice(OTHER, "cid", language="en-GB")
    assert resolve(voice_resolver, voice="nova").voice == "bea"


@pytest.mark.parametrize("model", ["plain", "other", "parrot"])
@pytest.mark.parametrize("name", OPENAI_VOICES)
def test_openais_names_are_some_voice_of_every_model(voice_resolver: VoiceResolver, model: str, name: str) -> None:
    assert resolve(voice_resolver, model, name).model.id == model


def test_a_recording_is_cloned_by_a_model_that_can(voice_resolver: VoiceResolver) -> None:
    found = resolve(voice_resolver, "parrot", "Eve")
    assert found.reference is not None
    assert (found.voice, found.reference.text, found.reference.audio.seconds) == ("own", "I am Eve.", 2.0)
    assert resolve(voice_resolver, voice="copied").reference == found.reference
    dora = resolve(voice_resolver, "parrot", "dora_fr").reference
    assert dora is not None
    assert dora.text is None


@pytest.mark.parametrize(("asked", "spoken"), [(None, "fr"), ("en", "en")])
def test_a_recording_is_spoken_in_its_language_unless_the_request_names_one(
    voice_resolver: VoiceResolver, asked: str | None, spoken: str
) -> None:
    assert resolve(voice_resolver, "parrot", "dora_fr", language=asked).language == spoken
    assert resolve(voice_resolver, "parrot", "Eve", language=asked).language == asked


@pytest.mark.parametrize(
    ("voice", "manner", "field"),
    [
        ("Eve", VoiceOptions(), "voice"),
        ("dora_fr", VoiceOptions(), "voice"),
        ("Eve", VoiceOptions(lenient=False), "voice"),
        (None, VoiceOptions(reference=RECORDED, lenient=False), "reference_audio"),
        (None, VoiceOptions(reference=RECORDED, field="voice_library_ref", lenient=False), "voice_library_ref"),
        ("ann", VoiceOptions(design="A deep voice.", lenient=False), "voice_design"),
    ],
)
def test_a_model_that_cannot_says_so_and_names_the_field_and_who_can(
    voice_resolver: VoiceResolver, voice: str | None, manner: VoiceOptions, field: str
) -> None:
    with pytest.raises(UnsupportedValue, match=r"`plain`.*parrot") as refused:
        resolve(voice_resolver, "plain", voice, manner)
    assert refused.value.param == field


CLONE_WARNING = "`reference_audio` was ignored: the model `plain` does not clone voices."
DESIGN_WARNING = "`voice_design` was ignored: the model `plain` does not design voices."


@pytest.mark.parametrize("lenient", [None, True])
@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (VoiceOptions(reference=RECORDED), (CLONE_WARNING,)),
        (VoiceOptions(design="Deep."), (DESIGN_WARNING,)),
        (VoiceOptions(reference=RECORDED, design="Deep."), (CLONE_WARNING, DESIGN_WARNING)),
    ],
)
def test_a_model_ignores_the_options_that_it_does_not_support_with_a_warning(
    voice_resolver: VoiceResolver, options: VoiceOptions, warnings: tuple[str, ...], lenient: bool | None
) -> None:
    found = resolve(voice_resolver, "plain", "ann", replace(options, lenient=lenient))
    assert found == ResolvedVoice(PLAIN, "ann", warnings=warnings)


def test_a_model_that_supports_both_refuses_both_at_once(voice_resolver: VoiceResolver) -> None:
    with pytest.raises(InvalidValue, match="not both"):
        resolve(voice_resolver, "parrot", "own", VoiceOptions(reference=RECORDED, design="Deep."))


def test_a_lenient_request_for_a_recording_gets_the_default_voice(voice_resolver: VoiceResolver) -> None:
    found = resolve(voice_resolver, "plain", "Eve", VoiceOptions(lenient=True))
    assert found == ResolvedVoice(PLAIN, "bea", warnings=("`voice` was ignored: the model `plain` does not clone voices.",))


def test_a_model_that_can_gets_everything(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, "parrot", "alloy", VoiceOptions(RECORDED, instructions="Sing.")) == ResolvedVoice(
        PARROT, "own", reference=RECORDED, instructions="Sing."
    )
    assert resolve(voice_resolver, voice="made up") == ResolvedVoice(PARROT, "own", design="A deep voice.")


def test_instructions_are_dropped_without_a_word(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, "plain", "ann", VoiceOptions(instructions="Sing.")) == ResolvedVoice(PLAIN, "ann")


def test_instructions_without_a_voice_make_one_up(voice_resolver: VoiceResolver) -> None:
    told = VoiceOptions(instructions="A deep, slow voice.")
    assert resolve(voice_resolver, model="parrot", manner=told).design == "A deep, slow voice."
    assert resolve(voice_resolver, model="parrot", voice="own", manner=told).design is None


def test_a_recording_in_the_request_counts_more_than_a_presets_design(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, voice="made up", manner=VoiceOptions(RECORDED)) == ResolvedVoice(PARROT, "own", reference=RECORDED)


def test_a_voice_is_not_cloned_and_made_up_at_once(voice_resolver: VoiceResolver) -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve(voice_resolver, "parrot", None, VoiceOptions(RECORDED, "A deep voice."))
    assert refused.value.param == "voice_design"


@pytest.mark.parametrize(
    ("model", "voice", "kind"),
    [("nobody", "ann", UnknownModel), ("plain", "nobody", UnknownVoice), ("parrot", "../folder/dora_fr", UnknownVoice)],
)
def test_what_is_not_there_is_named(voice_resolver: VoiceResolver, model: str, voice: str, kind: type[InvalidRequest]) -> None:
    with pytest.raises(kind):
        resolve(voice_resolver, model, voice)


def test_a_file_in_the_folder_that_is_no_sound_names_the_voice(voice_resolver: VoiceResolver) -> None:
    with pytest.raises(InvalidValue) as refused:
        resolve(voice_resolver, "parrot", "noise_xx")
    assert refused.value.param == "voice"


def test_in_the_midst_of_a_text_a_preset_is_a_voice_of_its_model_too(voice_resolver: VoiceResolver) -> None:
    assert voice_resolver.voice(PLAIN, "narrator") == "ann(2)+bea(1)"
    assert voice_resolver.voice(PLAIN, "bea") == "bea"
    assert voice_resolver.voice(OTHER, "other man") == "cid"
    with pytest.raises(UnknownVoice):
        voice_resolver.voice(PLAIN, "other man")


@pytest.mark.parametrize(("name", "taken"), [("ann", True), ("narrator", True), ("nova", True), ("dora_fr", True), ("Eve", False)])
def test_names_that_cannot_be_given_away(voice_resolver: VoiceResolver, name: str, taken: bool) -> None:
    assert voice_resolver.is_taken(name) is taken


def test_an_alias_speaks_with_the_model_that_has_the_voice(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, "tts-1", "cid") == ResolvedVoice(OTHER, "cid")
    assert resolve(voice_resolver, "tts-1", "Own") == ResolvedVoice(PARROT, "own")
    with pytest.raises(UnknownVoice, match="It is a voice of the model `other`"):
        resolve(voice_resolver, "plain", "cid")


def test_an_alias_speaks_a_stored_recording_with_a_model_that_clones(voice_resolver: VoiceResolver) -> None:
    spoken = resolve(voice_resolver, "tts-1", "Eve")
    assert (spoken.model, spoken.reference and spoken.reference.text) == (PARROT, "I am Eve.")
    with pytest.raises(UnsupportedValue):
        resolve(voice_resolver, "plain", "Eve")


def test_names_of_voices_and_presets_are_found_in_any_case(voice_resolver: VoiceResolver) -> None:
    assert resolve(voice_resolver, voice="ALLOY").voice == "bea"
    assert resolve(voice_resolver, voice="Narrator") == resolve(voice_resolver, voice="narrator")
    assert resolve(voice_resolver, voice="Echo") == resolve(voice_resolver, voice="echo")


@pytest.mark.parametrize(("said", "language"), [("English", "en"), ("eng", "en"), ("auto", None), ("en-GB", "en-GB")])
def test_the_language_to_speak_may_be_a_name(voice_resolver: VoiceResolver, said: str, language: str | None) -> None:
    assert resolve(voice_resolver, voice="ann", language=said).language == language
