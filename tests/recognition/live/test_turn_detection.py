from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.recognition.live.turn_detection import (
    FRAME_S,
    QUESTION_S,
    Endpointer,
    Paused,
    Question,
    Resumed,
    Started,
    Stopped,
    TurnEvent,
)


def frames(pattern: str) -> list[float]:
    """`#` is a frame of speech, `.` one of silence, `-` one in between: 0.4."""
    return [{"#": 0.9, ".": 0.05, "-": 0.4}[mark] for mark in pattern]


def told(pattern: str, turns: Endpointer | None = None) -> list[TurnEvent]:
    return (turns or Endpointer(silence_duration_ms=320)).feed(frames(pattern))


def kinds(events: Iterable[TurnEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_silence_has_no_turn() -> None:
    assert told("." * 500) == []


@pytest.mark.parametrize("click", ["#", "##", "#.#.#", "##.##"])
def test_a_click_begins_no_turn(click: str) -> None:
    assert told("." * 20 + click + "." * 50) == []


def test_a_turn_begins_its_padding_before_the_first_frame_of_speech() -> None:
    assert told("." * 20 + "###") == [Started(20 * FRAME_S - 0.3)]


def test_no_turn_begins_before_the_stream() -> None:
    assert told("..###") == [Started(0.0)]


def test_no_turn_begins_within_the_one_before() -> None:
    first, *_, again = told("." * 20 + "#" * 10 + "." * 10 + "###", Endpointer(prefix_padding_ms=500, silence_duration_ms=320))
    assert isinstance(first, Started)
    assert again == Started(30 * FRAME_S)


def test_a_turn_ends_where_its_speech_ended_when_the_silence_has_lasted() -> None:
    assert told("." * 20 + "#" * 10 + "." * 9)[-1:] == [Paused(30 * FRAME_S)]
    assert told("." * 20 + "#" * 10 + "." * 10)[-1:] == [Stopped(30 * FRAME_S)]


def test_a_pause_is_told_early_and_taken_back_when_speech_goes_on() -> None:
    events = told("#" * 10 + "." * 8 + "#")
    assert events == [Started(0.0), Paused(10 * FRAME_S), Resumed(18 * FRAME_S)]


def test_a_short_silence_is_no_pause() -> None:
    assert kinds(told("#" * 10 + "." * 3 + "#" * 10)) == ["Started"]


@pytest.mark.parametrize(("silence_ms", "frames_of_silence"), [(100, 2), (300, 5), (500, 7), (2000, 7)])
def test_a_pause_comes_after_200_ms_or_half_of_the_silence(silence_ms: int, frames_of_silence: int) -> None:
    turns = Endpointer(silence_duration_ms=silence_ms)
    turns.feed(frames("#" * 10))
    assert [kinds(turns.feed([0.0])) for _ in range(frames_of_silence)][-1] == ["Paused"]


def test_speech_goes_on_at_a_probability_that_would_begin_none() -> None:
    assert told("-" * 50) == []
    assert kinds(told("###" + "-" * 50)) == ["Started"]


def test_after_a_silence_speech_must_be_sure_again() -> None:
    assert kinds(told("###" + "." + "-" * 50)) == ["Started", "Paused", "Stopped"]


def test_what_is_cleared_is_as_if_never_said() -> None:
    turns = Endpointer()
    turns.feed(frames("#" * 10))
    assert turns.is_speaking
    turns.clear()
    assert not turns.is_speaking
    assert told("." * 30, turns) == []
    assert told("###", turns) == [Started(40 * FRAME_S - 0.3)]


def test_frames_that_are_skipped_count() -> None:
    turns = Endpointer(prefix_padding_ms=0)
    turns.skip(100)
    assert told("###", turns) == [Started(100 * FRAME_S)]


@given(st.lists(st.floats(0, 1, width=32), max_size=400), st.lists(st.integers(0, 400), max_size=5), st.integers(50, 1500))
def test_however_the_frames_are_cut_the_turns_are_the_same_and_in_order(probabilities: list[float], cuts: list[int], silence: int) -> None:
    whole = Endpointer(silence_duration_ms=silence).feed(probabilities)
    turns = Endpointer(silence_duration_ms=silence)
    places = [0, *sorted(min(cut, len(probabilities)) for cut in cuts), len(probabilities)]
    pieces = [event for start, end in zip(places, places[1:], strict=False) for event in turns.feed(probabilities[start:end])]
    assert pieces == whole
    follows = {"Started": {"Paused", "Stopped"}, "Paused": {"Resumed", "Stopped"}, "Resumed": {"Paused", "Stopped"}, "Stopped": {"Started"}}
    assert all(after in follows[before] for before, after in zip(kinds(whole), kinds(whole)[1:], strict=False))
    assert kinds(whole)[:1] in ([], ["Started"])
    times = [event.at_s for event in whole]
    assert times == sorted(times)


def semantic(longest_ms: int = 1600) -> Endpointer:
    """Turns that are asked about after 7 frames of silence (0.2 s), and end after 22 frames (0.7 s) without an answer."""
    return Endpointer(silence_duration_ms=700, longest_silence_ms=longest_ms)


def asked(pattern: str, *answers: bool | None, turns: Endpointer | None = None) -> list[TurnEvent]:
    """Feed a pattern at once, and answer its questions in order; the last answer is repeated."""
    turns = turns or semantic()
    events, left = turns.feed(frames(pattern)), list(answers)
    while turns.question is not None:
        events += turns.answer(left.pop(0) if len(left) > 1 else left[0])
    return events


def test_a_complete_turn_ends_at_once_where_its_speech_ended() -> None:
    turns = semantic()
    assert turns.feed(frames("." * 20 + "#" * 10 + "." * 50)) == [Started(20 * FRAME_S - 0.3), Paused(30 * FRAME_S)]
    assert turns.question == Question(20 * FRAME_S - 0.5, 37 * FRAME_S)
    assert turns.seconds == 37 * FRAME_S
    assert turns.answer(True) == [Stopped(30 * FRAME_S)]
    assert turns.question is None
    assert turns.seconds == 80 * FRAME_S


def test_a_turn_that_is_not_complete_ends_after_the_longest_silence_since_its_speech() -> None:
    assert kinds(asked("#" * 10 + "." * 49, False)) == ["Started", "Paused"]
    assert asked("#" * 10 + "." * 50, False)[-1:] == [Stopped(10 * FRAME_S)]


def test_without_an_answer_the_silence_ends_the_turn() -> None:
    assert kinds(asked("#" * 10 + "." * 21, None)) == ["Started", "Paused"]
    assert asked("#" * 10 + "." * 22, None)[-1:] == [Stopped(10 * FRAME_S)]


def test_a_silence_shorter_than_a_pause_ends_no_turn_before_the_question() -> None:
    turns = Endpointer(silence_duration_ms=100, longest_silence_ms=1600)
    assert turns.feed(frames("#" * 10 + "." * 6)) == [Started(0.0)]
    assert turns.feed(frames("..")) == [Paused(10 * FRAME_S)]
    assert turns.answer(None) == [Stopped(10 * FRAME_S)]


def test_after_more_speech_it_is_asked_again() -> None:
    events = asked("#" * 10 + "." * 30 + "#" * 10 + "." * 10, False, True)
    assert events == [Started(0.0), Paused(10 * FRAME_S), Resumed(40 * FRAME_S), Paused(50 * FRAME_S), Stopped(50 * FRAME_S)]


def test_an_answer_counts_only_until_there_is_speech() -> None:
    events = asked("#" * 10 + "." * 30 + "#" * 10 + "." * 22, False, None)
    assert events[-1] == Stopped(50 * FRAME_S)


def test_speech_that_follows_a_complete_turn_is_the_next_turn() -> None:
    events = asked("#" * 10 + "." * 9 + "#" * 10 + "." * 9, True)
    assert kinds(events) == ["Started", "Paused", "Stopped"] * 2
    assert events[3] == Started(10 * FRAME_S)  # its padding reaches to the end of the last turn


@pytest.mark.parametrize("click", ["#", "##", "#.##."])
def test_a_click_in_a_long_silence_does_not_begin_it_again(click: str) -> None:
    events = asked("#" * 10 + "." * 20 + click + "." * (30 - len(click)), False)
    assert events == [Started(0.0), Paused(10 * FRAME_S), Stopped(10 * FRAME_S)]


def test_a_question_is_about_this_turn_and_at_most_its_last_seconds() -> None:
    turns = semantic()
    asked("#" * 10 + "." * 8, True, turns=turns)
    turns.feed(frames("#" * 10 + "." * 8))
    assert turns.question == Question(10 * FRAME_S, 35 * FRAME_S)
    turns.answer(False)
    turns.feed(frames("#" * 500 + "." * 8))
    assert turns.question is not None
    assert turns.question.end_s - turns.question.start_s == QUESTION_S


def test_the_audio_of_a_turn_is_needed_until_it_ends() -> None:
    turns = semantic()
    turns.feed(frames("." * 40))
    assert turns.needed_s == math.inf
    turns.feed(frames("#" * 40))
    assert turns.needed_s == 40 * FRAME_S - 0.5
    turns.feed(frames("#" * 400))
    assert turns.needed_s == turns.seconds - QUESTION_S
    asked("." * 10, True, turns=turns)
    assert turns.needed_s == math.inf
    timer = Endpointer()
    timer.feed(frames("#" * 40))
    assert timer.needed_s == math.inf


def test_an_answer_without_a_question_changes_nothing() -> None:
    turns = semantic()
    turns.feed(frames("#" * 10))
    assert turns.answer(True) == []
    assert turns.is_speaking


def test_what_is_cleared_is_not_asked_about_and_its_waiting_audio_has_passed() -> None:
    turns = semantic()
    turns.feed(frames("#" * 10 + "." * 30))
    turns.clear()
    assert (turns.question, turns.is_speaking, turns.seconds) == (None, False, 40 * FRAME_S)
    assert turns.answer(True) == []
    assert turns.feed(frames("###")) == [Started(40 * FRAME_S)]


@pytest.mark.parametrize(("before", "after"), [(Endpointer(), semantic()), (semantic(), Endpointer())])
def test_another_endpointer_continues_the_turn_in_progress(before: Endpointer, after: Endpointer) -> None:
    before.feed(frames("#" * 10 + "." * 4))
    after.follow(before)
    events = asked("." * 18, None, turns=after)
    assert events == [Paused(10 * FRAME_S), Stopped(10 * FRAME_S)]


ANSWERS = [True, False, None]


@given(st.text("#.-", max_size=400), st.lists(st.integers(1, 60), min_size=1, max_size=20), st.integers(0, 2))
def test_semantic_turns_do_not_depend_on_how_the_frames_arrive(pattern: str, sizes: list[int], shift: int) -> None:
    """The answer depends on the question alone, as that of a detector does."""

    def run(pieces: list[str]) -> list[TurnEvent]:
        turns, events = semantic(), []
        for piece in pieces:
            events += turns.feed(frames(piece))
            while (question := turns.question) is not None:
                events += turns.answer(ANSWERS[(round(question.end_s / FRAME_S) + shift) % 3])
        return events

    pieces, at = [], 0
    while at < len(pattern):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(pattern[at : at + size])
        at += size
    assert run(pieces) == run([pattern])
