import pytest

from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions, Task, Voice, VoiceReference
from open_speech.errors import OutOfRange, UnsupportedLanguage
from open_speech.synthesis.prosody import ProsodyResolver
from open_speech.text.steps import Say

BACKEND = BackendEntry("mouth", Task.TTS, "x:X", (), "", "MIT", speed_range=(0.5, 2.0))
MODEL = ModelEntry("m", "mouth", Task.TTS, "MIT", ("en", "fr"), voices=(Voice("ann", "en-GB"), Voice("luc", "fr-FR")), default_voice="ann")


def director(options: SpeechOptions) -> ProsodyResolver:
    return ProsodyResolver(MODEL, BACKEND, options, voice=lambda name: name.lower(), rewrite=lambda text, language: f"{language}:{text}")


def test_what_a_step_does_not_say_is_the_request_s() -> None:
    options = SpeechOptions("ann", 1.5, "en-US")
    delivery = director(options).resolve(Say(""))
    assert (delivery.options, delivery.stretch, delivery.gain) == (options, 1.0, 1.0)


@pytest.mark.parametrize(
    ("speed", "step", "engine", "stretch"), [(1.0, 1.5, 1.5, 1.0), (2.0, 2.0, 2.0, 2.0), (4.0, 4.0, 2.0, 2.0), (0.25, 1.0, 0.5, 0.5)]
)
def test_speeds_are_multiplied_and_what_the_engine_cannot_do_is_stretched(speed: float, step: float, engine: float, stretch: float) -> None:
    delivery = director(SpeechOptions("ann", speed)).resolve(Say("", speed=step))
    assert (delivery.options.speed, delivery.stretch) == (engine, stretch)


@pytest.mark.parametrize("speed", [0.0, 0.24, 4.1, float("nan")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(OutOfRange) as refused:
        director(SpeechOptions("ann", speed))
    assert refused.value.param == "speed"


def test_decibels_become_a_factor() -> None:
    assert director(SpeechOptions("ann")).resolve(Say("", volume_db=20)).gain == pytest.approx(10)


def test_another_voice_in_the_text_is_not_the_one_to_clone() -> None:
    options = SpeechOptions("ann", reference=VoiceReference(b"\0\0"), design="deep")
    assert director(options).resolve(Say("", voice="Luc")).options == SpeechOptions("luc")


def test_a_sentence_is_rewritten_in_the_language_that_it_is_spoken_in() -> None:
    assert director(SpeechOptions("ann")).resolve(Say("")).say("x") == "en-GB:x"
    assert director(SpeechOptions("ann")).resolve(Say("", voice="luc")).say("x") == "fr-FR:x"
    assert director(SpeechOptions("ann", language="fr")).resolve(Say("")).say("x") == "fr:x"
    assert director(SpeechOptions("ann(2)+luc(1)")).resolve(Say("")).say("x") == "en-GB:x"
    assert director(SpeechOptions("luc#3")).resolve(Say("")).say("x") == "fr-FR:x"


def test_a_british_voice_stays_british_when_the_text_says_american() -> None:
    assert director(SpeechOptions("ann")).resolve(Say("", language="en-US")).options.language is None
    assert director(SpeechOptions("ann")).resolve(Say("", language="fr-CA")).options.language == "fr-CA"


def test_a_language_that_the_model_lacks_names_the_text() -> None:
    with pytest.raises(UnsupportedLanguage) as refused:
        director(SpeechOptions("ann")).resolve(Say("", language="ja"))
    assert refused.value.param == "input"
