from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from open_speech.audio import Audio, silence
from open_speech.backends import TranscribeOptions
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import HISTORY_S, LiveInput, steps
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.live.turn_detection import Endpointer, Paused, Resumed, Started, Stopped, TurnEvent
from open_speech.recognition.live.utterance import MAX_WAITING, Utterance
from open_speech.recognition.vad import FRAME, VAD_RATE
from tests.waiting import PATIENCE_S, eventually

Say = Callable[..., Audio]


class LoudFrames:
    """A speech detector: a frame is speech if it is not silent."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        waiting = np.concatenate([self._rest, samples])
        count = len(waiting) // FRAME
        self._rest = waiting[count * FRAME :]
        return (waiting[: count * FRAME].reshape(count, FRAME).max(axis=1) > 0).astype(np.float32)


@pytest.fixture
def live() -> LiveInput:
    """Input whose turns end after half a second of silence."""
    return LiveInput(InputBuffer(LoudFrames(), Endpointer()))


def run(recognizers: LiveRecognizers, test: Callable[[LiveRecognizer], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await test(await recognizers.recognizer("reader", TranscribeOptions()))

    return asyncio.run(whole())


def kinds(events: Sequence[TurnEvent]) -> list[type[TurnEvent]]:
    return [type(event) for event in events]


@given(st.binary(max_size=300), st.sampled_from([1, 2]), st.integers(1, 40))
def test_steps_joined_are_the_audio_and_none_ends_within_a_sample(data: bytes, width: int, rate: int) -> None:
    data = data[: len(data) - len(data) % width]
    found = list(steps(data, rate, 0.5, width=width))
    assert b"".join(found) == data
    assert all(len(step) == max(1, round(rate / 2)) * width for step in found[:-1])


def test_steps_of_samples_have_the_length_that_was_asked_for() -> None:
    assert [len(step) for step in steps(np.zeros(40_000, np.float32), 16_000, 1.0)] == [16_000, 16_000, 8000]


def test_an_utterance_gets_what_was_said_between_its_start_and_its_end(recognizers: LiveRecognizers, live: LiveInput, say: Say) -> None:
    """It begins in audio that was taken before it was known, and ends before the last that was taken."""

    async def test(recognizer: LiveRecognizer) -> str:
        live.take(say(1, 2, 3))
        live.begin(Utterance(recognizer), 0.5)
        live.advance([])
        live.take(say(4, 5))
        return (await live.end(2.0).finish()).text

    assert run(recognizers, test) == "w2 w3 w4"
    assert not live.is_open


@pytest.mark.parametrize("until_s", [None, 99.0])
def test_without_an_end_in_what_was_taken_it_gets_all(
    recognizers: LiveRecognizers, live: LiveInput, say: Say, until_s: float | None
) -> None:
    async def test(recognizer: LiveRecognizer) -> str:
        live.begin(Utterance(recognizer), 0.0)
        for word in (1, 2, 3):
            live.advance(live.take(say(word)))
        return (await live.end(until_s).finish()).text

    assert run(recognizers, test) == "w1 w2 w3"
    assert live.fed_s == live.seconds == 1.5


def test_one_utterance_can_go_on_after_a_gap(recognizers: LiveRecognizers, live: LiveInput, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> str:
        utterance = Utterance(recognizer)
        live.begin(utterance, 0.0)
        live.take(say(1, 2, 3, 4))
        assert live.leave(0.5) is utterance
        live.advance([])
        assert live.fed_s == 0.5
        live.begin(utterance, 1.5)
        return (await live.end().finish()).text

    assert run(recognizers, test) == "w1 w4"


def test_the_end_of_a_turn_is_decoded_in_its_pause(recognizers: LiveRecognizers, reader: Any, live: LiveInput, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> tuple[int, str]:
        live.begin(Utterance(recognizer), 0.0)
        live.advance(live.take(say(1, 2)))
        events = live.take(silence(0.3, VAD_RATE))
        assert kinds(events) == [Paused]
        live.advance(events)
        await eventually(lambda: bool(reader.calls))
        before = len(reader.calls)
        assert kinds(live.take(silence(0.3, VAD_RATE))) == [Stopped]
        return len(reader.calls) - before, (await live.end(1.3).finish()).text

    assert run(recognizers, test) == (0, "w1 w2")


@pytest.mark.parametrize(
    ("words", "looks_ahead", "expected"),
    [((1, 1, 0, 1), True, [Started, Paused, Resumed]), ((1, 1), False, [Started])],
    ids=["speech that goes on", "an API that wants none"],
)
def test_no_pass_is_made_in(
    recognizers: LiveRecognizers, reader: Any, say: Say, words: tuple[int, ...], looks_ahead: bool, expected: list[type[TurnEvent]]
) -> None:
    """A pause that is over within the same step was none."""
    live = LiveInput(InputBuffer(LoudFrames(), Endpointer(silence_duration_ms=1000)), looks_ahead=looks_ahead)

    async def test(recognizer: LiveRecognizer) -> None:
        live.begin(Utterance(recognizer), 0.0)
        events = live.take(say(*words))
        assert kinds(events) == expected
        live.advance(events)
        if not looks_ahead:
            pause = live.take(silence(0.3, VAD_RATE))
            assert kinds(pause) == [Paused]
            live.advance(pause)
        await asyncio.sleep(0.1)
        assert reader.calls == []
        live.drop()

    run(recognizers, test)


def test_a_cancelled_utterance_is_fed_no_more(recognizers: LiveRecognizers, live: LiveInput, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer)
        live.begin(utterance, 0.0)
        live.drop()
        assert not live.is_open and not live.has_failed
        live.advance(live.take(say(1)))
        assert live.fed_s == 0
        with pytest.raises(asyncio.CancelledError):
            await utterance.finish()
        live.drop()

    run(recognizers, test)


def test_an_utterance_that_failed_is_known_before_its_end(recognizers: LiveRecognizers, reader: Any, live: LiveInput, say: Say) -> None:
    reader.broken = True

    async def test(recognizer: LiveRecognizer) -> None:
        live.begin(Utterance(recognizer), 0.0)
        assert not live.has_failed
        for _ in range(12):  # more than one window of 5 s
            live.advance(live.take(say(1)))
        await eventually(lambda: live.has_failed)
        live.drop()

    run(recognizers, test)


@pytest.mark.parametrize(("keep_s", "kept"), [(HISTORY_S, HISTORY_S), (10.0, 10.0), (30.0, 20.0), (math.inf, 20.0)])
def test_older_audio_is_forgotten(keep_s: float, kept: float) -> None:
    buffer = InputBuffer(None, None)
    live = LiveInput(buffer)
    for _ in range(20):
        live.advance(live.take(silence(1.0, VAD_RATE)), keep_s=keep_s)
    assert live.seconds - buffer.start_s == kept
    live.forget(live.seconds)
    assert buffer.start_s == live.seconds == 20


def test_a_caller_that_feeds_too_fast_waits_for_room_and_one_without_an_utterance_does_not(
    recognizers: LiveRecognizers, live: LiveInput, say: Say
) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        await live.room()
        utterance = Utterance(recognizer)
        live.begin(utterance, 0.0)
        live.advance(live.take(Audio(np.full(3 * MAX_WAITING, 0.1, np.float32), VAD_RATE)))
        waiting = asyncio.ensure_future(live.room())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting
        live.drop()

    run(recognizers, test)


class Deciding:
    """A turn detector that answers as scripted, and keeps what it was asked about."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked: list[Audio] = []

    def is_complete(self, audio: Audio) -> bool:
        self.asked.append(audio)
        return self.answers.pop(0)


