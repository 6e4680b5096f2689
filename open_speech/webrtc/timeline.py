"""The audio that a client sends, as one stream without gaps. The time is passed in.

Packets carry the time of their audio. A difference to the audio so far is lost packets, or a client that sends nothing during silence
(discontinuous transmission). Both are filled, so that a second of the call is a second of the stream, and silence ends a turn although no
packet arrives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from open_speech.webrtc.decoding import Decoder

Samples = NDArray[np.float32]

QUIET_S = 0.4
"""Seconds without a packet after which silence is added by the clock."""
LONGEST_GAP_S = 5.0
"""A longer gap in the timestamps is a new beginning, and is not filled: the clock has already added its silence."""
AHEAD_S = 2.0
"""Seconds by which a client may send more audio than time has passed."""


class TooFast(Exception):
    """The client sends more audio than time passes."""


class Timeline:
    """The stream of one client."""

    def __init__(self, decoder: Decoder, now: float) -> None:
        """`now` is in seconds of any monotonic clock."""
        self.rate = decoder.rate
        self.missing = 0
        """Samples that were missing between packets so far."""
        self._decoder = decoder
        self._last: int | None = None
        """The timestamp of the last packet, as it was sent: it wraps around."""
        self._at = 0
        """The timestamp of the last packet, unwrapped."""
        self._next = 0
        """The unwrapped timestamp that continues the stream."""
        self._began_at = now
        self._heard_at = now
        self._total = 0
        """Samples that packets have added, with the gaps between them."""
        self._owed = 0
        """Samples of silence that the clock has added since the last packet."""

    def add(self, timestamp: int, payload: bytes, now: float) -> Samples:
        """Add the next packet; return the audio that continues the stream. Raises TooFast."""
        at = self._unwrapped(timestamp)
        gap = at - self._next
        filling = np.zeros(0, np.float32)
        if 0 < gap <= LONGEST_GAP_S * self.rate:
            self.missing += gap
            filling = self._decoder.fill(max(0, gap - self._owed), payload)
        samples = self._decoder.decode(payload)
        if -LONGEST_GAP_S * self.rate <= gap < 0:
            samples, at = samples[-gap:], self._next  # it overlaps with what has arrived
        self._next = at + len(samples)
        self._owed = 0
        self._heard_at = now
        self._total += len(filling) + len(samples)
        if self._total / self.rate > now - self._began_at + AHEAD_S:
            raise TooFast
        return np.concatenate([filling, samples])

    def tick(self, now: float) -> Samples:
        """Return the silence that has passed without a packet: none before QUIET_S."""
        passed = round((now - self._heard_at) * self.rate)
        due = passed - self._owed
        if passed < QUIET_S * self.rate or due <= 0:
            return np.zeros(0, np.float32)
        self._owed += due
        return np.zeros(due, np.float32)

    def _unwrapped(self, timestamp: int) -> int:
        if self._last is not None:
            self._at += (timestamp - self._last + _HALF) % (2 * _HALF) - _HALF
        self._last = timestamp
        return self._at


_HALF = 1 << 31
