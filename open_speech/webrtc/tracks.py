"""The track that a call plays to its client: a frame every 20 ms by the clock, silence while there is nothing to play."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, Packet
from av.audio.codeccontext import AudioCodecContext
from av.codec import CodecContext
from numpy.typing import NDArray

from open_speech.audio import Audio, to_pcm16
from open_speech.webrtc.frames import FRAME, FRAME_S, RATE
from open_speech.webrtc.playback import Playback

BITS_PER_S = 48_000
"""Bit rate of Opus, one channel, with the data for its error correction."""
EXPECTED_LOSS = 10
"""Percent of lost packets that the encoder prepares for: each packet then contains a copy of the one before it, in lower quality."""
LATE_S = 0.1
"""A frame that is later than this is not sent at once: the clock of the track starts anew, and the client hears a pause and no rush."""
_TIME_BASE = Fraction(1, RATE)
_SILENCE = np.zeros(FRAME, np.float32)


class PlaybackTrack(MediaStreamTrack):  # type: ignore[misc] # aiortc is optional, so mypy does not read it
    """Plays a Playback. With Opus it yields packets, else frames that aiortc encodes."""

    kind = "audio"

    def __init__(self, playback: Playback, codec: str) -> None:
        """`codec` is that of the offer: `opus`, `pcmu` or `pcma`."""
        super().__init__()
        self._playback = playback
        self._encoder = _opus() if codec == "opus" else None
        self._timestamp = 0
        self._next_at: float | None = None

    async def recv(self) -> AudioFrame | Packet[Any]:
        """Return the next frame when it is due. Raises MediaStreamError after the end of the track."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._due()
        samples = self._playback.frame()
        frame = _frame(_SILENCE if samples is None else samples, self._timestamp)
        if self._encoder is None:
            return frame
        return await asyncio.to_thread(_encoded, self._encoder, frame, self._timestamp)

    async def _due(self) -> None:
        """Wait until the next frame is due, and advance the timestamp to it."""
        now = asyncio.get_running_loop().time()
        if self._next_at is None:
            self._next_at = now
        else:
            self._timestamp += FRAME
            self._next_at += FRAME_S
        late_s = now - self._next_at
        if late_s < 0:
            await asyncio.sleep(-late_s)
        elif late_s > LATE_S:
            skipped = int(late_s / FRAME_S)
            self._timestamp += skipped * FRAME
            self._next_at += skipped * FRAME_S


def _opus() -> AudioCodecContext:
    encoder = CodecContext.create("libopus", "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.bit_rate = BITS_PER_S
    encoder.format = "s16"
    encoder.layout = "mono"
    encoder.sample_rate = RATE
    encoder.time_base = _TIME_BASE
    encoder.options = {"application": "voip", "frame_duration": "20", "fec": "1", "packet_loss": str(EXPECTED_LOSS)}
    return encoder


def _frame(samples: NDArray[np.float32], timestamp: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
    frame.planes[0].update(to_pcm16(Audio(samples, RATE)))
    frame.sample_rate = RATE
    frame.time_base = _TIME_BASE
    frame.pts = timestamp
    return frame


def _encoded(encoder: AudioCodecContext, frame: AudioFrame, timestamp: int) -> Packet[Any]:
    """Encode one frame; Opus returns one packet for each."""
    (packet,) = encoder.encode(frame)
    # The encoder states the time without its delay, which is negative at first.
    packet.pts = timestamp
    packet.time_base = _TIME_BASE
    return packet
