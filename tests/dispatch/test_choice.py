"""Which replica gets a call, with the random choice of the candidates given."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from open_speech.audio import silence
from open_speech.backends import STT_RATE, SpeechOptions, TranscribeOptions
from open_speech.dispatch.choice import CALL_S, WARM_S, Candidate, Choice, choose, work_s
from open_speech.dispatch.frames import GenerateCall, LoadModel, SpeakCall, TranscribeCall

IDLE, BUSY = Candidate(0.0, True), Candidate(8.0, True)


def first(addresses: list[str], count: int) -> list[str]:
    """The sample that is made of the first ones."""
    return addresses[:count]


def test_of_two_replicas_the_one_with_less_audio_outstanding_is_chosen() -> None:
    assert choose({"a": BUSY, "b": IDLE}, sample=first) == Choice("b")


def test_only_two_are_compared() -> None:
    assert choose({"a": BUSY, "b": Candidate(4.0, True), "c": IDLE}, sample=first) == Choice("b")


def test_every_replica_gets_its_share() -> None:
    """A thousand calls of one second, none of which ends: the work is even, though each choice is by lot."""
    work, lot = dict.fromkeys("abcde", 0.0), random.Random(7)
    for _ in range(1000):
        work[choose({name: Candidate(s, True) for name, s in work.items()}, sample=lot.sample).replica] += 1
    assert max(work.values()) - min(work.values()) <= 5


def test_a_slow_replica_gets_fewer_calls() -> None:
    """The quick one ends all its calls between two calls, the slow one ends none."""
    lot, chosen, slow_s = random.Random(7), Counter[str](), 0.0
    for _ in range(100):
        replica = choose({"slow": Candidate(slow_s, True), "quick": Candidate(0.0, True)}, sample=lot.sample).replica
        chosen[replica] += 1
        slow_s += replica == "slow"
    assert chosen["slow"] <= 1


def test_a_replica_with_the_model_is_preferred_to_an_idle_one_without() -> None:
    assert choose({"a": Candidate(0.0, False), "b": BUSY}, sample=first).replica == "b"


def test_the_model_is_loaded_at_another_replica_when_those_that_have_it_are_busy() -> None:
    busy = Candidate(WARM_S + 1, True)
    assert choose({"a": Candidate(0.0, False), "b": busy}, sample=first) == Choice("b", warm="a")
    assert choose({"a": Candidate(2.0, False), "b": busy}, sample=first) == Choice("b")


def test_a_model_that_no_replica_has_goes_to_the_less_busy_one() -> None:
    assert choose({"a": Candidate(5.0, False), "b": Candidate(1.0, False)}, sample=first) == Choice("b")


def test_a_failing_replica_is_left_out_and_never_warmed() -> None:
    failing = Candidate(0.0, False, is_failing=True)
    assert choose({"a": failing, "b": Candidate(10 * WARM_S, True)}, sample=first) == Choice("b")


@pytest.mark.parametrize(
    ("failing", "avoided", "chosen"),
    [
        ("", "a", "b"),
        ("b", "a", "a"),  # better a working one again than one that fails
        ("ab", "a", "b"),
        ("ab", "ab", "a"),  # any is better than none
    ],
)
def test_a_retry_goes_elsewhere_if_it_can(failing: str, avoided: str, chosen: str) -> None:
    candidates = {name: Candidate(0.0, True, is_failing=name in failing) for name in "ab"}
    assert choose(candidates, avoided, sample=first).replica == chosen


def test_work_is_counted_in_seconds_of_audio() -> None:
    call = TranscribeCall.of("m", silence(3.0, STT_RATE), TranscribeOptions())
    assert work_s(call) == pytest.approx(3.0 + CALL_S)
    short, long = (SpeakCall.of("m", text, SpeechOptions("v")) for text in ("Hi.", "A much longer sentence."))
    assert work_s(short) < work_s(long)
    assert work_s(GenerateCall.of("m", {})) > CALL_S
    assert work_s(LoadModel("m")) == 0
