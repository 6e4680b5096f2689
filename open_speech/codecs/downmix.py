"""Channels -> the one channel that is recognized: mixed where that helps, left out or chosen where the mix would lose the speech. Pure.

A mix of all channels halves speech that is in one of them, drowns it in a channel of noise, and cancels it where one channel is the
other inverted. What to do is decided every STRETCH_S seconds, before the stretch is mixed:

- A channel in which speech was found takes part from that stretch on and for the rest of the file, so that the channel of a caller who
  is silent at first is not lost, and the decision cannot alternate. Before speech was found, every channel that is not silent takes part.
- Where the mix of these channels is far quieter than they are, the one with the best speech replaces it until they stop cancelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.codecs.samples import weights
from open_speech.codecs.voicing import Voicing, voicing

STRETCH_S = 10.0
"""Long enough to hold speech and a pause; eight channels of it take 15 MB at 48 kHz."""
SPEECH_S = 0.18
"""Seconds with a pitch from which on a channel holds speech: a short word."""
LEAK_DB = 25.0
"""Speech this much quieter than that of the loudest channel is what one microphone picks up from the other's speaker."""
SILENT_DB = -40.0
"""dB below the loudest channel under which a channel counts as silent."""
CANCELLED, RESTORED = 0.25, 0.5
"""Power of the mix, relative to channels that have nothing to do with each other, below which it cancels and above which it no longer does.

Identical channels give the number of channels, unrelated ones 1; the gap between the two keeps the decision from alternating.
"""
_ALIKE = 1e-3
"""Power of the difference of two channels, relative to them, under which they are copies."""
_QUIET_POWER = 1e-6
"""Mean square of -60 dB below full scale: a stretch that is quieter says nothing about phase."""
_FADE_S = 0.05
_OFFSET = 0.02
"""A mean this far from 0 is a fault of the recorder; over a second, the mean of recordings without one stays under 0.011."""
_MEMORY_S = 2.0

Samples = NDArray[np.float32]


class Mix(Protocol):
    """What is made of one stream of multichannel audio, fed block by block."""

    def feed(self, block: Samples) -> Iterator[Samples]:
        """Take samples of shape (channels, n), yield mono samples of shape (m,) as soon as they are decided."""
        ...

    def flush(self) -> Iterator[Samples]:
        """Yield what is held back; feeding may go on."""
        ...


class Downmix:
    """The mono form of one stream of multichannel audio, fed block by block."""

    def __init__(self, channels: tuple[str, ...], rate: int, *, only: int | None = None) -> None:
        """`channels` are FFmpeg's names, `rate` is in Hertz; `only` takes one channel, by its index, instead of mixing."""
        self._shares = weights(channels)
        self._only = 0 if len(channels) == 1 else only
        self._rate = rate
        self._choice = Choice(self._shares, rate)
        self._offset = _OffsetRemover(rate)
        self._current: Samples | None = None
        self._waiting: list[Samples] = []
        self._held = 0

    def feed(self, block: Samples) -> Iterator[Samples]:
        """Take samples of shape (channels, n), yield mono samples of shape (m,) as soon as they are decided."""
        if self._only is not None:
            yield self._offset.removed(block[self._only])
            return
        stretch = round(STRETCH_S * self._rate)
        while self._held + block.shape[1] >= stretch:
            room = stretch - self._held
            self._waiting.append(block[:, :room])
            block = block[:, room:]
            yield from self.flush()
        if block.shape[1]:
            self._waiting.append(block)
            self._held += block.shape[1]

    def flush(self) -> Iterator[Samples]:
        """Yield what is held back; feeding may go on."""
        if not self._waiting:
            return
        stretch = np.concatenate(self._waiting, axis=1) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting, self._held = [], 0
        yield self._offset.removed(self._mixed(stretch, self._choice.of(stretch)))

    def _mixed(self, stretch: Samples, chosen: Samples) -> Samples:
        before, self._current = self._current, chosen
        mono: Samples = chosen @ stretch
        if before is not None and not np.array_equal(before, chosen):
            count = min(round(_FADE_S * self._rate), stretch.shape[1])
            rise = np.linspace(0, 1, count, dtype=np.float32)
            mono[:count] = rise * mono[:count] + (1 - rise) * (before @ stretch[:, :count])
        return mono


