"""Channels -> the one channel that is recognized: mixed, or selected where the mix would lose the speech. Pure.

A mix of all channels halves speech that is in one of them, drowns it in a channel of noise, and cancels it where one channel is the
inverse of the other. The channels are chosen every SECTION_S seconds, before that section is mixed:

- A channel in which speech was found is mixed from that section on and for the rest of the file, so that the channel of a caller who
  is silent at first is not lost, and the choice cannot alternate. Until speech is found, every channel that is not silent is mixed.
- Where the mix of these channels is far quieter than they are, the one with the clearest speech replaces it until they stop cancelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.codecs.samples import weights
from open_speech.codecs.voicing import Voicing, voicing

SECTION_S = 10.0
"""Long enough to hold speech and a pause; eight channels of it take 15 MB at 48 kHz."""
SPEECH_S = 0.18
"""Seconds of pitched sound from which a channel counts as speech: a short word."""
LEAK_DB = 25.0
"""Speech this much quieter than that of the loudest channel is crosstalk: one microphone picked up the other's speaker."""
SILENT_DB = -40.0
"""dB below the loudest channel under which a channel counts as silent."""
CANCELLED, RESTORED = 0.25, 0.5
"""Power of the mix, relative to that of uncorrelated channels, below which channels cancel and above which they no longer do.

Identical channels give the number of channels, uncorrelated ones 1; the gap between the two thresholds prevents alternation.
"""
_ALIKE = 1e-3
"""Power of the difference of two channels, relative to that of one, below which they are copies."""
_QUIET_POWER = 1e-6
"""Mean square at -60 dB below full scale: the phase of quieter sections is not evaluated."""
_FADE_S = 0.05
_OFFSET = 0.02
"""A mean this far from 0 is a DC offset of the recorder; over a second, the mean of recordings without one stays under 0.011."""
_MEMORY_S = 2.0

Samples = NDArray[np.float32]


class Mix(Protocol):
    """A consumer of one stream of multichannel audio, fed block by block."""

    def feed(self, block: Samples) -> Iterator[Samples]:
        """Add samples of shape (channels, n); yield mono samples of shape (m,) as soon as their channels are chosen."""
        ...

    def flush(self) -> Iterator[Samples]:
        """Yield buffered samples; more may be fed afterwards."""
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
        """Add samples of shape (channels, n); yield mono samples of shape (m,) as soon as their channels are chosen."""
        if self._only is not None:
            yield self._offset.removed(block[self._only])
            return
        section = round(SECTION_S * self._rate)
        while self._held + block.shape[1] >= section:
            room = section - self._held
            self._waiting.append(block[:, :room])
            block = block[:, room:]
            yield from self.flush()
        if block.shape[1]:
            self._waiting.append(block)
            self._held += block.shape[1]

    def flush(self) -> Iterator[Samples]:
        """Yield buffered samples; more may be fed afterwards."""
        if not self._waiting:
            return
        section = np.concatenate(self._waiting, axis=1) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting, self._held = [], 0
        yield self._offset.removed(self._mixed(section, self._choice.of(section)))

    def _mixed(self, section: Samples, chosen: Samples) -> Samples:
        before, self._current = self._current, chosen
        mono: Samples = chosen @ section
        if before is not None and not np.array_equal(before, chosen):
            count = min(round(_FADE_S * self._rate), section.shape[1])
            rise = np.linspace(0, 1, count, dtype=np.float32)
            mono[:count] = rise * mono[:count] + (1 - rise) * (before @ section[:, :count])
        return mono


