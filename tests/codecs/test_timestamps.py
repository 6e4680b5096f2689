from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.codecs.timestamps import JITTER_S, OVERLAP_S, RESTART_S, Clock, Place, believable

RATE, FRAME = 1000, 20


def placed(times: list[float | None], start_s: float | None = 0.0, *, joined: bool = False) -> tuple[list[Place], float]:
    clock = Clock(start_s, joined=joined)
    places = [clock.place(time, FRAME, RATE) for time in times]
    return places, clock.position_s


def steady(first: float, count: int) -> list[float | None]:
    return [first + n * FRAME / RATE for n in range(count)]


def test_frames_that_follow_one_another_stay_as_they_are() -> None:
    assert placed(steady(0.0, 5)) == ([Place()] * 5, pytest.approx(0.1))


def test_frames_without_times_are_laid_end_to_end() -> None:
    assert placed([None] * 5) == ([Place()] * 5, pytest.approx(0.1))


def test_a_missing_stretch_becomes_a_gap_of_its_length() -> None:
    places, end = placed([*steady(0.0, 2), *steady(3.04, 2)])
    assert [place.gap for place in places] == [0, 0, 3000, 0]
    assert end == pytest.approx(3.08)


@pytest.mark.parametrize(("start_s", "first", "gap"), [(0.0, 4.9, 4900), (7.0, 9.5, 2500), (None, 4.9, 0), (0.0, 0.09, 0), (5.0, 4.0, 0)])
def test_the_first_frame_is_placed_relative_to_the_start_of_the_container(start_s: float | None, first: float, gap: int) -> None:
    places, _ = placed(steady(first, 3), start_s)
    assert places == [Place(gap), Place(), Place()]


def test_jitter_changes_nothing_and_does_not_add_up() -> None:
    times = [time + (0.04 if n % 2 else -0.04) for n, time in enumerate(steady(1.0, 200)) if time is not None]
    places, end = placed([*times], start_s=None)
    assert set(places[1:]) == {Place()}
    assert end == pytest.approx(200 * 0.02)


def test_small_gaps_are_filled_when_together_they_are_more_than_jitter() -> None:
    times = [n * 0.03 for n in range(100)]
    _, end = placed([*times])
    assert end == pytest.approx(times[-1] + 0.02, abs=JITTER_S)


def test_frames_that_come_twice_are_dropped_once() -> None:
    places, end = placed([*steady(0.0, 50), *steady(0.6, 50)])
    assert sum(place.drop for place in places) == pytest.approx(400, abs=1)
    assert end == pytest.approx(1.6)


def test_a_clock_that_starts_again_loses_no_audio() -> None:
    places, end = placed([*steady(0.0, 200), *steady(0.0, 200)])
    assert set(places) == {Place()}
    assert end == pytest.approx(8.0)


def test_a_gap_after_a_clock_started_again_is_still_a_gap() -> None:
    places, end = placed([*steady(0.0, 200), *steady(0.0, 100), *steady(5.0, 100)])
    assert sum(place.gap for place in places) == 3000
    assert end == pytest.approx(4 + 2 + 3 + 2)


def test_only_a_broadcast_stream_may_jump_ahead_to_a_new_clock() -> None:
    times = [*steady(0.0, 2), *steady(2 * RESTART_S, 2)]
    assert placed(times)[1] == pytest.approx(2 * RESTART_S + 0.04)
    assert placed(times, joined=True)[1] == pytest.approx(0.08)
    short = [*steady(0.0, 2), *steady(RESTART_S / 2, 2)]
    assert placed(short, joined=True)[1] == pytest.approx(RESTART_S / 2 + 0.04)


@given(
    st.lists(st.tuples(st.floats(-2, 3, allow_nan=False), st.integers(1, 400)), min_size=1, max_size=60),
    st.sampled_from([8000, 44_100, 48_000]),
)
def test_whatever_the_times_only_what_overlaps_is_dropped(jumps: list[tuple[float, int]], rate: int) -> None:
    clock, time, there = Clock(0.0), 0.0, 0
    for jump, samples in jumps:
        time = max(0.0, time + jump)
        before = clock.position_s
        place = clock.place(time, samples, rate)
        assert 0 <= place.drop <= samples
        assert place.gap >= 0
        assert place.drop / rate <= OVERLAP_S
        assert clock.position_s == pytest.approx(before + (place.gap + samples - place.drop) / rate)
        there += samples


@given(st.permutations([0.0, 0.02, 0.05, 0.09, 0.15, 0.5, 2.0, 30.0]))
def test_any_order_of_gaps_ends_where_the_times_say(gaps: list[float]) -> None:
    times = steady(0.0, 10)
    at = 10 * FRAME / RATE
    for gap in gaps:
        at += gap
        times += steady(at, 10)
        at += 10 * FRAME / RATE
    places, end = placed(times)
    assert end == pytest.approx(at, abs=JITTER_S)
    assert not any(place.drop for place in places)


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([0, 1, 90_000, 3, 4], [0, 1, None, 3, 4]),
        ([5, 6, 0, 8], [5, 6, None, 8]),
        ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2]),
        ([0, 1, 500, 501], [0, 1, 500, 501]),
        ([0, None, 2, 9, 3], [0, None, 2, None, 3]),
        ([0, 1, 1, 2], [0, 1, 1, 2]),
        ([0, 1, 90_000], [0, 1, 90_000]),
        ([7], [7]),
        ([], []),
    ],
)
def test_a_single_time_out_of_order_is_not_believed(times: list[float | None], kept: list[float | None]) -> None:
    assert [time for _, time in believable(enumerate(times))] == kept
