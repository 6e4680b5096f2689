from __future__ import annotations

import pytest

from open_speech.api.live.timeline import AHEAD_S, BEHIND_S, Timeline, grid_down, grid_up

RATE = 24_000


def run(timeline: Timeline, now: float) -> int:
    """Process all that may be processed; return the ticks that ended."""
    ticks = 0
    while samples := timeline.ready(now):
        ticks += timeline.advance(samples)
    return ticks


def test_nothing_advances_without_audio() -> None:
    timeline = Timeline(RATE)
    assert timeline.ready(1000.0) == 0
    assert timeline.next_at() is None


@pytest.mark.parametrize("rate", [24_000, 16_000, 8_000])
def test_each_100_ms_of_audio_is_one_tick(rate: int) -> None:
    timeline = Timeline(rate)
    ticks = 0
    for frame in range(50):
        timeline.receive(rate // 50, frame / 50)
        ticks += run(timeline, frame / 50)
    assert (ticks, timeline.ms, timeline.waiting) == (10, 1000, 0)


def test_a_frame_of_100_ms_is_processed_when_it_arrives() -> None:
    timeline = Timeline(RATE)
    timeline.receive(RATE // 10, 5.0)
    assert run(timeline, 5.0) == 1


def test_audio_in_advance_is_processed_in_real_time() -> None:
    timeline = Timeline(RATE)
    timeline.receive(10 * RATE, 0.0)
    assert run(timeline, 0.0) == round(AHEAD_S * 10)
    assert run(timeline, 1.0) == 10
    assert timeline.next_at() == pytest.approx(1.1)
    run(timeline, 100.0)
    assert timeline.seconds == 10.0


def test_audio_that_the_network_held_back_is_caught_up() -> None:
    timeline = Timeline(RATE)
    timeline.receive(RATE // 10, 0.0)
    run(timeline, 0.0)
    timeline.receive(RATE, 1.1)
    assert run(timeline, 1.1) == 10


def test_a_pause_of_the_client_is_not_caught_up() -> None:
    timeline = Timeline(RATE)
    timeline.receive(RATE // 10, 0.0)
    run(timeline, 0.0)
    timeline.receive(20 * RATE, 60.0)
    assert run(timeline, 60.0) == round((BEHIND_S + AHEAD_S) * 10)


def test_times_are_rounded_to_the_grid() -> None:
    assert (grid_down(399), grid_up(401), grid_up(400), grid_down(400)) == (200, 600, 400, 400)


def test_a_transport_that_keeps_time_itself_is_never_ahead() -> None:
    timeline = Timeline(RATE, is_paced=False)
    timeline.receive(10 * RATE, 0.0)
    assert run(timeline, 0.0) == 100
    assert timeline.next_at() is None
