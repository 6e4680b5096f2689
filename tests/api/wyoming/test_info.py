from __future__ import annotations

from collections.abc import Callable

import pytest
from wyoming.event import Event
from wyoming.info import Info, TtsVoice
from wyoming.tts import SynthesizeVoice

from open_speech.api.wyoming.info import PROGRAM, Offer, VoiceChoice
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.errors import BackendUnavailable, UnknownModel, UnsupportedLanguage
from open_speech.registry import Defaults, Registry
from open_speech.voices import Presets, VoiceResolver

BACKENDS = (
    BackendEntry("ear", Task.STT, "x:X", (), "", "MIT"),
    BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT"),
    BackendEntry("echo", Task.TTS, "x:X", (), "", "MIT"),
)
MODELS = (
    ModelEntry("small", "ear", Task.STT, "MIT", ("en",)),
    ModelEntry("large", "ear", Task.STT, "MIT", ("en", "de", "jw")),
    ModelEntry("any", "ear", Task.STT, "MIT", ()),
    ModelEntry("echo", "echo", Task.TTS, "MIT", ("en", "fr"), voices=(Voice("ann", "fr"), Voice("eve", "fr")), clones=True),
    ModelEntry(
        "mouth", "mouth", Task.TTS, "MIT", ("en", "de"),
        voices=(Voice("bob", "de", "Bob", speakers=("0", "1")), Voice("ann", "en-US", "Ann"), Voice("kim", "en-GB")), default_voice="ann",
    ),
)  # fmt: skip
PRESETS = Presets.model_validate({"voices": {"narrator": {"voice": "kim", "description": "Calm."}, "gone": {"model": "nobody"}}})


def offer(
    models: tuple[ModelEntry, ...] = MODELS,
    *,
    here: Callable[[ModelEntry], bool] = lambda entry: True,
    streams: Callable[[ModelEntry], bool] = lambda entry: True,
    languages: tuple[str, ...] = (),
    stt_model: str = "large",
) -> Offer:
    served = {entry.name: "process" for entry in BACKENDS}
    voice_resolver = VoiceResolver(Registry(BACKENDS, models, served, Defaults(stt_model, "mouth", "")), PRESETS)
    return Offer(voice_resolver, is_here=here, streams=streams, languages=languages)


def voices(info: Info) -> dict[str, TtsVoice]:
    return {voice.name: voice for voice in info.tts[0].voices}


def test_the_first_program_that_listens_is_the_default_model_alone() -> None:
    info = offer().info()
    assert [(program.name, [model.name for model in program.models]) for program in info.asr] == [
        (PROGRAM, ["large"]), ("small", ["small"]), ("any", ["any"]),
    ]  # fmt: skip
    assert info.asr[0].models[0].languages == ["en", "de", "jv"]


def test_one_program_speaks_with_every_voice_the_default_first() -> None:
    info = offer().info()
    assert [program.name for program in info.tts] == [PROGRAM]
    assert list(voices(info)) == ["ann", "bob", "kim", "echo/ann", "eve", "narrator"]
    assert info.tts[0].supports_synthesize_streaming


def test_every_voice_has_a_language_and_a_label_and_its_speakers() -> None:
    known = voices(offer().info())
    assert known["ann"].languages == ["en-US"]
    assert known["echo/ann"].languages == ["fr", "en"]
    assert known["narrator"].languages == ["en-GB"]
    assert known["narrator"].description == "Calm."
    assert known["ann"].description == "Ann (mouth)"
    assert [speaker.name for speaker in known["bob"].speakers or ()] == ["0", "1"]
    assert known["ann"].speakers is None


def test_what_knows_no_languages_gets_those_that_are_told() -> None:
    assert offer(languages=("en", "nl")).info().asr[2].models[0].languages == ["en", "nl"]
    assert len(offer().info().asr[2].models[0].languages) == 100


