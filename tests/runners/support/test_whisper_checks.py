from __future__ import annotations

import pytest

from open_speech.transcript import Segment
from runners.support.whisper_checks import (
    Attempt,
    Figures,
    Flaw,
    better,
    ends_in_loop,
    is_doubled,
    is_sparse,
    left_out,
    looks_bad,
    says_more,
    spoken_s,
    stretches,
)
from runners.support.whisper_options import Piece

END = 50


@pytest.mark.parametrize(
    ("tokens", "loops"),
    [
        ([], False),
        ([1, 2, 3, 4, 5], False),
        ([1, 1, 1, 1], True),
        ([9, 1, 2, 1, 2, 1, 2, 1, 2], True),
        ([1, 2, 1, 2, 1, 2, 3], False),
        (list(range(12)) * 4, True),
        (list(range(13)) * 4, False),
    ],
)
def test_a_text_that_ends_in_a_loop_is_known(tokens: list[int], loops: bool) -> None:
    assert ends_in_loop(tokens) is loops


@pytest.mark.parametrize(("logprob", "compression", "bad"), [(-0.3, 1.2, False), (-1.1, 1.2, True), (-0.3, 2.5, True)])
def test_an_improbable_or_repetitive_text_looks_bad(logprob: float, compression: float, bad: bool) -> None:
    assert looks_bad([1, 2, 3], END, logprob, compression) is bad


def test_a_sentence_said_again_and_again_is_no_loop_if_it_fits_its_speech() -> None:
    five_times = list(range(9)) * 5
    assert not looks_bad(five_times, END, -0.3, 3.9, ((0.0, 10.0),))
    assert looks_bad(five_times, END, -0.3, 3.9, ((0.0, 5.0),))
    assert looks_bad(five_times, END, -0.8, 3.9, ((0.0, 10.0),))
    assert looks_bad([1, 2] * 20, END, -0.3, 3.9, ((0.0, 10.0),))
    assert looks_bad(five_times, END, -0.3, 3.9)


SENTENCE = list(range(10))
THREE_TIMES = ((0.0, 3.6), (4.0, 7.6), (8.0, 11.6))


@pytest.mark.parametrize(
    ("pieces", "speech", "sparse"),
    [
        ([Piece(0, 12, SENTENCE)], THREE_TIMES, True),
        ([Piece(0, 3.6, SENTENCE), Piece(4, 7.6, SENTENCE), Piece(8, 12, SENTENCE)], THREE_TIMES, False),
        ([Piece(0, 3.6, SENTENCE), Piece(4, 7.6, SENTENCE)], THREE_TIMES, False),
        ([Piece(0, 3.6, SENTENCE)], ((0.0, 4.5),), False),
        ([Piece(0, 3.6, [1])], ((0.0, 0.9),), False),
        ([Piece(0, 12, SENTENCE)], (), False),
        ([], THREE_TIMES, True),
        ([], (), False),
    ],
    ids=["said three times", "all of it", "the last is missing", "a slow speaker", "one short word", "nothing known", "no text", "nothing"],
)
def test_a_text_that_is_far_too_short_for_its_speech_is_known(
    pieces: list[Piece], speech: tuple[tuple[float, float], ...], sparse: bool
) -> None:
    assert is_sparse(pieces, speech) is sparse


@pytest.mark.parametrize(
    ("tokens", "said_s", "doubled"),
    [
        (SENTENCE * 2, 2.5, True),
        (SENTENCE * 2, 5.0, False),
        (SENTENCE + SENTENCE[::-1], 2.5, False),
        ([1, 2, 1, 2], 0.5, True),
        ([], 1.0, False),
    ],
)
def test_a_sentence_is_doubled_if_it_could_not_have_been_said_twice(tokens: list[int], said_s: float, doubled: bool) -> None:
    assert is_doubled(tokens, ((0.5, 0.5 + said_s),)) is doubled


def attempt(tokens: int, flaw: Flaw, *, logprob: float = -0.3, compression: float = 1.0) -> Attempt:
    pieces = (Piece(0, 1, list(range(tokens))),) if tokens else ()
    return Attempt(pieces, Figures(0.0, logprob, compression, 0.0), flaw)


@pytest.mark.parametrize(
    ("one", "other", "second_wins"),
    [
        (attempt(10, Flaw.SPARSE), attempt(30, Flaw.NONE), True),
        (attempt(10, Flaw.SPARSE), attempt(11, Flaw.NONE), True),
        (attempt(10, Flaw.SPARSE), attempt(11, Flaw.SPARSE), False),
        (attempt(10, Flaw.SPARSE), attempt(30, Flaw.BAD), False),
        (attempt(10, Flaw.BAD), attempt(5, Flaw.NONE), True),
        (attempt(0, Flaw.SPARSE), attempt(1, Flaw.SPARSE), True),
        (attempt(10, Flaw.BAD, logprob=-1.5), attempt(10, Flaw.BAD, logprob=-1.2), True),
        (attempt(10, Flaw.BAD, logprob=-1.5), attempt(90, Flaw.BAD, logprob=-0.1, compression=9.0), False),
    ],
)
def test_the_better_of_two_attempts_is_kept(one: Attempt, other: Attempt, second_wins: bool) -> None:
    assert better(one, other) is (other if second_wins else one)


def test_a_window_is_cut_in_its_silences_and_each_part_has_speech() -> None:
    assert stretches(THREE_TIMES, 12.0) == [(0.0, 3.8), (3.8, 7.8), (7.8, 12.0)]
    assert stretches(((0.0, 0.3), (1.0, 4.0), (4.1, 6.0), (7.0, 7.2)), 8.0) == [(0.0, 8.0)]
    assert stretches((), 5.0) == [(0.0, 5.0)]


@pytest.mark.parametrize(
    ("heard", "goes_on"),
    [(11.6, None), (11.3, None), (7.6, 7.8), (7.9, 7.8), (3.5, 3.8), (12.0, None)],
)
def test_speech_behind_the_end_of_a_text_is_found(heard: float, goes_on: float | None) -> None:
    assert left_out(THREE_TIMES, heard) == (None if goes_on is None else pytest.approx(goes_on))


def test_a_last_short_word_is_not_decoded_alone() -> None:
    assert left_out(((0.0, 3.0), (4.0, 4.3)), 3.0) is None


def test_parts_replace_a_whole_if_they_say_more_and_are_as_sure_of_it() -> None:
    def segments(count: int, logprob: float) -> list[Segment]:
        return [Segment(0, 1, "", tokens=tuple(range(count)), avg_logprob=logprob)]

    assert says_more(segments(30, -0.4), segments(10, -0.3))
    assert not says_more(segments(11, -0.3), segments(10, -0.3))
    assert not says_more(segments(13, -0.6), segments(10, -0.3))
    assert not says_more(segments(30, -0.9), segments(10, -0.3))
    assert not says_more([], [])


def test_speech_is_counted_between_two_times() -> None:
    assert spoken_s(THREE_TIMES, 3.0, 5.0) == pytest.approx(1.6)
    assert spoken_s((), 0.0, 5.0) == 0