class Choice:
    """Which channels take part, decided stretch by stretch on the evidence so far."""

    def __init__(self, shares: Samples, rate: int) -> None:
        """`shares` is what each channel has in a plain mix, of shape (channels,); 0 excludes one, such as the subwoofer."""
        self._shares = shares
        self._rate = rate
        self._usable = shares > 0
        self._speaks = np.zeros(len(shares), np.bool_)
        self._power = np.zeros(len(shares))
        """Loudest mean square of each channel in any stretch."""
        self._loudest_db = -np.inf
        """Level of the loudest speech in any channel."""
        self._single: int | None = None
        """The channel that replaces a mix that cancels."""

    def of(self, stretch: Samples) -> Samples:
        """Decide the weights, of shape (channels,) with sum 1, of a stretch of shape (channels, n)."""
        mean = stretch.mean(axis=1, keepdims=True)
        centred = stretch - mean if np.abs(mean).max() > _OFFSET / 10 else stretch
        power = _power(centred)
        self._power = np.maximum(self._power, power)
        if not self._are_copies(centred, power):
            self._find_speech(centred)
            self._judge_phase(centred, power)
        elif power.max() > _QUIET_POWER:
            self._single = None
        return self._weights() if self._single is None else self._alone(self._single)

    def _alone(self, channel: int) -> Samples:
        share = np.zeros(len(self._shares), np.float32)
        share[channel] = 1
        return share

    def _weights(self) -> Samples:
        part = self._shares * self._part()
        share: Samples = (part / part.sum(dtype=np.float32)).astype(np.float32)
        return share

    def _part(self) -> NDArray[np.bool_]:
        """Which channels are mixed."""
        if self._speaks.any():
            return self._speaks
        part = self._usable & (self._power > self._power[self._usable].max() * 10 ** (SILENT_DB / 10))
        return part if part.any() else self._usable

    def _are_copies(self, stretch: Samples, power: NDArray[np.float64]) -> bool:
        """Tell whether all channels hold the same audio, which is so for most stereo recordings of speech: no more is to be measured."""
        first, *others = np.flatnonzero(self._usable)
        return all(_power(stretch[[other]] - stretch[[first]])[0] <= _ALIKE * power[first] for other in others)

    def _find_speech(self, stretch: Samples) -> None:
        """Find which further channels hold speech that is not merely what leaked into them."""
        levels: dict[int, float] = {}
        for channel in map(int, np.flatnonzero(self._usable & ~self._speaks)):
            found = voicing(stretch[channel], self._rate)
            if found.seconds >= SPEECH_S:
                levels[channel] = found.speech_db
        self._loudest_db = max([self._loudest_db, *levels.values()])
        for channel, level in levels.items():
            self._speaks[channel] = level > self._loudest_db - LEAK_DB

    def _judge_phase(self, stretch: Samples, power: NDArray[np.float64]) -> None:
        shares = self._weights()
        if np.count_nonzero(shares) < 2 or power.max() < _QUIET_POWER:
            return
        together = _power((shares @ stretch)[np.newaxis])[0] / float(np.square(shares) @ power)
        if together > RESTORED:
            self._single = None
        elif together < CANCELLED and self._single is None:
            part = np.flatnonzero(shares)
            self._single = int(max(part, key=lambda channel: _clearness(voicing(stretch[channel], self._rate))))


def _power(samples: Samples) -> NDArray[np.float64]:
    """Mean square of each row."""
    squares: NDArray[np.float64] = np.array([float(row @ row) for row in samples]) / max(1, samples.shape[1])
    return squares


def _clearness(one: Voicing) -> float:
    """How far speech stands out of the noise of its channel, in dB."""
    return one.speech_db - one.floor_db


class _OffsetRemover:
    """Removes a constant offset: it looks like a loud signal to whatever measures levels, and takes room from the speech."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._mean = self._seen_s = 0.0
        """Of the last seconds, and how many they are."""
        self._offset = 0.0

    def removed(self, samples: Samples) -> Samples:
        """Return the samples without their mean; the same array where there is no offset."""
        if not len(samples):
            return samples
        before = self._offset
        begins = self._seen_s == 0
        self._learn(float(samples.mean(dtype=np.float64)), len(samples) / self._rate)
        if begins or before == self._offset:
            return samples - np.float32(self._offset) if self._offset else samples
        line = np.full(len(samples), self._offset, np.float32)
        count = min(round(_FADE_S * self._rate), len(samples))
        line[:count] = np.linspace(before, self._offset, count, dtype=np.float32)
        without: Samples = samples - line
        return without

    def _learn(self, mean: float, seconds: float) -> None:
        self._mean = (self._mean * self._seen_s + mean * seconds) / (self._seen_s + seconds)
        self._seen_s = min(self._seen_s + seconds, _MEMORY_S)
        if self._seen_s >= _MEMORY_S / 2:  # a few frames of a low voice have a mean, too
            self._offset = self._mean if abs(self._mean) > _OFFSET else 0.0
