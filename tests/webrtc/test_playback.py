from __future__ import annotations

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.webrtc.frames import FRAME, RATE
from open_speech.webrtc.playback import Dropped, Playback


def sound(seconds: float, value: float = 0.5, rate: int = RATE) -> Audio:
    return Audio(np.full(round(seconds * rate), value, np.float32), rate)


class Heard:
    """A playback with what it reported."""

    def __init__(self, playback: Playback) -> None:
        self.playback = playback
        self.events: list[tuple[str, str]] = []
        playback.on_started = lambda source: self.events.append(("started", source))
        playback.on_stopped = lambda source, _: self.events.append(("stopped", source))
        playback.on_room = lambda: self.events.append(("room", ""))

    def frames(self, count: int) -> list[float | None]:
        """The first value of each of the next frames; None for silence."""
        frames = [self.playback.frame() for _ in range(count)]
        assert all(frame is None or len(frame) == FRAME for frame in frames)
        return [None if frame is None else float(frame[0]) for frame in frames]

    @property
    def named(self) -> list[tuple[str, str]]:
        return [event for event in self.events if event[0] != "room"]


def test_silence_is_played_while_there_is_nothing() -> None:
    assert Heard(Playback()).frames(3) == [None, None, None]


def test_sources_are_played_one_after_the_other_and_reported() -> None:
    heard = Heard(Playback())
    heard.playback.put("a", sound(0.04, 0.25))
    heard.playback.put("b", sound(0.04, 0.5))
    heard.playback.put("a", sound(0.02, 0.25))
    heard.playback.complete("a")
    heard.playback.complete("b")
    assert heard.frames(6) == [0.25, 0.25, 0.25, 0.5, 0.5, None]
    assert heard.named == [("started", "a"), ("stopped", "a"), ("started", "b"), ("stopped", "b")]
    assert heard.playback.is_idle


def test_a_source_that_is_not_complete_keeps_its_place_while_its_audio_is_late() -> None:
    heard = Heard(Playback())
    heard.playback.put("a", sound(0.02, 0.25))
    heard.playback.put("b", sound(0.02, 0.5))
    assert heard.frames(3) == [0.25, None, None]
    heard.playback.put("a", sound(0.02, 0.25))
    heard.playback.complete("a")
    assert heard.frames(2) == [0.25, 0.5]


def test_a_frame_is_filled_up_with_silence() -> None:
    playback = Playback()
    playback.put("a", sound(0.01))
    frame = playback.frame()
    assert frame is not None
    assert (frame[:480] == 0.5).all()
    assert not frame[480:].any()


def test_dropping_tells_how_much_was_played() -> None:
    heard = Heard(Playback())
    heard.playback.put("a", sound(1))
    heard.playback.put("b", sound(1))
    heard.frames(10)
    assert heard.playback.played_s("a") == pytest.approx(0.2)
    assert heard.playback.drop() == [Dropped("a", pytest.approx(0.2)), Dropped("b", 0.0)]
    assert heard.frames(1) == [None]
    assert heard.named == [("started", "a")]
    assert heard.playback.drop() == []


def test_one_source_can_be_dropped_alone() -> None:
    heard = Heard(Playback())
    heard.playback.put("a", sound(1, 0.25))
    heard.playback.put("b", sound(1, 0.5))
    assert heard.playback.drop("a") == [Dropped("a", 0.0)]
    assert heard.frames(1) == [0.5]


def test_playback_that_is_held_goes_on_where_it_was() -> None:
    heard = Heard(Playback())
    heard.playback.put("a", sound(1))
    heard.frames(5)
    heard.playback.is_paused = True
    assert heard.frames(5) == [None] * 5
    heard.playback.is_paused = False
    assert heard.frames(1) == [0.5]
    assert heard.playback.played_s("a") == pytest.approx(0.12)


def test_the_audio_ahead_is_bounded_and_room_is_reported() -> None:
    heard = Heard(Playback(ahead_s=0.1))
    heard.playback.put("a", sound(0.09))
    assert heard.playback.has_room
    heard.playback.put("a", sound(0.05))
    assert not heard.playback.has_room
    heard.frames(2)
    assert ("room", "") not in heard.events
    heard.frames(1)
    assert ("room", "") in heard.events
    assert heard.playback.has_room


@pytest.mark.parametrize("rate", [8000, 24_000, 48_000])
def test_audio_at_any_rate_is_played_in_its_own_time(rate: int) -> None:
    heard = Heard(Playback())
    for _ in range(10):
        heard.playback.put("a", sound(0.1, rate=rate))
    heard.playback.complete("a")
    played = heard.frames(60)
    assert len([value for value in played if value is not None]) == pytest.approx(50, abs=1)
    assert heard.named[-1] == ("stopped", "a")