def semantic_input(*answers: bool) -> tuple[LiveInput, Deciding]:
    detector = Deciding(*answers)
    turns = Endpointer(silence_duration_ms=700, longest_silence_ms=2000)
    return LiveInput(InputBuffer(LoudFrames(), turns), decider=TurnDecider("scripted", lambda: detector)), detector


def test_the_detector_is_asked_at_each_pause_and_its_answers_end_the_turn_or_not(recognizers: LiveRecognizers, say: Say) -> None:
    live, detector = semantic_input(False, True)

    async def test(recognizer: LiveRecognizer) -> None:
        assert kinds(live.take(say(0, 1, 2, 0, 3, 0, 0))) == [Started, Paused]
        live.advance([])
        assert kinds(await live.decide()) == [Resumed, Paused]
        live.advance([])
        assert kinds(await live.decide()) == [Stopped]
        assert not live.is_asking
        assert await live.decide() == []

    run(recognizers, test)
    first, second = detector.asked
    assert first.samples[0] == 0
    assert (first.samples.max(), second.samples.max()) == (pytest.approx(0.2), pytest.approx(0.3))
    assert second.seconds > first.seconds + 0.9


def test_a_long_turn_is_asked_about_as_far_as_the_detector_wants_although_it_is_no_longer_kept(
    recognizers: LiveRecognizers, say: Say
) -> None:
    live, detector = semantic_input(True)

    async def test(recognizer: LiveRecognizer) -> None:
        for _ in range(30):
            live.advance(live.take(say(1)), keep_s=HISTORY_S)
        live.advance(live.take(say(0)), keep_s=HISTORY_S)
        assert live.is_asking
        assert kinds(await live.decide()) == [Stopped]
        live.advance([], keep_s=HISTORY_S)
        assert live._buffer.start_s == pytest.approx(15.5 - HISTORY_S, abs=0.001)

    run(recognizers, test)
    assert detector.asked[0].seconds == 8


def test_without_a_decider_the_silence_ends_the_turn(recognizers: LiveRecognizers, say: Say) -> None:
    live = LiveInput(InputBuffer(LoudFrames(), Endpointer(silence_duration_ms=700, longest_silence_ms=9000)))

    async def test(recognizer: LiveRecognizer) -> None:
        live.take(say(1, 0, 0))
        assert kinds(await live.decide()) == [Stopped]

    run(recognizers, test)


def test_an_answer_about_a_turn_that_was_dropped_in_the_meantime_is_ignored(recognizers: LiveRecognizers, say: Say) -> None:
    live, _ = semantic_input(True)

    async def test(recognizer: LiveRecognizer) -> None:
        live.take(say(1, 0, 0))
        deciding = asyncio.create_task(live.decide())
        await asyncio.sleep(0)
        live.tune(None)
        assert await deciding == []
        assert live.seconds == 1.5

    run(recognizers, test)


def test_the_final_pass_of_a_pause_starts_after_the_answer(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    live, _ = semantic_input(False)

    async def test(recognizer: LiveRecognizer) -> None:
        live.advance(live.take(say(1, 0)))
        live.begin(Utterance(recognizer), 0.0)
        live.advance([Paused(0.5)])
        await asyncio.sleep(0.05)
        assert reader.calls == []
        assert await live.decide() == []
        await eventually(lambda: len(reader.calls) == 1)
        live.drop()

    run(recognizers, test)
