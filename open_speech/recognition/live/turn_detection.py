"""Speech probabilities -> the starts and ends of turns. Pure: no model, no clock.

A turn begins with a few consecutive frames of speech, so that a click does not begin one, and ends with a silence of a given length. A
pause is reported early in that silence: the turn has probably ended, and work can start before that is certain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from open_speech.recognition.vad import FRAME, VAD_RATE

FRAME_S = FRAME / VAD_RATE
"""Seconds of one frame, which has one probability."""
ONSET_FRAMES = 3
"""Consecutive frames of speech that begin a turn: 96 ms, which is shorter than any word and longer than a click."""
HYSTERESIS = 0.15
"""Speech that has begun continues until its probability is this much below the threshold."""
PAUSE_MS = 200
"""Milliseconds of silence after which a pause is reported, or half of the silence that ends a turn if that is less."""


@dataclass(frozen=True, slots=True)
class Started:
    """A turn began at `at_s`, padding included."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Paused:
    """Silence since `at_s`; the turn may have ended there."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech continued at `at_s`: the pause did not end the turn."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The turn ended: its speech stopped at `at_s`, and the silence after it has lasted long enough."""

    at_s: float


TurnEvent = Started | Paused | Resumed | Stopped


class TurnDetector:
    """Detects the turns of one stream from its speech probabilities. Times are seconds from the start of the stream."""

    def __init__(self, threshold: float = 0.5, prefix_padding_ms: int = 300, silence_duration_ms: int = 500) -> None:
        """`threshold` is in (0, 1]. The start of a turn is moved earlier by the padding, but never into the previous turn."""
        self._threshold = threshold
        self._padding_s = prefix_padding_ms / 1000
        self._silence_s = silence_duration_ms / 1000
        self._pause_s = min(PAUSE_MS, silence_duration_ms / 2) / 1000
        self._frames = 0
        self._onset = 0
        """Consecutive frames of speech before a turn begins."""
        self._speaking = False
        self._paused = False
        self._quiet = 0
        """Consecutive frames of silence within a turn."""
        self._free_s = 0.0
        """End of the last turn in seconds: no other turn begins before it."""

    @property
    def is_speaking(self) -> bool:
        """Whether a turn is in progress."""
        return self._speaking

    @property
    def seconds(self) -> float:
        """Seconds of the stream that were processed."""
        return self._frames * FRAME_S

    def feed(self, probabilities: Iterable[float]) -> list[TurnEvent]:
        """Take the speech probabilities of the next frames, one per 32 ms; return the events in order."""
        events: list[TurnEvent] = []
        for probability in probabilities:
            self._frames += 1
            events += self._within_turn(float(probability)) if self._speaking else self._outside_turn(float(probability))
        return events

    def skip(self, frames: int) -> None:
        """Skip frames that were not processed; a turn in progress is dropped."""
        self._frames += frames
        self.clear()

    def clear(self) -> None:
        """Drop a turn in progress: later speech begins a new turn, which does not start before the current time."""
        self._onset = self._quiet = 0
        self._speaking = self._paused = False
        self._free_s = self.seconds

    def _outside_turn(self, probability: float) -> list[TurnEvent]:
        self._onset = self._onset + 1 if probability >= self._threshold else 0
        if self._onset < ONSET_FRAMES:
            return []
        begun_s = (self._frames - self._onset) * FRAME_S - self._padding_s
        self._onset = self._quiet = 0
        self._speaking, self._paused = True, False
        return [Started(max(self._free_s, begun_s, 0.0))]

    def _within_turn(self, probability: float) -> list[TurnEvent]:
        # Speech that has begun continues at a lower probability; after a silence the full threshold applies again.
        if probability >= self._threshold - (HYSTERESIS if not self._quiet else 0.0):
            self._quiet = 0
            return self._resumed()
        self._quiet += 1
        at_s = (self._frames - self._quiet) * FRAME_S
        silent_s = self._quiet * FRAME_S
        if silent_s >= self._silence_s:
            self._speaking = self._paused = False
            self._free_s, self._quiet = at_s, 0
            return [Stopped(at_s)]
        if silent_s >= self._pause_s and not self._paused:
            self._paused = True
            return [Paused(at_s)]
        return []

    def _resumed(self) -> list[TurnEvent]:
        if not self._paused:
            return []
        self._paused = False
        return [Resumed((self._frames - 1) * FRAME_S)]
