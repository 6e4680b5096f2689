"""What every synthesiser must do, whatever its engine. `tts` is every row of the catalog in turn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from open_speech.audio import Audio, concat
from open_speech.backends import ModelEntry, SpeechOptions, Synthesizer
from open_speech.errors import NothingToSpeak, UnknownVoice, UnsupportedLanguage
from runners import catalog

SENTENCE = "The birch canoe slid on the smooth planks."
SENTENCES = [SENTENCE, "Her purse was full of useless trash, and nobody knew why.", "The hogs were fed chopped corn and garbage!"]
SPEEDS = {entry.name: entry.speed_range for entry in catalog.BACKENDS}


@pytest.fixture
def options(tts_entry: ModelEntry) -> SpeechOptions:
    return SpeechOptions(tts_entry.default_voice)


def say(tts: Synthesizer, text: str, options: SpeechOptions) -> Audio:
    parts = list(tts.synthesize(text, options))
    return concat(parts, parts[0].rate)


def test_an_unknown_voice_fails_before_any_audio(tts: Synthesizer) -> None:
    with pytest.raises(UnknownVoice) as refused:
        tts.synthesize("hello", SpeechOptions("nobody"))
    assert refused.value.param == "voice"


@pytest.fixture
def real(tts: Synthesizer, tts_entry: ModelEntry) -> Synthesizer:
    if tts_entry.id.endswith("tones/speak"):
        pytest.skip("the tones sound every character, and are no speech")
    return tts


@pytest.mark.parametrize("text", ["", "   "])
def test_no_text_fails_before_any_audio(tts: Synthesizer, options: SpeechOptions, text: str) -> None:
    with pytest.raises(NothingToSpeak) as refused:
        tts.synthesize(text, options)
    assert refused.value.param == "input"


@pytest.mark.parametrize("text", ["😀🎉", "…", "!?", "—"])
def test_text_that_says_nothing_fails_before_any_audio(real: Synthesizer, options: SpeechOptions, text: str) -> None:
    with pytest.raises(NothingToSpeak) as refused:
        real.synthesize(text, options)
    assert refused.value.param == "input"


def test_a_language_it_does_not_speak_fails_before_any_audio(tts: Synthesizer, options: SpeechOptions) -> None:
    with pytest.raises(UnsupportedLanguage) as refused:
        tts.synthesize("hello", replace(options, language="tlh"))
    assert refused.value.param == "language"


def test_its_own_language_may_be_named(tts: Synthesizer, tts_entry: ModelEntry, options: SpeechOptions) -> None:
    voice = next(voice for voice in tts_entry.voices if voice.id == tts_entry.default_voice)
    for language in (voice.language, voice.language.partition("-")[0]):
        assert next(iter(tts.synthesize(SENTENCE, replace(options, language=language)))).seconds > 0


def test_a_sentence_is_clean_mono_sound_at_the_catalogs_rate(tts: Synthesizer, tts_entry: ModelEntry, options: SpeechOptions) -> None:
    for part in tts.synthesize(SENTENCE, options):
        assert part.rate == tts_entry.sample_rate
        assert part.samples.dtype == np.float32
        assert part.samples.ndim == 1
        assert np.isfinite(part.samples).all()
        assert np.abs(part.samples).max() <= 1.0
    sound = say(tts, SENTENCE, options)
    assert 1.0 < sound.seconds < 8.0
    assert np.sqrt(np.mean(sound.samples**2)) > 0.01


def test_no_part_begins_or_ends_with_a_click(real: Synthesizer, options: SpeechOptions) -> None:
    for part in real.synthesize(f"{SENTENCE} {SENTENCE}", options):
        assert abs(part.samples[0]) < 0.02
        assert abs(part.samples[-1]) < 0.02


def test_every_word_of_a_long_text_is_spoken(tts: Synthesizer, options: SpeechOptions) -> None:
    short = " ".join(SENTENCES)
    times = 1500 // len(short) + 1
    expected = say(tts, short, options).seconds * times
    assert say(tts, " ".join([short] * times), options).seconds == pytest.approx(expected, rel=0.12)


def test_longer_text_sounds_longer(tts: Synthesizer, options: SpeechOptions) -> None:
    one, three = say(tts, SENTENCE, options).seconds, say(tts, " ".join([SENTENCE] * 3), options).seconds
    assert 2.2 * one < three < 3.8 * one


@pytest.fixture
def paced(tts: Synthesizer, tts_entry: ModelEntry) -> Synthesizer:
    if SPEEDS[tts_entry.backend] == (1.0, 1.0):
        pytest.skip(f"{tts_entry.backend} speaks at its own speed only; the engine stretches what it says")
    return tts


def test_twice_the_speed_is_about_half_as_long(paced: Synthesizer, options: SpeechOptions) -> None:
    plain, fast, slow = (say(paced, SENTENCE, replace(options, speed=speed)).seconds for speed in (1.0, 2.0, 0.5))
    assert 0.4 * plain < fast < 0.65 * plain
    assert 1.6 * plain < slow < 2.4 * plain


def test_both_ends_of_its_speed_range_are_spoken(paced: Synthesizer, tts_entry: ModelEntry, options: SpeechOptions) -> None:
    slow, fast = (say(paced, "Go on.", replace(options, speed=speed)).seconds for speed in SPEEDS[tts_entry.backend])
    assert fast < slow


def test_two_threads_get_what_one_gets(tts: Synthesizer, options: SpeechOptions) -> None:
    texts = [SENTENCE, "Good morning."] * 2
    alone = [say(tts, text, options).seconds for text in texts]
    with ThreadPoolExecutor(2) as pool:
        together = [sound.seconds for sound in pool.map(lambda text: say(tts, text, options), texts)]
    assert together == pytest.approx(alone, rel=0.2)  # some engines choose lengths with a little chance


def test_a_caller_may_leave_after_the_first_part(tts: Synthesizer, options: SpeechOptions) -> None:
    parts = tts.synthesize(" ".join(SENTENCES), options)
    next(parts)
    parts.close()
    assert next(parts, None) is None
    assert say(tts, "Go on.", options).seconds > 0


def test_every_voice_of_the_catalog_speaks(tts: Synthesizer, tts_entry: ModelEntry) -> None:
    for voice in tts_entry.voices:
        if voice.language.partition("-")[0] not in ("ja", "zh"):  # these need an extra each
            assert say(tts, "Piano.", SpeechOptions(voice.id)).seconds > 0.1
