"""The turn detector of a server, asked by many sessions: threads, deadline, failures."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable

import pytest

from open_speech.audio import Audio, silence
from open_speech.metrics.meter import Meter
from open_speech.recognition.live.turn_decider import FAILURES, REST_S, THREADS, TurnDecider, TurnDetector
from tests.waiting import PATIENCE_S

AUDIO = silence(1, 16_000)


class Scripted:
    """A turn detector that answers as scripted: a value, an exception, or an event that it waits for first."""

    def __init__(self, *script: bool | Exception | threading.Event) -> None:
        self.script = list(script)
        self.asked: list[Audio] = []
        self.threads: set[str] = set()
        self.most = self.under_way = 0

    def is_complete(self, audio: Audio) -> bool:
        self.asked.append(audio)
        self.threads.add(threading.current_thread().name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            answer = self.script.pop(0)
            if isinstance(answer, threading.Event):
                answer.wait(10)
                return True
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.under_way -= 1


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def decided(decider: TurnDecider, times: int = 1) -> list[bool | None]:
    async def ask() -> list[bool | None]:
        return [await decider.is_complete(AUDIO) for _ in range(times)]

    return asyncio.run(ask())


def opener(detector: TurnDetector, opened: list[int] | None = None) -> Callable[[], TurnDetector]:
    def open() -> TurnDetector:
        if opened is not None:
            opened.append(1)
        return detector

    return open


def test_without_a_detector_nothing_is_decided() -> None:
    decider = TurnDecider()
    assert (decider.name, decider.is_semantic, decided(decider)) == ("timer", False, [None])
    asyncio.run(_prepared(decider))


def test_it_is_opened_once_and_asked_in_a_thread() -> None:
    opened: list[int] = []
    detector = Scripted(True, False)
    decider = TurnDecider("scripted", opener(detector, opened))
    assert decider.is_semantic
    assert decided(decider, 2) == [True, False]
    assert (len(opened), detector.threads) == (1, {"turn-detector"})
    assert detector.asked == [AUDIO, AUDIO]


async def _prepared(decider: TurnDecider) -> None:
    decider.prepare()
    await asyncio.sleep(0.05)


def test_it_can_be_opened_before_the_first_question_and_may_fail_there() -> None:
    opened: list[int] = []
    decider = TurnDecider("scripted", opener(Scripted(True), opened))

    async def twice() -> None:
        await _prepared(decider)
        await _prepared(decider)

    asyncio.run(twice())
    assert len(opened) == 1

    def missing() -> TurnDetector:
        raise FileNotFoundError("no such file")

    asyncio.run(_prepared(TurnDecider("missing", missing)))


def test_one_that_cannot_be_opened_decides_nothing_until_it_can(caplog: pytest.LogCaptureFixture) -> None:
    attempts: Iterable[TurnDetector | None] = iter([None, None, Scripted(True)])

    def open() -> TurnDetector:
        found = next(attempts)  # type: ignore[call-overload]
        if found is None:
            raise FileNotFoundError("smart-turn.onnx is missing")
        assert isinstance(found, Scripted)
        return found

    with caplog.at_level(logging.WARNING):
        assert decided(TurnDecider("mine", open), 3) == [None, None, True]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["the turn detector mine has failed, and the silence decides instead: FileNotFoundError: smart-turn.onnx is missing"]


def test_one_that_raises_decides_nothing_and_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    decider = TurnDecider("mine", opener(Scripted(ValueError("too short"), True, ValueError("too long"))))
    with caplog.at_level(logging.WARNING):
        assert decided(decider, 3) == [None, True, None]
    assert len(caplog.records) == 2  # one for each series of failures


def test_one_that_is_late_decides_nothing_within_its_deadline() -> None:
    go = threading.Event()
    detector = Scripted(go)
    meter = Meter()
    decider = TurnDecider("slow", opener(detector), deadline_s=0.05, meter=meter)

    async def ask() -> None:
        async with asyncio.timeout(PATIENCE_S / 4):
            assert await decider.is_complete(AUDIO) is None

    try:
        asyncio.run(ask())
    finally:
        go.set()
    assert _count(meter, "late") == 1


def _count(meter: Meter, outcome: str) -> float:
    return meter.figures.registry.get_sample_value("open_speech_turn_decision_seconds_count", {"outcome": outcome}) or 0.0


def test_the_decisions_are_counted_by_outcome() -> None:
    meter = Meter()
    decided(TurnDecider("mine", opener(Scripted(True, True, False, ValueError())), meter=meter), 4)
    assert [_count(meter, outcome) for outcome in ("complete", "incomplete", "failed", "late")] == [2, 1, 1, 0]


def test_after_some_failures_it_is_left_alone_for_a_while() -> None:
    clock = Clock()
    detector = Scripted(*[ValueError()] * FAILURES, True)
    decider = TurnDecider("mine", opener(detector), clock=clock)
    assert decided(decider, FAILURES + 5) == [None] * (FAILURES + 5)
    assert len(detector.asked) == FAILURES
    clock.now = REST_S
    assert decided(decider) == [True]


def test_threads_that_hang_take_no_others() -> None:
    """Those that hang keep their places. Later questions are late, and leave no thread behind."""
    go = threading.Event()
    detector = Scripted(*[go] * THREADS, True)
    decider = TurnDecider("hangs", opener(detector), deadline_s=0.05)

    async def ask() -> list[bool | None]:
        return list(await asyncio.gather(*(decider.is_complete(AUDIO) for _ in range(20))))

    try:
        assert asyncio.run(ask()) == [None] * 20
        assert (len(detector.asked), detector.most) == (THREADS, THREADS)
    finally:
        go.set()


def test_a_session_that_ends_does_not_wait_for_its_answer() -> None:
    go = threading.Event()
    decider = TurnDecider("slow", opener(Scripted(go)), deadline_s=60)

    async def leave() -> None:
        asking = asyncio.create_task(decider.is_complete(AUDIO))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go.set()
        await asyncio.sleep(0.05)

    asyncio.run(leave())
