"""Audio -> mp3, opus, aac, flac, wav or pcm, piece by piece; bytes are returned as soon as they are complete. Blocking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler, to_pcm16
from open_speech.codecs.samples import clean
from open_speech.codecs.wav import wav_header
from open_speech.config.types import AudioFormat

MEDIA_TYPES: Mapping[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
PCM_RATE = 24_000
"""Hertz of `pcm` unless the client requests another: a stream without a header cannot state its rate."""


class Encoder(Protocol):
    """An incremental encoder of one file. Every sample is encoded; the concatenated pieces are the file."""

    @property
    def media_type(self) -> str:
        """Media type of the file, for the Content-Type header."""
        ...

    @property
    def rate(self) -> int:
        """Sample rate of the file in Hertz; the source's own rate unless the format does not support it."""
        ...

    @property
    def is_quick(self) -> bool:
        """Whether encoding takes almost no time, so that neither small parts nor a thread have an advantage."""
        ...

    def encode(self, audio: Audio) -> bytes:
        """Encode the next piece, at the source's rate; return the bytes that are ready, possibly none."""
        ...

    def finish(self) -> bytes:
        """End the file and return the rest of its bytes. Call it once, and do not call `encode` afterwards."""
        ...


def encoder(format: AudioFormat, rate: int, *, pcm_rate: int = PCM_RATE) -> Encoder:
    """Start a file in `format` from pieces at `rate` Hertz; `pcm_rate` is the rate of `pcm`, the other formats state theirs in the file."""
    if format == "pcm":
        return _Plain(MEDIA_TYPES[format], rate, pcm_rate)
    if format == "wav":
        return _Plain(MEDIA_TYPES[format], rate, rate, header=wav_header(rate))
    return _Encoded(MEDIA_TYPES[format], rate, _RECIPES[format])


def file_rate(format: AudioFormat, rate: int, *, pcm_rate: int = PCM_RATE) -> int:
    """Return the sample rate in Hertz of the file that `encoder` makes from pieces at `rate` Hertz."""
    if format == "pcm":
        return pcm_rate
    return rate if format == "wav" else _RECIPES[format].rate_for(rate)


class _Plain:
    """Uncompressed 16-bit samples, after a header if there is one."""

    def __init__(self, media_type: str, source_rate: int, rate: int, *, header: bytes = b"") -> None:
        self.media_type = media_type
        self.rate = rate
        self.is_quick = source_rate == rate
        self._resampler = StreamResampler(source_rate, rate)
        self._source_rate = source_rate
        self._header = header

    def encode(self, audio: Audio) -> bytes:
        header, self._header = self._header, b""
        return header + to_pcm16(self._resampler.feed(audio))

    def finish(self) -> bytes:
        tail = self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True)
        return self._header + to_pcm16(tail)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """FFmpeg's parameters for one format."""

    container: str
    codec: Literal["aac", "flac", "libmp3lame", "libopus"]
    sample_format: str
    rates: tuple[int, ...] = ()
    """Sample rates in Hertz that the codec supports, ascending; empty for any."""
    bits_per_second: tuple[int, int] | None = None
    """Bit rates below 32 kHz, and from 32 kHz on; None for a lossless codec."""
    muxer: Mapping[str, str] = field(default_factory=dict)

    def rate_for(self, source_rate: int) -> int:
        """Return the source's own rate if supported, else the next higher one, which loses nothing, else the highest."""
        return next((rate for rate in self.rates if rate >= source_rate), self.rates[-1]) if self.rates else source_rate


_RECIPES: Mapping[AudioFormat, _Recipe] = {
    # LAME's delay (1105 samples) remains as silence: the header that could announce it to players also states the length, which
    # is not known yet, and FFmpeg's readers play such a header as one more frame when the length is missing.
    "mp3": _Recipe(
        "mp3", "libmp3lame", "fltp",
        rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000), bits_per_second=(64_000, 128_000),
        muxer={"write_xing": "0", "id3v2_version": "0"},
    ),
    # A page of 40 ms is sent early, for about 8 % more bytes than FFmpeg's pages of one second.
    "opus": _Recipe(
        "ogg", "libopus", "flt", rates=(8000, 12000, 16000, 24000, 48000), bits_per_second=(48_000, 64_000),
        muxer={"page_duration": "40000"},
    ),
    "aac": _Recipe(
        "adts", "aac", "fltp",
        rates=(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000), bits_per_second=(64_000, 128_000),
    ),
    # Without this option the header contains 8 KiB of padding for tags.
    "flac": _Recipe("flac", "flac", "s16", muxer={"metadata_header_padding": "0"}),
}  # fmt: skip


class _Sink:
    """An append-only file: without `seek`, muxers write headers that need no later correction."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Encoded:
    """A codec and a container of FFmpeg. Nothing has to be closed: both are freed with the encoder."""

    is_quick = False

    def __init__(self, media_type: str, source_rate: int, recipe: _Recipe) -> None:
        self.media_type = media_type
        self.rate = recipe.rate_for(source_rate)
        self._source_rate = source_rate
        self._sample_format = recipe.sample_format
        self._resampler = StreamResampler(source_rate, self.rate)
        self._sink = _Sink()
        self._container = av.open(
            self._sink, "w", format=recipe.container, container_options={"flush_packets": "1", "fflags": "bitexact", **recipe.muxer}
        )
        self._stream = self._container.add_stream(recipe.codec, rate=self.rate, layout="mono")
        if recipe.bits_per_second is not None:
            self._stream.bit_rate = recipe.bits_per_second[self.rate >= 32_000]
        self._container.start_encoding()

    def encode(self, audio: Audio) -> bytes:
        self._write(self._resampler.feed(audio))
        return self._sink.take()

    def finish(self) -> bytes:
        self._write(self._resampler.feed(Audio(np.zeros(0, np.float32), self._source_rate), last=True))
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()

    def _write(self, audio: Audio) -> None:
        if len(audio.samples):
            frame = AudioFrame.from_ndarray(self._samples(audio)[np.newaxis], self._sample_format, "mono")
            frame.sample_rate = self.rate
            self._container.mux(self._stream.encode(frame))

    def _samples(self, audio: Audio) -> NDArray[np.int16] | NDArray[np.float32]:
        if self._sample_format == "s16":
            return np.frombuffer(to_pcm16(audio), "<i2")
        return np.ascontiguousarray(clean(audio.samples))
