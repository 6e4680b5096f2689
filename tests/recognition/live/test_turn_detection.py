from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.recognition.live.turn_detection import FRAME_S, Paused, Resumed, Started, Stopped, TurnDetector, TurnEvent


def frames(pattern: str) -> list[float]:
    """`#` is a frame of speech, `.` one of silence, `-` one in between: 0.4."""
    return [{"#": 0.9, ".": 0.05, "-": 0.4}[mark] for mark in pattern]


def told(pattern: str, turns: TurnDetector | None = None) -> list[TurnEvent]:
    return (turns or TurnDetector(silence_duration_ms=320)).feed(frames(pattern))


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
    first, *_, again = told("." * 20 + "#" * 10 + "." * 10 + "###", TurnDetector(prefix_padding_ms=500, silence_duration_ms=320))
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
    turns = TurnDetector(silence_duration_ms=silence_ms)
    turns.feed(frames("#" * 10))
    assert [kinds(turns.feed([0.0])) for _ in range(frames_of_silence)][-1] == ["Paused"]


def test_speech_goes_on_at_a_probability_that_would_begin_none() -> None:
    assert told("-" * 50) == []
    assert kinds(told("###" + "-" * 50)) == ["Started"]


def test_after_a_silence_speech_must_be_sure_again() -> None:
    assert kinds(told("###" + "." + "-" * 50)) == ["Started", "Paused", "Stopped"]


def test_what_is_cleared_is_as_if_never_said() -> None:
    turns = TurnDetector()
    turns.feed(frames("#" * 10))
    assert turns.is_speaking
    turns.clear()
    assert not turns.is_speaking
    assert told("." * 30, turns) == []
    assert told("###", turns) == [Started(40 * FRAME_S - 0.3)]


def test_frames_that_are_skipped_count() -> None:
    turns = TurnDetector(prefix_padding_ms=0)
    turns.skip(100)
    assert told("###", turns) == [Started(100 * FRAME_S)]


@given(st.lists(st.floats(0, 1, width=32), max_size=400), st.lists(st.integers(0, 400), max_size=5), st.integers(50, 1500))
def test_however_the_frames_are_cut_the_turns_are_the_same_and_in_order(probabilities: list[float], cuts: list[int], silence: int) -> None:
    whole = TurnDetector(silence_duration_ms=silence).feed(probabilities)
    turns = TurnDetector(silence_duration_ms=silence)
    places = [0, *sorted(min(cut, len(probabilities)) for cut in cuts), len(probabilities)]
    pieces = [event for start, end in zip(places, places[1:], strict=False) for event in turns.feed(probabilities[start:end])]
    assert pieces == whole
    follows = {"Started": {"Paused", "Stopped"}, "Paused": {"Resumed", "Stopped"}, "Resumed": {"Paused", "Stopped"}, "Stopped": {"Started"}}
    assert all(after in follows[before] for before, after in zip(kinds(whole), kinds(whole)[1:], strict=False))
    assert kinds(whole)[:1] in ([], ["Started"])
    times = [event.at_s for event in whole]
    assert times == sorted(times)