def test_only_what_is_here_is_installed_and_the_defaults_always_are() -> None:
    info = offer(here=lambda entry: entry.id == "small").info()
    assert [program.installed for program in info.asr] == [True, True, False]
    assert [program.models[0].installed for program in info.asr] == [True, True, False]
    known = voices(info)
    assert known["ann"].installed
    assert not known["eve"].installed


def test_a_model_that_is_asked_once_does_not_say_that_it_streams() -> None:
    info = offer(streams=lambda entry: entry.id != "small").info()
    assert [program.supports_transcript_streaming for program in info.asr] == [True, False, True]


def test_the_answer_survives_the_wire_and_names_no_satellite() -> None:
    info = offer().info()
    event = info.event()
    assert Info.from_event(Event(event.type, event.data)) == info
    assert "satellite" not in event.data


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, VoiceChoice("mouth")),
        (SynthesizeVoice(), VoiceChoice("mouth")),
        (SynthesizeVoice("kim"), VoiceChoice("mouth", "kim")),
        (SynthesizeVoice("ann"), VoiceChoice("mouth", "ann")),
        (SynthesizeVoice("echo/ann"), VoiceChoice("echo", "ann")),
        (SynthesizeVoice("bob", speaker="1"), VoiceChoice("mouth", "bob#1")),
        (SynthesizeVoice("narrator"), VoiceChoice("mouth", "narrator")),
        (SynthesizeVoice("alloy"), VoiceChoice("mouth", "alloy")),
        (SynthesizeVoice(language="de"), VoiceChoice("mouth", "bob")),
        (SynthesizeVoice(language="en_GB"), VoiceChoice("mouth", "kim")),
        (SynthesizeVoice(language="en-AU"), VoiceChoice("mouth", "ann")),
        (SynthesizeVoice(language="fr"), VoiceChoice("echo", "ann", "fr")),
    ],
    ids=str,
)
def test_a_name_in_the_list_leads_to_its_model_and_voice(wanted: SynthesizeVoice | None, chosen: VoiceChoice) -> None:
    assert offer().voice(wanted) == chosen


def test_a_language_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(UnsupportedLanguage):
        offer().voice(SynthesizeVoice(language="sw"))


def test_programs_and_models_are_found_by_name() -> None:
    assert [offer().model(name).id for name in (None, PROGRAM, "small", "whisper-1")] == ["large", "large", "small", "large"]
    with pytest.raises(UnknownModel):
        offer().model("huge")


def test_a_default_that_does_not_run_here_gives_way_to_what_does() -> None:
    gone = offer(stt_model="gone", here=lambda entry: entry.id == "any")
    assert gone.model(None).id == "any"
    assert gone.info().asr[0].models[0].name == "any"


def test_a_server_that_knows_no_model_yet_says_so() -> None:
    nothing = offer(models=())
    assert nothing.info().asr == nothing.info().tts == []
    with pytest.raises(BackendUnavailable):
        nothing.model(None)
    with pytest.raises(BackendUnavailable):
        nothing.voice(None)


def test_a_model_without_named_voices_speaks_in_its_own() -> None:
    bare = ModelEntry("bare", "mouth", Task.TTS, "MIT", ())
    served = offer(models=(bare,), languages=("de",))
    (voice,) = served.info().tts[0].voices
    assert (voice.name, voice.languages) == ("bare", ["de"])
    assert served.voice(SynthesizeVoice("bare")) == VoiceChoice("bare")


def test_a_voice_whose_language_is_not_installed_is_not_offered() -> None:
    needy = ModelEntry(
        "mouth", "mouth", Task.TTS, "MIT", ("en", "zh"), voices=(Voice("li", "zh", needs="pip install x"), Voice("kim", "en"))
    )
    (program,) = offer((*MODELS[:3], needy)).info().tts
    assert [voice.name for voice in program.voices if voice.name in ("li", "kim")] == ["kim"]
