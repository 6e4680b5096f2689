"""The audio that a call plays to its client: bounded, in order, and with the position up to which each source was played. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler
from open_speech.webrtc.frames import FRAME, RATE

AHEAD_S = 20.0
"""Seconds of audio that may wait to be played. Synthesis is faster than playback: without a bound, all of a long answer would wait."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A source whose audio was removed before its end was played."""

    source: str
    played_s: float


@dataclass(slots=True)
class _Source:
    id: str
    chunks: deque[NDArray[np.float32]]
    resampler: StreamResampler
    rate: int
    waiting: int = 0
    """Samples that wait to be played."""
    played: int = 0
    is_complete: bool = False
    is_started: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_complete and not self.waiting


class Playback:
    """Sources of audio, played one after the other in frames of FRAME samples; silence while there is none."""

    def __init__(self, *, ahead_s: float = AHEAD_S) -> None:
        self.on_started: Callable[[str], None] = lambda _: None
        """Called when the first audio of a source is played."""
        self.on_stopped: Callable[[str, float], None] = _ignore
        """Called with the length of a complete source, in seconds, when its last audio was played."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when there is room for more audio again."""
        self.is_paused = False
        """While set, silence is played, and the position of the source stays where it is."""
        self._ahead = round(ahead_s * RATE)
        self._sources: deque[_Source] = deque()

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait to be played."""
        return self._waiting / RATE

    @property
    def has_room(self) -> bool:
        """Whether less than the permitted audio waits."""
        return self._waiting < self._ahead

    @property
    def is_idle(self) -> bool:
        """Whether nothing is played or waits to be played."""
        return not self._sources

    def put(self, source_id: str, audio: Audio) -> None:
        """Append audio of a source, at any one rate. A new source is played after all others."""
        source = next((found for found in self._sources if found.id == source_id), None)
        if source is None:
            source = _Source(source_id, deque(), StreamResampler(audio.rate, RATE), audio.rate)
            self._sources.append(source)
        _append(source, source.resampler.feed(audio))

    def complete(self, source_id: str) -> None:
        """Mark a source as complete; without audio, it is forgotten. `on_stopped` is called when it has been played."""
        for source in self._sources:
            if source.id == source_id and not source.is_complete:
                _append(source, source.resampler.feed(Audio(np.zeros(0, np.float32), source.rate), last=True))
                source.is_complete = True
        self._remove_done()

    def drop(self, source_id: str | None = None) -> list[Dropped]:
        """Remove the audio of one source, or of all; return those that were not played to their end, in order of playback."""
        found = [source for source in self._sources if source_id in (None, source.id)]
        self._sources = deque(source for source in self._sources if source not in found)
        if found:
            self.is_paused = False
            self.on_room()
        return [Dropped(source.id, source.played / RATE) for source in found]

    def played_s(self, source_id: str) -> float | None:
        """Return how much of a source was played, in seconds; None if it is not here."""
        return next((source.played / RATE for source in self._sources if source.id == source_id), None)

    def positions(self) -> list[tuple[str, float]]:
        """Return the sources that are played or wait to be played, and how much of each was played, in seconds."""
        return [(source.id, source.played / RATE) for source in self._sources]

    def frame(self) -> NDArray[np.float32] | None:
        """Return the next FRAME samples to play, filled up with silence; None for a frame of silence."""
        if self.is_paused:
            return None
        taken: list[NDArray[np.float32]] = []
        count = 0
        for source in list(self._sources):
            while source.chunks and count < FRAME:
                if not source.is_started:
                    source.is_started = True
                    self.on_started(source.id)
                chunk = source.chunks.popleft()
                if len(chunk) > FRAME - count:
                    source.chunks.appendleft(chunk[FRAME - count :])
                    chunk = chunk[: FRAME - count]
                taken.append(chunk)
                count += len(chunk)
                source.waiting -= len(chunk)
                source.played += len(chunk)
            if not source.is_done:
                break  # the next source follows this one
        self._remove_done()
        if not taken:
            return None
        if self.has_room:
            self.on_room()
        return np.concatenate([*taken, np.zeros(FRAME - count, np.float32)])

    @property
    def _waiting(self) -> int:
        return sum(source.waiting for source in self._sources)

    def _remove_done(self) -> None:
        while self._sources and self._sources[0].is_done:
            source = self._sources.popleft()
            if source.is_started:
                self.on_stopped(source.id, source.played / RATE)


def _append(source: _Source, audio: Audio) -> None:
    if len(audio.samples):
        source.chunks.append(audio.samples)
        source.waiting += len(audio.samples)


def _ignore(_source: str, _seconds: float) -> None:
    return None
