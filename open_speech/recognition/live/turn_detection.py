"""Speech probabilities -> where somebody begins and ends to speak. Pure: no model, no clock.

A turn begins with a few frames of speech in a row, so that a click begins none, and ends with a silence of a given length. What comes
early in that silence is told, too: somebody who pauses has probably ended, and much can be done until it is certain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from open_speech.recognition.vad import FRAME, VAD_RATE

FRAME_S = FRAME / VAD_RATE
"""Seconds that one probability stands for."""
ONSET_FRAMES = 3
"""Frames of speech in a row that begin a turn: 96 ms, which is shorter than any word and longer than a click."""
HYSTERESIS = 0.15
"""Speech that has begun goes on until its probability is this much below the threshold."""
PAUSE_MS = 200
"""Silence after which somebody is told to have paused, or half of the silence that ends a turn where that is less."""


@dataclass(frozen=True, slots=True)
class Started:
    """Somebody speaks, and began at `at_s`, padding included."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Paused:
    """Nobody has spoken since `at_s`; the turn may have ended there."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The pause was none: speech goes on, since `at_s`."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """The turn ended: its speech at `at_s`, and the silence after it has lasted long enough."""

    at_s: float


TurnEvent = Started | Paused | Resumed | Stopped


class TurnDetector:
    """The turns of one stream, told as its probabilities come. Times count in seconds from the start of the stream."""

    def __init__(self, threshold: float = 0.5, prefix_padding_ms: int = 300, silence_duration_ms: int = 500) -> None:
        """`threshold` in (0, 1]; a turn's start is moved forward by the padding, though never into the turn before it."""
        self._threshold = threshold
        self._padding_s = prefix_padding_ms / 1000
        self._silence_s = silence_duration_ms / 1000
        self._pause_s = min(PAUSE_MS, silence_duration_ms / 2) / 1000
        self._seen = 0
        self._onset = 0
        """Frames of speech in a row while nobody was speaking yet."""
        self._speaking = False
        self._paused = False
        self._quiet = 0
        """Frames of silence in a row while somebody is speaking."""
        self._free_s = 0.0
        """Where the last turn ended: no other begins before it."""

    @property
    def is_speaking(self) -> bool:
        """Whether a turn has begun and not ended yet."""
        return self._speaking

    @property
    def heard_s(self) -> float:
        """Seconds of the stream that were looked at."""
        return self._seen * FRAME_S

    def feed(self, probabilities: Iterable[float]) -> list[TurnEvent]:
        """Take the speech probabilities of the next frames, one each 32 ms; tell what happened, in order."""
        events: list[TurnEvent] = []
        for probability in probabilities:
            self._seen += 1
            events += self._speech(float(probability)) if self._speaking else self._silence(float(probability))
        return events

    def skip(self, frames: int) -> None:
        """Count frames that were not looked at; a turn that is going on is forgotten."""
        self._seen += frames
        self.clear()

    def clear(self) -> None:
        """Forget a turn that has begun: what is said from here on begins one of its own, which does not reach back before now."""
        self._onset = self._quiet = 0
        self._speaking = self._paused = False
        self._free_s = self.heard_s

    def _silence(self, probability: float) -> list[TurnEvent]:
        self._onset = self._onset + 1 if probability >= self._threshold else 0
        if self._onset < ONSET_FRAMES:
            return []
        begun_s = (self._seen - self._onset) * FRAME_S - self._padding_s
        self._onset = self._quiet = 0
        self._speaking, self._paused = True, False
        return [Started(max(self._free_s, begun_s, 0.0))]

    def _speech(self, probability: float) -> list[TurnEvent]:
        # Speech that has begun goes on at a lower probability; after a silence it must be as sure as at first.
        if probability >= self._threshold - (HYSTERESIS if not self._quiet else 0.0):
            self._quiet = 0
            return self._spoken()
        self._quiet += 1
        at_s = (self._seen - self._quiet) * FRAME_S
        silent_s = self._quiet * FRAME_S
        if silent_s >= self._silence_s:
            self._speaking = self._paused = False
            self._free_s, self._quiet = at_s, 0
            return [Stopped(at_s)]
        if silent_s >= self._pause_s and not self._paused:
            self._paused = True
            return [Paused(at_s)]
        return []

    def _spoken(self) -> list[TurnEvent]:
        if not self._paused:
            return []
        self._paused = False
        return [Resumed((self._seen - 1) * FRAME_S)]
