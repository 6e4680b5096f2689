from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Hashable, Sequence
from concurrent.futures import CancelledError

import pytest

from runners.host.batching import Ask, Batches
from tests.waiting import PATIENCE_S


class Decoder:
    """Decodes names to upper case, one batch at a time as the test lets it, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, kind: Hashable, windows: Sequence[str]) -> list[str]:
        self.batches.append(list(windows))
        self.begun.release()
        assert self.gate.acquire(timeout=PATIENCE_S)
        if "boom" in windows:
            raise ValueError("boom")
        return [window.upper() for window in windows]

    def let(self, batches: int) -> None:
        for _ in range(batches):
            self.gate.release()


def ask(name: str, *, seconds: float = 5.0, kind: str = "m", caller: str | None = None, urgency: int = 0) -> Ask[str]:
    return Ask(name, seconds, kind, caller or name, urgency)


@pytest.fixture
def decoder() -> Decoder:
    return Decoder()


def busy(decoder: Decoder, *, size: int = 4, workers: int = 1) -> Batches[str, str]:
    """A queue whose workers are all at work, so that what comes next has to wait."""
    batches: Batches[str, str] = Batches(decoder, size=size, workers=workers)
    for number in range(workers):
        batches.submit(ask(f"first{number}"))
        assert decoder.begun.acquire(timeout=PATIENCE_S)
    return batches


def test_a_window_alone_is_decoded_at_once(decoder: Decoder) -> None:
    batches: Batches[str, str] = Batches(decoder, size=4, workers=1)
    future = batches.submit(ask("a"))
    decoder.let(1)
    assert future.result(PATIENCE_S) == "A"


def test_windows_that_wait_are_decoded_together_up_to_the_size(decoder: Decoder) -> None:
    batches = busy(decoder)
    futures = [batches.submit(ask(name)) for name in "abcdef"]
    decoder.let(3)
    assert [future.result(PATIENCE_S) for future in futures] == list("ABCDEF")
    assert decoder.batches[1:] == [list("abcd"), list("ef")]


def test_only_windows_of_one_kind_and_of_like_length_share_a_batch(decoder: Decoder) -> None:
    batches = busy(decoder)
    wanted = [ask("short", seconds=2), ask("long", seconds=14), ask("other", seconds=2, kind="n"), ask("short too", seconds=3)]
    futures = [batches.submit(one) for one in wanted]
    decoder.let(4)
    for future in futures:
        future.result(PATIENCE_S)
    assert decoder.batches[1:] == [["short", "short too"], ["long"], ["other"]]


def test_who_asked_little_does_not_wait_for_who_asked_much(decoder: Decoder) -> None:
    batches = busy(decoder, size=2)
    film = [batches.submit(ask(f"film{n}", seconds=15, caller="film")) for n in range(8)]
    clip = batches.submit(ask("clip", seconds=12, caller="clip"))
    decoder.let(6)
    for future in (*film, clip):
        future.result(PATIENCE_S)
    assert "clip" in decoder.batches[1], "its turn is beside the film's first window, not after its eighth"


def test_what_is_more_urgent_goes_first(decoder: Decoder) -> None:
    batches = busy(decoder, size=1)
    wanted = (("file", 0), ("partial", 1), ("final", 2), ("partial too", 1))
    asked = [batches.submit(ask(name, urgency=urgency)) for name, urgency in wanted]
    decoder.let(5)
    for future in asked:
        future.result(PATIENCE_S)
    assert decoder.batches[1:] == [["final"], ["partial"], ["partial too"], ["file"]]


def test_a_cancelled_window_is_not_decoded(decoder: Decoder) -> None:
    batches = busy(decoder)
    gone, kept = batches.submit(ask("gone")), batches.submit(ask("kept"))
    assert gone.cancel()
    decoder.let(2)
    assert kept.result(PATIENCE_S) == "KEPT"
    with pytest.raises(CancelledError):
        gone.result(PATIENCE_S)
    assert decoder.batches[1:] == [["kept"]]


def test_a_batch_that_fails_fails_its_windows_and_not_the_worker(decoder: Decoder) -> None:
    batches = busy(decoder)
    failing = [batches.submit(ask("boom")), batches.submit(ask("beside"))]
    decoder.let(2)
    for future in failing:
        with pytest.raises(ValueError, match="boom"):
            future.result(PATIENCE_S)
    after = batches.submit(ask("after"))
    decoder.let(1)
    assert after.result(PATIENCE_S) == "AFTER"


def test_a_window_that_is_given_up_is_not_decoded(decoder: Decoder) -> None:
    batches = busy(decoder)
    late, kept = batches.submit(ask("late")), batches.submit(ask("kept"))
    batches.give_up(late, TimeoutError("late"))
    batches.give_up(late, TimeoutError("again"))
    decoder.let(2)
    assert kept.result(PATIENCE_S) == "KEPT"
    with pytest.raises(TimeoutError, match="late"):
        late.result(PATIENCE_S)
    assert decoder.batches[1:] == [["kept"]]


def test_a_window_that_is_being_decoded_is_not_given_up(decoder: Decoder) -> None:
    batches: Batches[str, str] = Batches(decoder, size=4, workers=1)
    future = batches.submit(ask("a"))
    assert decoder.begun.acquire(timeout=PATIENCE_S)
    batches.give_up(future, TimeoutError("late"))
    decoder.let(1)
    assert future.result(PATIENCE_S) == "A"


def test_a_worker_that_waits_holds_no_model() -> None:
    class Model:
        """What a kind stands for."""

    model = Model()
    batches: Batches[str, str] = Batches(lambda kind, windows: list(windows), size=1, workers=1)
    assert batches.submit(Ask("a", 1.0, model, "a")).result(PATIENCE_S) == "a"
    gone = weakref.ref(model)
    del model
    for _ in range(100):
        gc.collect()
        if gone() is None:
            break
        time.sleep(0.01)
    assert gone() is None
