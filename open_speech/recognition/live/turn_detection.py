"""Speech probabilities -> the starts and ends of turns. Pure: no model, no clock.

A turn begins with a few consecutive frames of speech, so that a click does not begin one, and ends with a silence of a given length. A
pause is reported early in that silence: the turn has probably ended, and work can start before that is certain.

With semantic turns, each pause is a question: is the turn complete? The answer ends the turn at once, or makes the silence that ends it
longer. The question belongs to a position in the audio, and the frames after it wait for the answer. The turns are therefore the same
whether the audio arrives in real time or at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from open_speech.recognition.vad import FRAME, VAD_RATE

FRAME_S = FRAME / VAD_RATE
"""Seconds of one frame, which has one probability."""
ONSET_FRAMES = 3
"""Consecutive frames of speech that begin a turn: 96 ms, which is shorter than any word and longer than a click."""
HYSTERESIS = 0.15
"""Speech that has begun continues until its probability is this much below the threshold."""
PAUSE_MS = 200
"""Milliseconds of silence after which a pause is reported; without semantic turns, half of the silence that ends a turn if that is less."""

Eagerness = Literal["low", "medium", "high", "auto"]
"""How soon semantic turns end; the names are OpenAI's."""
LONGEST_SILENCE_MS: Mapping[Eagerness, int] = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""Milliseconds of silence that end a turn which is not complete by its meaning, by eagerness; OpenAI's."""
SILENCE_MS: Mapping[Eagerness, int] = {"low": 1200, "medium": 700, "auto": 700, "high": 350}
"""Milliseconds of silence that end a turn if nothing can decide about its meaning, by eagerness."""
PREROLL_S = 0.5
"""Seconds before the detected speech that are part of a question."""
QUESTION_S = 8.0
"""Maximum seconds of audio of a question."""


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


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the turn in the audio from `start_s` to `end_s` is complete: all of it or its last seconds, and the pause at its end."""

    start_s: float
    end_s: float


TurnEvent = Started | Paused | Resumed | Stopped


class Endpointer:
    """Detects the turns of one stream from its speech probabilities. Times are seconds from the start of the stream."""

    def __init__(
        self, threshold: float = 0.5, prefix_padding_ms: int = 300, silence_duration_ms: int = 500, *, longest_silence_ms: int | None = None
    ) -> None:
        """`threshold` is in (0, 1]. The start of a turn is moved earlier by the padding, but never into the previous turn.

        With `longest_silence_ms`, turns are semantic: each pause is a question. A turn that is not complete ends after that silence, and
        `silence_duration_ms` ends a turn only if a question has no answer.
        """
        self._threshold = threshold
        self._padding_s = prefix_padding_ms / 1000
        self._silence_s = silence_duration_ms / 1000
        self._longest_s = None if longest_silence_ms is None else longest_silence_ms / 1000
        self._pause_s = (PAUSE_MS if self._longest_s is not None else min(PAUSE_MS, silence_duration_ms / 2)) / 1000
        self._frames = 0
        self._waiting: deque[float] = deque()
        """Probabilities of the frames after an open question."""
        self._question: Question | None = None
        self._onset = 0
        """Consecutive frames of speech before a turn begins, or continues after a pause."""
        self._speaking = False
        self._paused = False
        self._quiet = 0
        """Consecutive frames of silence within a turn."""
        self._limit_s = self._silence_s
        """Seconds of silence that end the turn."""
        self._from_s = 0.0
        """Start of the audio that a question about the turn contains."""
        self._free_s = 0.0
        """End of the last turn in seconds: no other turn begins before it."""

    @property
    def is_semantic(self) -> bool:
        """Whether each pause is a question."""
        return self._longest_s is not None

    @property
    def is_speaking(self) -> bool:
        """Whether a turn is in progress."""
        return self._speaking

    @property
    def seconds(self) -> float:
        """Seconds of the stream that were processed."""
        return self._frames * FRAME_S

    @property
    def question(self) -> Question | None:
        """The open question. Later frames are processed after its `answer`."""
        return self._question

    @property
    def needed_s(self) -> float:
        """Time from which on a later question may contain the audio; infinity without one."""
        if self._longest_s is None or not self._speaking:
            return math.inf
        return max(self._from_s, self.seconds - QUESTION_S)

    def feed(self, probabilities: Iterable[float]) -> list[TurnEvent]:
        """Take the speech probabilities of the next frames, one per 32 ms; return the events in order, up to an open question."""
        self._waiting.extend(map(float, probabilities))
        return self._process()

    def answer(self, is_complete: bool | None) -> list[TurnEvent]:
        """Answer the open question; return the events that follow, up to the next question. None: the silence alone decides."""
        if self._question is None:
            return []
        self._question = None
        if is_complete:
            return [self._stop(), *self._process()]
        if is_complete is not None and self._longest_s is not None:
            self._limit_s = self._longest_s
        return self._process()

    def skip(self, frames: int) -> None:
        """Skip frames that were not processed; a turn in progress is dropped."""
        self._frames += frames
        self.clear()

    def follow(self, other: Endpointer) -> None:
        """Continue where another endpointer of the same stream is, with the turn in progress; an open question is not asked again."""
        self._frames, self._waiting = other._frames, other._waiting
        self._onset, self._quiet = other._onset, other._quiet
        self._speaking, self._paused = other._speaking, other._paused
        self._from_s, self._free_s = other._from_s, other._free_s

    def clear(self) -> None:
        """Drop a turn in progress: later speech begins a new turn, which does not start before the current time."""
        self._frames += len(self._waiting)
        self._waiting.clear()
        self._question = None
        self._onset = self._quiet = 0
        self._speaking = self._paused = False
        self._free_s = self.seconds

    def _process(self) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        while self._waiting and self._question is None:
            probability = self._waiting.popleft()
            self._frames += 1
            events += self._within_turn(probability) if self._speaking else self._outside_turn(probability)
        return events

    def _outside_turn(self, probability: float) -> list[TurnEvent]:
        self._onset = self._onset + 1 if probability >= self._threshold else 0
        if self._onset < ONSET_FRAMES:
            return []
        speech_s = (self._frames - self._onset) * FRAME_S
        self._onset = self._quiet = 0
        self._speaking, self._paused, self._limit_s = True, False, self._silence_s
        self._from_s = max(self._free_s, speech_s - PREROLL_S, 0.0)
        return [Started(max(self._free_s, speech_s - self._padding_s, 0.0))]

    def _within_turn(self, probability: float) -> list[TurnEvent]:
        # Speech that has begun continues at a lower probability; after a silence the full threshold applies again.
        is_speech = probability >= self._threshold - (HYSTERESIS if not self._quiet else 0.0)
        self._onset = self._onset + 1 if is_speech else 0
        # A semantic pause may be long, so that a click must not begin it again.
        if is_speech and (self._onset >= ONSET_FRAMES or not self._paused or self._longest_s is None):
            return self._resumed()
        self._quiet += 1
        silent_s = self._quiet * FRAME_S
        if silent_s >= self._limit_s and (self._paused or self._longest_s is None):
            return [self._stop()]
        if silent_s >= self._pause_s and not self._paused:
            self._paused = True
            if self._longest_s is not None:
                self._question = Question(self.needed_s, self.seconds)
            return [Paused((self._frames - self._quiet) * FRAME_S)]
        return []

    def _resumed(self) -> list[TurnEvent]:
        was_paused, onset = self._paused, self._onset
        self._quiet = self._onset = 0
        self._paused, self._limit_s = False, self._silence_s
        return [Resumed((self._frames - onset) * FRAME_S)] if was_paused else []

    def _stop(self) -> Stopped:
        at_s = (self._frames - self._quiet) * FRAME_S
        self._speaking = self._paused = False
        self._free_s, self._quiet = at_s, 0
        return Stopped(at_s)
