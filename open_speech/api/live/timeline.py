"""The clock of a Live session: milliseconds of input audio, processed no faster than real time. Pure.

The timeline advances with the audio that a client sends. Audio that arrives in advance waits, because the output, which has the same
timeline, must not be faster than real time: a client plays everything that it receives, and cannot drop it.
"""

from __future__ import annotations

TICK_MS = 100
"""Milliseconds of one delta of output audio."""
GRID_MS = 200
"""The times of transcripts and acknowledgements are multiples of this many milliseconds."""
AHEAD_S = 0.2
"""Seconds by which the timeline may be ahead of real time: frames of 100 ms that arrive a little early are processed at once."""
BEHIND_S = 2.0
"""Seconds that are caught up after the network held audio back. After a longer pause of the client, real time is counted anew."""


def grid_down(ms: float) -> int:
    """Round a time down to the grid."""
    return int(ms // GRID_MS) * GRID_MS


def grid_up(ms: float) -> int:
    """Round a time up to the grid."""
    return -int(-ms // GRID_MS) * GRID_MS


class Timeline:
    """The clock of one session. `now` is in seconds of any monotonic clock; positions are in samples at `rate` Hertz."""

    def __init__(self, rate: int, *, is_paced: bool = True) -> None:
        """Without `is_paced`, the transport delivers audio in real time and plays the output by a clock: nothing waits here."""
        self.rate = rate
        self._is_paced = is_paced
        self.tick = rate * TICK_MS // 1000
        """Samples of one tick."""
        self.position = 0
        """Samples that were processed."""
        self._received = 0
        self._origin: float | None = None
        """Time at which the timeline would have begun if it had always advanced in real time."""

    @property
    def ms(self) -> int:
        """The current time of the session, in milliseconds."""
        return self.position * 1000 // self.rate

    @property
    def seconds(self) -> float:
        """The current time of the session, in seconds."""
        return self.position / self.rate

    @property
    def waiting(self) -> int:
        """Samples that were received and not processed."""
        return self._received - self.position

    def receive(self, samples: int, now: float) -> None:
        """Add samples of input audio."""
        self._received += samples
        if self._origin is None:
            self._origin = now
        behind_s = now - self._origin - self.seconds
        if behind_s > BEHIND_S:
            self._origin += behind_s - BEHIND_S

    def ready(self, now: float) -> int:
        """Return how many samples may be processed now, up to the end of the current tick."""
        if self._origin is None:
            return 0
        samples = min(self.waiting, self.tick - self.position % self.tick)
        if self._is_paced:
            samples = min(samples, int((now - self._origin + AHEAD_S) * self.rate) - self.position)
        return max(0, samples)

    def advance(self, samples: int) -> bool:
        """Count samples as processed; return whether a tick has ended."""
        self.position += samples
        return samples > 0 and self.position % self.tick == 0

    def next_at(self) -> float | None:
        """Return the time at which the rest of a tick, or of the audio that waits, may be processed; None if none waits."""
        if self._origin is None or not self.waiting:
            return None
        samples = min(self.waiting, self.tick - self.position % self.tick)
        return self._origin - AHEAD_S + (self.position + samples) / self.rate
