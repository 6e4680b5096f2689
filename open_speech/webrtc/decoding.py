"""Decoders of received audio, each with its way to fill a gap of lost packets. All decode to one channel."""

from __future__ import annotations

from typing import Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec import CodecContext
from av.packet import Packet
from numpy.typing import NDArray

from open_speech.codecs import g711
from open_speech.webrtc import opus_library
from open_speech.webrtc.concealment import Concealer
from open_speech.webrtc.frames import FRAME, RATE
from open_speech.webrtc.opus_library import STEP, OpusDecoder

Samples = NDArray[np.float32]

CONCEALED = 5 * FRAME
"""Samples at the beginning of a gap that Opus continues, fading; the rest is silence: 100 ms."""


class Decoder(Protocol):
    """The decoder of one stream."""

    rate: int
    """Hertz, also of the timestamps."""

    def decode(self, payload: bytes) -> Samples:
        """Decode a packet; an invalid one is empty."""
        ...

    def fill(self, count: int, following: bytes | None) -> Samples:
        """Return `count` samples for audio that did not arrive; `following` is the packet after it, if there is one."""
        ...


def decoder_of(codec: str) -> Decoder:
    """Return a decoder for `opus`, `pcmu` or `pcma`."""
    if codec != "opus":
        return LawDecoder("mulaw" if codec == "pcmu" else "alaw")
    library = opus_library.load()
    return FramesDecoder() if library is None else ConcealingOpus(OpusDecoder(library))


class ConcealingOpus:
    """Opus by libopus: the last lost packet is recovered from the copy in the next one, and others are concealed."""

    rate = RATE

    def __init__(self, decoder: OpusDecoder) -> None:
        self._decoder = decoder

    def decode(self, payload: bytes) -> Samples:
        """Decode a packet."""
        return self._decoder.decode(payload)

    def fill(self, count: int, following: bytes | None) -> Samples:
        """Fill a gap."""
        parts: list[Samples] = []
        recovered = FRAME if following and count >= FRAME else 0
        concealed = min(count - recovered, CONCEALED) // STEP * STEP
        for start in range(0, concealed, FRAME):
            parts.append(self._decoder.conceal(min(FRAME, concealed - start)))
        parts.append(np.zeros(count - recovered - concealed, np.float32))
        if following and recovered:
            parts.append(self._decoder.recover(following, recovered))
        return _exactly(np.concatenate(parts), count)


class FramesDecoder:
    """Opus by FFmpeg, with our own concealment."""

    rate = RATE

    def __init__(self) -> None:
        decoder = CodecContext.create("libopus", "r")
        assert isinstance(decoder, AudioCodecContext)
        decoder.format = "s16"
        decoder.layout = "mono"
        decoder.sample_rate = RATE
        self._decoder = decoder
        self._concealer = Concealer(RATE)

    def decode(self, payload: bytes) -> Samples:
        """Decode a packet."""
        try:
            frames = self._decoder.decode(Packet(payload)) if payload else []
        except av.FFmpegError:
            frames = []
        parts = [_mono(frame) for frame in frames]
        return self._concealer.heard(np.concatenate(parts) if parts else np.zeros(0, np.float32))

    def fill(self, count: int, following: bytes | None) -> Samples:
        """Fill a gap."""
        return self._concealer.gap(count)


class LawDecoder:
    """G.711, with our own concealment."""

    rate = g711.RATE

    def __init__(self, law: g711.Law) -> None:
        self._law = law
        self._concealer = Concealer(g711.RATE)

    def decode(self, payload: bytes) -> Samples:
        """Decode a packet."""
        return self._concealer.heard(g711.decode(payload, self._law).samples)

    def fill(self, count: int, following: bytes | None) -> Samples:
        """Fill a gap."""
        return self._concealer.gap(count)


def _mono(frame: AudioFrame) -> Samples:
    channels = len(frame.layout.channels)
    mixed: Samples = (frame.to_ndarray().reshape(-1, channels).astype(np.float32) / 32_768).mean(axis=1, dtype=np.float32)
    return mixed


def _exactly(samples: Samples, count: int) -> Samples:
    return np.pad(samples[:count], (0, count - len(samples[:count])))
