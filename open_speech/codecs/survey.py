"""Whether the channels of a file are copies or mixes of one recording, or contain different speech, as in a recorded call. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from open_speech.codecs.samples import weights
from open_speech.codecs.voicing import Voicing, voicing

SURVEY_S = 180.0
"""Seconds of a file that are examined."""
SECTION_S = 10.0
SPEECH_S = 0.6
"""Seconds of pitched sound from which a channel counts as speech: a few words."""
LEAK_DB = 25.0
"""Speech this much quieter than that of the loudest channel is crosstalk."""
ALIKE = 0.0
"""Correlation of two channels' levels from which they contain the same speech. Two speakers who take turns give -0.9, two who talk all
the time -0.3; with crosstalk at -20 dB -0.4 to -0.3, at -15 dB 0, at -9 dB 0.4; two microphones in one room give 0.9."""
_DEPTH_DB = 45.0
"""Levels are clipped this far below that of speech, because variations of the noise do not matter."""

_NOTHING = np.zeros(0, np.float32)

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Survey:
    """The channels of a file."""

    channels: int
    differ: bool
    """Whether there are two channels with different speech."""


class Surveyor:
    """Measures the channels while they are decoded. It is used in place of a mix and returns no audio."""

    def __init__(self, channels: tuple[str, ...], rate: int) -> None:
        """`channels` are FFmpeg's names, `rate` is in Hertz."""
        self._usable = weights(channels) > 0
        self._rate = rate
        self._waiting: list[Samples] = []
        self._held = self._seen = 0
        self._measured: list[list[Voicing]] = [[] for _ in channels]

    @property
    def is_done(self) -> bool:
        """Whether more audio would not change the result."""
        return not self._compares or self._seen >= SURVEY_S * self._rate

    @property
    def _compares(self) -> bool:
        """Whether the channels are compared: more than two are surround sound or several microphones, and so one recording."""
        return len(self._usable) == 2 and bool(self._usable.all())

    def feed(self, block: Samples) -> Iterator[Samples]:
        """Add samples of shape (channels, n); yield empty arrays, so that the caller can stop."""
        if not self.is_done:
            self._waiting.append(block)
            self._held += block.shape[1]
            if self._held >= SECTION_S * self._rate:
                yield from self.flush()
        yield _NOTHING

    def flush(self) -> Iterator[Samples]:
        """Measure buffered samples; yield nothing."""
        if self._waiting:
            for measured, channel in zip(self._measured, np.concatenate(self._waiting, axis=1), strict=True):
                measured.append(voicing(channel - channel.mean(), self._rate))
            self._seen += self._held
            self._waiting, self._held = [], 0
        yield from ()

    def survey(self) -> Survey:
        """Return the result."""
        for _ in self.flush():
            pass
        differ = self._compares and bool(self._measured[0]) and differs([_joined(parts) for parts in self._measured])
        return Survey(len(self._usable), differ)


def differs(channels: list[Voicing]) -> bool:
    """Return whether at least two channels contain speech, and no two of them the same speech."""
    loudest = max(channel.speech_db for channel in channels)
    speaking = [channel for channel in channels if channel.seconds >= SPEECH_S and channel.speech_db > loudest - LEAK_DB]
    return len(speaking) > 1 and all(alikeness(one, other) < ALIKE for one, other in combinations(speaking, 2))


def alikeness(one: Voicing, other: Voicing) -> float:
    """Return the correlation, in [-1, 1], of the levels of two channels during speech in either of them."""
    speech = one.pitched | other.pitched
    levels = [np.maximum(channel.level_db, channel.speech_db - _DEPTH_DB)[speech] for channel in (one, other)]
    if min(level.std() for level in levels) == 0:
        return 0.0
    return float(np.corrcoef(levels[0], levels[1])[0, 1])


def _joined(parts: list[Voicing]) -> Voicing:
    return Voicing(np.concatenate([part.level_db for part in parts]), np.concatenate([part.pitched for part in parts]))
