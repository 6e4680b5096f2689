"""Speech of an utterance -> the windows whose voiceprints are computed, and labels of these windows -> turns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import Turn
from open_speech.recognition.diarization import joined
from open_speech.recognition.vad import VAD_RATE

WINDOW_S = 1.5
"""Seconds of a window: voiceprints of shorter ones are less reliable, and longer ones contain more changes of speaker."""
HOP_S = 0.5
"""Seconds between the starts of two windows of the same stretch of speech."""
SHORTEST_S = 0.25
"""Seconds of speech below which no voiceprint is computed: the stretch gets the speaker of its neighbor."""
QUIET_FRAME_S = 0.04
"""Seconds over which loudness is measured for the exact place of a change of speaker."""
PAUSE_S = 0.3
"""Seconds of silence within a turn; a longer one ends it."""


@dataclass(frozen=True, slots=True)
class VoiceWindow:
    """A window of speech, in seconds of the audio, and the number of its stretch; windows of a stretch overlap."""

    start: float
    end: float
    stretch: int

    @property
    def seconds(self) -> float:
        """The length of the window in seconds."""
        return self.end - self.start

    @property
    def center(self) -> float:
        """The middle of the window, in seconds."""
        return (self.start + self.end) / 2


def voice_windows(speech: Sequence[tuple[float, float]]) -> list[VoiceWindow]:
    """Return the windows of the stretches of speech in an audio; `speech` are (start, end) in seconds, in order."""
    windows = []
    for number, (start, end) in enumerate(speech):
        if end - start < SHORTEST_S:
            continue
        last = max(start, end - WINDOW_S)
        count = int(np.ceil((last - start) / HOP_S - 1e-6))
        for begin in np.linspace(start, last, count + 1).tolist():
            windows.append(VoiceWindow(begin, min(end, begin + WINDOW_S), number))
    return windows


def turns_of(
    speech: Sequence[tuple[float, float]],
    windows: Sequence[VoiceWindow],
    labels: Sequence[str | None],
    samples: NDArray[np.float32],
) -> list[Turn]:
    """Return the turns of an audio from the labels of its windows, in order of time, without overlap.

    Between two windows of a stretch with different labels, the speaker changes at the quietest place between their centers. A stretch
    without a window has the speaker of the nearest window. Windows without a label give no turn. `samples` are the audio at VAD_RATE.
    """
    labelled = [(window, label) for window, label in zip(windows, labels, strict=True) if label is not None]
    turns: list[Turn] = []
    for number, (start, end) in enumerate(speech):
        inside = [(window.center, label) for window, label in zip(windows, labels, strict=True) if window.stretch == number]
        if not inside and labelled:
            middle = (start + end) / 2
            inside = [(middle, min(labelled, key=lambda pair: abs(pair[0].center - middle))[1])]
        at = start
        for (center, label), (following, other) in zip(inside, [*inside[1:], (end, None)], strict=True):
            last = following == end and other is None
            if not last and label == other:
                continue
            until = end if last else _quietest(samples, center, following)
            if label is not None and until > at:
                turns.append(Turn(at, until, label))
            at = until
    return joined(turns, PAUSE_S)


def _quietest(samples: NDArray[np.float32], start_s: float, end_s: float) -> float:
    """Return the middle of the quietest frame between two times, in seconds."""
    size = round(QUIET_FRAME_S * VAD_RATE)
    first = round(start_s * VAD_RATE)
    part = samples[first : round(end_s * VAD_RATE)]
    count = len(part) // size
    if not count:
        return (start_s + end_s) / 2
    power = np.square(part[: count * size].reshape(count, size)).mean(axis=1)
    return (first + (int(np.argmin(power)) + 0.5) * size) / VAD_RATE
