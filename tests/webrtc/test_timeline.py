from __future__ import annotations

import numpy as np
import pytest

from open_speech.webrtc.decoding import Samples
from open_speech.webrtc.timeline import QUIET_S, Timeline, TooFast

FRAME = 960


class Pcm:
    """Packets of 16-bit samples, and gaps of ones."""

    rate = 48_000

    def decode(self, payload: bytes) -> Samples:
        return np.frombuffer(payload, np.int16).astype(np.float32)

    def fill(self, count: int, following: bytes | None) -> Samples:
        assert following
        return np.ones(count, np.float32)


def frame() -> bytes:
    return np.full(FRAME, 7, np.int16).tobytes()


def test_frames_without_gaps_are_passed_on() -> None:
    timeline = Timeline(Pcm(), 0.0)
    parts = [timeline.add(number * FRAME, frame(), number * 0.02) for number in range(10)]
    assert [len(part) for part in parts] == [FRAME] * 10
    assert timeline.missing == 0


def test_the_audio_keeps_its_time_line_when_packets_are_lost() -> None:
    timeline = Timeline(Pcm(), 0.0)
    kept = [number for number in range(100) if number % 3]
    total = sum(len(timeline.add(number * FRAME, frame(), number * 0.02)) for number in kept)
    assert total == (kept[-1] + 1 - kept[0]) * FRAME
    assert timeline.missing == total - len(kept) * FRAME


def test_silence_is_added_by_the_clock_when_no_packet_arrives() -> None:
    timeline = Timeline(Pcm(), 0.0)
    timeline.add(0, frame(), 0.0)
    assert len(timeline.tick(QUIET_S - 0.01)) == 0
    silence = [timeline.tick(at) for at in (0.5, 0.6, 0.7)]
    assert [len(part) for part in silence] == [24_000, 4800, 4800]
    assert not np.concatenate(silence).any()


def test_a_client_that_sends_nothing_during_silence_gets_each_second_once() -> None:
    timeline = Timeline(Pcm(), 0.0)
    total = len(timeline.add(0, frame(), 0.0))
    total += sum(len(timeline.tick(at / 10)) for at in range(1, 31))
    total += len(timeline.add(3 * 48_000, frame(), 3.0))
    assert total == pytest.approx(3.02 * 48_000, abs=FRAME)


def test_packets_that_were_only_delayed_are_all_heard() -> None:
    timeline = Timeline(Pcm(), 0.0)
    timeline.add(0, frame(), 0.0)
    timeline.tick(1.0)
    late = [timeline.add(number * FRAME, frame(), 1.0) for number in range(1, 51)]
    assert [len(part) for part in late] == [FRAME] * 50


def test_an_overlap_is_cut_and_a_new_beginning_is_taken_as_it_is() -> None:
    timeline = Timeline(Pcm(), 0.0)
    timeline.add(0, frame(), 0.0)
    assert len(timeline.add(FRAME // 2, frame(), 0.02)) == FRAME // 2
    assert len(timeline.add(0, frame(), 0.03)) == 0
    assert len(timeline.add(100 * 48_000, frame(), 0.04)) == FRAME
    assert len(timeline.add(100 * 48_000 + FRAME, frame(), 0.06)) == FRAME
    assert len(timeline.add(0, frame(), 0.08)) == FRAME


def test_a_client_that_sends_more_than_time_passes_is_stopped() -> None:
    timeline = Timeline(Pcm(), 0.0)
    with pytest.raises(TooFast):
        for number in range(1000):
            timeline.add(number * FRAME, frame(), 0.1)
    jumping = Timeline(Pcm(), 0.0)
    with pytest.raises(TooFast):  # gaps count as well
        for number in range(100):
            jumping.add(number * 4 * 48_000, frame(), 0.1)


def test_timestamps_wrap_around_and_begin_anywhere() -> None:
    timeline = Timeline(Pcm(), 0.0)
    start = (1 << 32) - 3 * FRAME
    parts = [timeline.add((start + number * FRAME) % (1 << 32), frame(), number * 0.02) for number in range(8)]
    assert [len(part) for part in parts] == [FRAME] * 8
