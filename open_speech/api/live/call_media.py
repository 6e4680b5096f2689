"""The audio of a Live session over WebRTC: it is on the tracks, and not in events.

The session has the clock of its input. The track of the output has the clock of the server, and plays silence by itself. Between the two
is a short queue: it covers the jitter of the input, and only contains audio in which something is said.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from open_speech.api.live.config import CALL_FORMAT
from open_speech.api.live.effects import Samples
from open_speech.audio import Audio, StreamResampler, to_pcm16
from open_speech.webrtc.playback import Playback

LEAD_S = 0.06
"""Seconds of silence before speech that follows a pause: packets of the client may be late by so much without a gap in the speech."""
_SOURCE = "live"


class AudioPeer(Protocol):
    """The client's track."""

    async def audio(self) -> Audio:
        """Wait for the next audio of the client. Raises WebSocketDisconnect after the end."""
        ...


class CallInput:
    """The audio of the client, in CALL_FORMAT."""

    def __init__(self, peer: AudioPeer) -> None:
        self._peer = peer
        self._resampler: StreamResampler | None = None

    async def next(self) -> bytes:
        """Wait for audio of the client, and return it."""
        audio = await self._peer.audio()
        self._resampler = self._resampler or StreamResampler(audio.rate, CALL_FORMAT.rate)
        return to_pcm16(self._resampler.feed(audio))


class CallOutput:
    """The audio that the client hears."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    def play(self, samples: Samples) -> None:
        """Queue 100 ms at the rate of CALL_FORMAT. Silence is not queued, so a queue that has grown becomes short again in a pause."""
        if not samples.any():
            return
        if not self._playback.waiting_s:
            self._put(np.zeros(round(LEAD_S * CALL_FORMAT.rate), np.float32))
        self._put(samples)

    def hold(self, is_held: bool) -> None:
        """Hold the queue, or go on with it."""
        self._playback.is_paused = is_held

    def clear(self) -> None:
        """Empty the queue."""
        self._playback.drop()

    def _put(self, samples: Samples) -> None:
        self._playback.put(_SOURCE, Audio(samples, CALL_FORMAT.rate))