class Choice:
    """Selection of the channels to mix, section by section, from the audio so far."""

    def __init__(self, shares: Samples, rate: int) -> None:
        """`shares` is the weight of each channel in a plain mix, of shape (channels,); 0 excludes one, such as the subwoofer."""
        self._shares = shares
        self._rate = rate
        self._usable = shares > 0
        self._speaks = np.zeros(len(shares), np.bool_)
        self._power = np.zeros(len(shares))
        """Highest mean square of each channel in any section."""
        self._loudest_db = -np.inf
        """Level of the loudest speech in any channel."""
        self._single: int | None = None
        """The channel used instead of a mix whose channels cancel."""

    def of(self, section: Samples) -> Samples:
        """Choose the weights, of shape (channels,) with sum 1, for a section of shape (channels, n)."""
        mean = section.mean(axis=1, keepdims=True)
        centred = section - mean if np.abs(mean).max() > _OFFSET / 10 else section
        power = _power(centred)
        self._power = np.maximum(self._power, power)
        if not self._are_copies(centred, power):
            self._find_speech(centred)
            self._judge_phase(centred, power)
        elif power.max() > _QUIET_POWER:
            self._single = None
        return self._weights() if self._single is None else self._single_weight(self._single)

    def _single_weight(self, channel: int) -> Samples:
        share = np.zeros(len(self._shares), np.float32)
        share[channel] = 1
        return share

    def _weights(self) -> Samples:
        shares = self._shares * self._mixed_channels()
        normalized: Samples = (shares / shares.sum(dtype=np.float32)).astype(np.float32)
        return normalized

    def _mixed_channels(self) -> NDArray[np.bool_]:
        """Return which channels are mixed."""
        if self._speaks.any():
            return self._speaks
        audible = self._usable & (self._power > self._power[self._usable].max() * 10 ** (SILENT_DB / 10))
        return audible if audible.any() else self._usable

    def _are_copies(self, section: Samples, power: NDArray[np.float64]) -> bool:
        """Return whether all channels are copies, as in most stereo recordings of speech: nothing else is then measured."""
        first, *others = np.flatnonzero(self._usable)
        return all(_power(section[[other]] - section[[first]])[0] <= _ALIKE * power[first] for other in others)

    def _find_speech(self, section: Samples) -> None:
        """Find further channels with speech of their own, not only crosstalk."""
        levels: dict[int, float] = {}
        for channel in map(int, np.flatnonzero(self._usable & ~self._speaks)):
            found = voicing(section[channel], self._rate)
            if found.seconds >= SPEECH_S:
                levels[channel] = found.speech_db
        self._loudest_db = max([self._loudest_db, *levels.values()])
        for channel, level in levels.items():
            self._speaks[channel] = level > self._loudest_db - LEAK_DB

    def _judge_phase(self, section: Samples, power: NDArray[np.float64]) -> None:
        shares = self._weights()
        if np.count_nonzero(shares) < 2 or power.max() < _QUIET_POWER:
            return
        together = _power((shares @ section)[np.newaxis])[0] / float(np.square(shares) @ power)
        if together > RESTORED:
            self._single = None
        elif together < CANCELLED and self._single is None:
            mixed = np.flatnonzero(shares)
            self._single = int(max(mixed, key=lambda channel: _clearness(voicing(section[channel], self._rate))))


def _power(samples: Samples) -> NDArray[np.float64]:
    """Return the mean square of each row."""
    squares: NDArray[np.float64] = np.array([float(row @ row) for row in samples]) / max(1, samples.shape[1])
    return squares


def _clearness(one: Voicing) -> float:
    """Return the level of speech above the noise floor of its channel, in dB."""
    return one.speech_db - one.floor_db


class _OffsetRemover:
    """Removes a DC offset, which level meters mistake for a loud signal and which takes headroom from the speech."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._mean = self._seen_s = 0.0
        """Mean of the last seconds of audio, and their number (at most _MEMORY_S)."""
        self._offset = 0.0

    def removed(self, samples: Samples) -> Samples:
        """Return the samples without the offset; the same array if there is none."""
        if not len(samples):
            return samples
        before = self._offset
        begins = self._seen_s == 0
        self._learn(float(samples.mean(dtype=np.float64)), len(samples) / self._rate)
        if begins or before == self._offset:
            return samples - np.float32(self._offset) if self._offset else samples
        offset = np.full(len(samples), self._offset, np.float32)
        count = min(round(_FADE_S * self._rate), len(samples))
        offset[:count] = np.linspace(before, self._offset, count, dtype=np.float32)
        corrected: Samples = samples - offset
        return corrected

    def _learn(self, mean: float, seconds: float) -> None:
        self._mean = (self._mean * self._seen_s + mean * seconds) / (self._seen_s + seconds)
        self._seen_s = min(self._seen_s + seconds, _MEMORY_S)
        if self._seen_s >= _MEMORY_S / 2:  # over a few frames, a low voice also has a mean
            self._offset = self._mean if abs(self._mean) > _OFFSET else 0.0
