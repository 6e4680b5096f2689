"""Windows on real Whisper weights: many at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, Setup, TranscribeOptions, Window, WindowResult
from open_speech.codecs import decode
from open_speech.errors import UnsupportedLanguage
from open_speech.testing.words import words
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.support.whisper_windows import WindowDecoder

pytestmark = pytest.mark.weights

MODEL = "Systran/faster-whisper-base"
ENGLISH = TranscribeOptions(language="en")


@pytest.fixture(scope="module")
def whisper(model_folder: Callable[[str], Path]) -> FasterWhisper:
    entry = next(model for model in catalog.models() if model.id == MODEL)
    backend = FasterWhisper(Setup(entry, model_folder(MODEL)))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def clip(speech_clips: dict[str, Path]) -> Callable[[float, float], Audio]:
    """Cut seconds out of beckett.wav."""
    whole = decode(speech_clips["beckett"], STT_RATE, max_seconds=60)
    return lambda start, end: Audio(whole.samples[round(start * STT_RATE) : round(end * STT_RATE)], STT_RATE)


def text(heard: object) -> str:
    assert isinstance(heard, WindowResult)
    return "".join(segment.text for segment in heard.segments).strip()


def silence(seconds: float) -> Audio:
    return Audio(np.zeros(round(seconds * STT_RATE), np.float32), STT_RATE)


def test_windows_together_are_heard_as_each_alone(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    cuts = [clip(0, 2.8), clip(3, 5.8), clip(6, 9.6), clip(0, 5.8)]
    together = [text(heard) for heard in whisper.transcribe_windows([Window(cut, ENGLISH) for cut in cuts])]
    alone = [text(whisper.transcribe_windows([Window(cut, ENGLISH)])[0]) for cut in cuts]
    assert [words(text) for text in together] == [words(text) for text in alone]
    assert words(together[2]) == ["fail", "again", "fail", "better"]


def test_what_is_wrong_with_one_window_is_its_own_result(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    wrong = replace(ENGLISH, language="xx")
    good, bad, empty = whisper.transcribe_windows([Window(clip(6, 9.6), ENGLISH), Window(clip(0, 3), wrong), Window(silence(2), ENGLISH)])
    assert words(text(good)) == ["fail", "again", "fail", "better"]
    assert isinstance(bad, UnsupportedLanguage)
    assert bad.param == "language"
    assert isinstance(empty, WindowResult)
    assert empty.segments == ()


def test_options_of_one_window_do_not_touch_another(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    timed = replace(ENGLISH, word_times=True, logprobs=True)
    prompted = replace(ENGLISH, prompt="A quotation by Samuel Beckett.", hotwords="Beckett")
    windows = [Window(clip(6, 9.6), options) for options in (ENGLISH, timed, prompted)]
    plain, with_words, with_prompt = whisper.transcribe_windows(windows)
    assert isinstance(plain, WindowResult)
    assert isinstance(with_words, WindowResult)
    assert not plain.segments[0].words
    assert not plain.segments[0].logprobs
    assert [words(word.text) for segment in with_words.segments for word in segment.words] == [["fail"], ["again"], ["fail"], ["better"]]
    assert "fail better" in text(with_prompt).lower()


def test_word_times_are_monotone_and_within_the_window(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    (heard,) = whisper.transcribe_windows([Window(clip(0, 9.9), replace(ENGLISH, word_times=True))])
    assert isinstance(heard, WindowResult)
    times = [time for segment in heard.segments for word in segment.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0]
    assert times[-1] <= 9.9
    assert len(times) == 2 * 12


def test_every_token_has_a_logprob_where_it_is_asked_for(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    (heard,) = whisper.transcribe_windows([Window(clip(6, 9.6), replace(ENGLISH, logprobs=True))])
    assert isinstance(heard, WindowResult)
    tokens = [token for segment in heard.segments for token in segment.logprobs]
    assert "".join(token.text for token in tokens) == "".join(segment.text for segment in heard.segments)
    assert all(token.logprob <= 0 for token in tokens)


def test_the_language_is_found_and_kept_to_those_that_are_allowed(whisper: FasterWhisper, clip: Callable[[float, float], Audio]) -> None:
    free, bound, only = (
        TranscribeOptions(),
        TranscribeOptions(languages=("de", "fr")),
        TranscribeOptions(detect_only=True),
    )
    windows = [Window(clip(0, 9.9), options) for options in (free, bound, only)]
    found = [heard for heard in whisper.transcribe_windows(windows) if isinstance(heard, WindowResult)]
    assert [heard.language for heard in found[::2]] == ["en", "en"]
    assert found[0].language_probability > 0.8
    assert found[1].language in ("de", "fr")
    assert found[2].segments == ()


def test_noise_in_a_window_costs_no_more_than_its_limit_of_tokens(whisper: FasterWhisper) -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 2 * STT_RATE).astype(np.float32)
    (heard,) = whisper.transcribe_windows([Window(Audio(noise, STT_RATE), replace(ENGLISH, temperatures=(0.0,)))])
    assert isinstance(heard, WindowResult)
    assert sum(len(segment.tokens) for segment in heard.segments) <= 32 + 30 * 2


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.2])
def test_a_window_of_next_to_nothing_is_heard_too(whisper: FasterWhisper, seconds: float, clip: Callable[[float, float], Audio]) -> None:
    (heard,) = whisper.transcribe_windows([Window(clip(1, 1 + seconds), replace(ENGLISH, temperatures=(0.0,)))])
    assert isinstance(heard, WindowResult)


class Counting(WindowDecoder):
    """Counts how often the decoder runs."""

    runs = 0

    def _generate(self, encoded: Any, jobs: Sequence[Any], search: dict[str, Any]) -> Sequence[Any]:
        self.runs += 1
        return super()._generate(encoded, jobs, search)


@pytest.mark.parametrize("language", ["he", "ja", "sw", "en"])
def test_a_wrong_language_takes_three_steps_at_most(whisper: FasterWhisper, clip: Callable[[float, float], Audio], language: str) -> None:
    assert whisper._model is not None
    decoder = Counting(whisper._model, [language])
    audio = clip(0, 5.8)
    (heard,) = decoder.transcribe_windows([Window(audio, replace(ENGLISH, language=language), ((0.2, 5.6),))], [language])
    assert isinstance(heard, WindowResult)
    assert decoder.runs <= 3


def test_what_looks_bad_is_decoded_again_without_sampling(whisper: FasterWhisper) -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, 4 * STT_RATE).astype(np.float32)
    windows = [Window(Audio(noise, STT_RATE), ENGLISH, ((0.0, 4.0),))]
    first, second = (whisper.transcribe_windows(windows)[0] for _ in range(2))
    assert first == second
