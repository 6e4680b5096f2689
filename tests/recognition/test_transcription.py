"""The pipeline of a file: cut by a scripted detector, heard by a scripted runner, given in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import TranscribeOptions, Vad, Window, WindowResult
from open_speech.errors import AudioTooLong, BackendFailed, SpeechError, UnsupportedLanguage
from open_speech.recognition.segmentation import WindowStream
from open_speech.recognition.transcription import IN_FLIGHT, TranscriptionStream, by_windows, vote
from open_speech.recognition.vad import FRAME, VAD_RATE, SpeechProbabilities
from open_speech.recognition.windows import WindowCutter
from open_speech.transcript import Segment

FRAME_S = FRAME / VAD_RATE


class Loudness:
    """A detector for which whatever is not silent is speech."""

    def feed(self, samples: np.ndarray[Any, Any], *, last: bool = False) -> np.ndarray[Any, Any]:
        count = len(samples) // FRAME
        return np.abs(samples[: count * FRAME]).reshape(count, FRAME).max(axis=1, initial=0.0)


def speech(*utterances: float, pause_s: float = 8.192) -> list[Audio]:
    """Blocks of utterances that are `utterances` seconds long, each as loud as its number in hundredths, with pauses between them."""
    blocks = []
    for number, seconds in enumerate(utterances, 1):
        loud = np.full(round(seconds / FRAME_S) * FRAME, 0.5 + number / 1000, np.float32)
        blocks += [Audio(loud, VAD_RATE), Audio(np.zeros(round(pause_s / FRAME_S) * FRAME, np.float32), VAD_RATE)]
    return blocks


def number_of(window: Window) -> int:
    return round((float(window.audio.samples.max()) - 0.5) * 1000)


class Runner:
    """Hears each utterance as its number, after a time of its own; counts what is out at once."""

    def __init__(self, **heard: Any) -> None:
        self.out = 0
        self.most_out = 0
        self.windows: list[Window] = []
        self.cancelled = 0
        self.languages = heard.get("languages", {})
        self.fails_at = heard.get("fails_at")

    async def hear(self, window: Window) -> WindowResult:
        self.windows.append(window)
        number = number_of(window)
        self.out += 1
        self.most_out = max(self.most_out, self.out)
        try:
            await asyncio.sleep(0.02 if number % 3 == 0 else 0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.out -= 1
        if number == self.fails_at:
            raise UnsupportedLanguage("no", param="language")
        language, probability = (window.options.language, 1.0) if window.options.language else self.languages.get(number, ("en", 0.99))
        return WindowResult(language, probability, (Segment(0.0, window.audio.seconds, f" {number}"),))


@contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def cut(blocks: Any) -> WindowStream:
    return WindowStream(blocks, cast(SpeechProbabilities, Loudness()), WindowCutter(Vad(pad_ms=100), FRAME_S, longest_s=15))


async def listen(runner: Runner, blocks: Any, options: TranscribeOptions | None = None) -> tuple[TranscriptionStream, list[Segment]]:
    with pool() as threads:
        listening = await TranscriptionStream.begin(
            by_windows(cut(blocks), options or TranscribeOptions(language="en"), runner.hear, threads)
        )
        return listening, [segment async for segment in listening]


def test_segments_come_in_order_with_the_times_of_the_whole_audio() -> None:
    listening, segments = asyncio.run(listen(Runner(), speech(*[1.024] * 12)))
    assert [segment.text for segment in segments] == [f" {n}" for n in range(1, 13)]
    assert [segment.start for segment in segments] == pytest.approx([9.216 * n for n in range(12)], abs=0.11)
    assert listening.info.duration == pytest.approx(12 * 9.216)
    assert listening.info.language == "en"


def test_windows_go_out_side_by_side_but_not_all_at_once() -> None:
    runner = Runner()
    asyncio.run(listen(runner, speech(*[1.024] * 40)))
    assert 2 <= runner.most_out <= IN_FLIGHT + 2


def test_silence_has_no_segments_and_its_length() -> None:
    runner = Runner()
    listening, segments = asyncio.run(listen(runner, [Audio(np.zeros(FRAME * 100, np.float32), VAD_RATE)]))
    assert segments == []
    assert runner.windows == []
    assert listening.info.duration == pytest.approx(3.2)


@pytest.mark.parametrize("utterances", [1, 2, 3, 9])
def test_the_first_windows_find_the_language_and_the_rest_follow(utterances: int) -> None:
    runner = Runner(languages={1: ("de", 0.9), 2: ("de", 0.6)} | {number: ("de", 0.8) for number in range(3, 10)})
    listening, segments = asyncio.run(listen(runner, speech(*[1.024] * utterances), TranscribeOptions()))
    assert len(segments) == utterances
    assert listening.info.language == "de"
    assert [window.options.expected for window in runner.windows[2:]] == ["de"] * max(0, utterances - 2)


def test_a_later_window_that_is_sure_of_another_language_keeps_it_and_one_that_is_not_is_decoded_again() -> None:
    runner = Runner(languages={3: ("fr", 0.95), 4: ("nl", 0.5), 5: ("en", 0.8)})
    listening, segments = asyncio.run(listen(runner, speech(*[1.024] * 6), TranscribeOptions()))
    assert [segment.language for segment in segments] == ["en", "en", "fr", "en", "en", "en"]
    assert [number_of(window) for window in runner.windows].count(4) == 2
    assert listening.info.language == "en"


def test_the_language_of_an_audio_is_that_of_most_of_its_speech() -> None:
    runner = Runner(languages={1: ("fr", 0.99), 2: ("fr", 0.99)} | {number: ("en", 0.95) for number in range(3, 10)})
    listening, segments = asyncio.run(listen(runner, speech(*[1.024] * 9), TranscribeOptions()))
    assert [segment.language for segment in segments] == ["fr"] * 2 + ["en"] * 7
    assert (listening.info.language, listening.info.language_probability) == ("en", pytest.approx(0.95))


def test_a_given_language_holds_for_every_window() -> None:
    runner = Runner(languages={3: ("fr", 0.99)})
    _, segments = asyncio.run(listen(runner, speech(*[1.024] * 4), TranscribeOptions(language="en")))
    assert {segment.language for segment in segments} == {"en"}
    assert all(window.options.expected is None for window in runner.windows)


def test_the_runner_is_given_the_speech_of_a_window() -> None:
    runner = Runner()
    asyncio.run(listen(runner, speech(1.024, 2.048, pause_s=2.048)))
    (window,) = runner.windows
    (first, second) = window.speech
    assert second[0] - first[1] == pytest.approx(0.8, abs=0.05)
    assert second[1] - second[0] == pytest.approx(2.048, abs=0.05)


def test_a_window_that_guessed_another_language_is_heard_again() -> None:
    runner = Runner(languages={1: ("de", 0.9), 2: ("nl", 0.4)})
    _, segments = asyncio.run(listen(runner, speech(3.0, 1.024, 1.024), TranscribeOptions()))
    assert len(segments) == 3
    assert [number_of(window) for window in runner.windows].count(2) == 2


def test_a_runner_s_error_is_raised_and_nothing_stays_out() -> None:
    runner = Runner(fails_at=3)
    with pytest.raises(UnsupportedLanguage):
        asyncio.run(listen(runner, speech(*[1.024] * 20)))
    assert runner.out == 0


def test_an_error_of_the_first_window_comes_before_the_listening_is_handed_out() -> None:
    async def begin() -> None:
        with pool() as threads:
            await TranscriptionStream.begin(
                by_windows(cut(speech(1.0)), TranscribeOptions(language="en"), Runner(fails_at=1).hear, threads)
            )

    with pytest.raises(UnsupportedLanguage):
        asyncio.run(begin())


TOO_LONG = AudioTooLong("too long", param="file")


@pytest.mark.parametrize(("failure", "seen"), [(TOO_LONG, AudioTooLong), (ZeroDivisionError(), BackendFailed)])
def test_an_audio_that_breaks_off_is_an_error_after_what_was_heard(failure: Exception, seen: type[SpeechError]) -> None:
    def broken() -> Iterator[Audio]:
        yield from speech(*[1.024] * 4)
        raise failure

    with pytest.raises(seen):
        asyncio.run(listen(Runner(), broken()))


def test_leaving_stops_the_cutting_and_every_window_that_is_out() -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Audio]:
        for number in range(10_000):
            drawn.append(number)
            yield from speech(1.024)

    async def leave(runner: Runner) -> None:
        with pool() as threads:
            listening = await TranscriptionStream.begin(by_windows(cut(endless()), TranscribeOptions(language="en"), runner.hear, threads))
            await anext(listening)
            await listening.aclose()
            await listening.aclose()
            assert runner.out == 0

    asyncio.run(leave(Runner()))
    assert len(drawn) < 5 * IN_FLIGHT


def test_memory_is_that_of_a_few_windows_however_long_the_audio() -> None:
    cutting = cut(speech(*[1.024] * 500))
    longest = 0
    for _ in cutting:
        longest = max(longest, len(cutting._samples))
    assert longest < 40 * VAD_RATE


@pytest.mark.parametrize(
    ("heard", "winner"),
    [
        ([], None),
        ([(10.0, WindowResult("en", 0.5)), (1.0, WindowResult("de", 1.0))], ("en", pytest.approx(5 / 11))),
        ([(5.0, WindowResult("en", 0.4)), (5.0, WindowResult("de", 0.9))], ("de", 0.45)),
        ([(5.0, WindowResult("de", 1.0)), (5.0, WindowResult("de", 0.8))], ("de", 0.9)),
    ],
)
def test_the_language_is_voted_for_by_time_and_probability(heard: list[tuple[float, WindowResult]], winner: object) -> None:
    assert vote(heard) == winner
