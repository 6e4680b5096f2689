"""Any upload -> mono Audio at the requested rate, whole or piece by piece. Blocking."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.codecs import media
from open_speech.codecs.blocks import Flow, Gap, collect
from open_speech.codecs.downmix import Downmix, Mix
from open_speech.codecs.samples import planar
from open_speech.codecs.survey import Survey, Surveyor
from open_speech.codecs.timestamps import Clock, believable
from open_speech.codecs.wav import Pcm16, find_pcm16
from open_speech.errors import InvalidAudio

NewMix = Callable[[tuple[str, ...], int], Mix]
"""Creates a mix from FFmpeg's names of the channels and their rate in Hertz."""

_BLOCK_FRAMES = 64
"""Codec frames (of 20 to 100 ms each) that are mixed and resampled together, to spread NumPy's cost per call."""
_PCM_BLOCK_SECONDS = 30
_ANY_RATE = 16_000
"""Hertz; a placeholder where nothing is resampled."""
_SHORT_GAP_S = 1.0
"""A gap of up to this length is mixed and resampled like the audio around it; silence for a longer gap is generated at the final rate."""


def decode(source: bytes | Path, rate: int, *, max_seconds: float) -> Audio:
    """Decode a media file, given as bytes or as a path, to mono at `rate` Hertz with at least one sample.

    Any number of channels is mixed to mono. The best audio stream of a video is decoded, and a truncated file up to its end.
    Raises AudioTooLong as soon as `max_seconds` of audio are exceeded, InvalidAudio if the file is not audio; both name `file`.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds), rate)


def decode_pcm16(source: bytes | Path, source_rate: int, rate: int, *, max_seconds: float) -> Audio:
    """Decode headerless little-endian 16-bit mono PCM at `source_rate` Hertz to `rate` Hertz.

    Raises AudioTooLong beyond `max_seconds`, InvalidAudio if there is no sample or an odd number of bytes; both name `file`.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds, raw_rate=source_rate), rate)


def blocks(
    source: bytes | Path | int,
    rate: int,
    *,
    max_seconds: float,
    raw_rate: int | None = None,
    channel: int | None = None,
    formats: tuple[str, ...] = (),
) -> Iterator[Audio]:
    """Decode as `decode` does, but piece by piece, in memory that does not grow with the file; with `raw_rate` as `decode_pcm16` does.

    The source may be the descriptor of an open file, which is closed at the end. `channel` decodes one channel, counted from 0, instead
    of the mix. `formats` restricts the containers that are read, by FFmpeg's names; empty allows all in `formats.DEMUXERS`.
    Raises at the first piece, or at the piece that exceeds the limit; InvalidAudio also for a channel that the file does not have.
    """
    flow = Flow(rate, max_seconds=max_seconds)
    empty = True
    with _opened(source) as (data, file):
        for block in _source_blocks(data, file, flow, raw_rate, partial(_downmix, channel), formats):
            for piece in flow.gap(block) if isinstance(block, Gap) else (flow.feed(block),):
                empty = empty and not len(piece.samples)
                yield piece
        last = flow.flush()
    if empty and not len(last.samples):
        raise InvalidAudio("The file contains no audio.", param="file")
    yield last


def survey(source: bytes | Path | int, *, max_seconds: float) -> Survey:
    """Count the channels of a file, and detect whether they contain different speech at its beginning.

    Raises as `blocks` does.
    """
    found: list[Surveyor] = []

    def surveyor(channels: tuple[str, ...], rate: int) -> Surveyor:
        found.append(Surveyor(channels, rate))
        return found[-1]

    flow = Flow(_ANY_RATE, max_seconds=max_seconds)
    with _opened(source) as (data, file):
        for _ in _source_blocks(data, file, flow, None, surveyor):
            if found[0].is_done or len(found) > 1:
                break
    if not found:
        raise InvalidAudio("The file contains no audio.", param="file")
    return found[0].survey()


def needs_codec(source: bytes | Path) -> bool:
    """Return whether FFmpeg has to decode a file; 16-bit PCM in a WAV file is read without it, and an empty file is not read."""
    try:
        with _opened(source) as (data, _):
            return find_pcm16(data) is None
    except InvalidAudio:
        return False


@contextmanager
def _opened(source: bytes | Path | int) -> Iterator[tuple[memoryview, io.BufferedIOBase]]:
    """Open the source as memory (a file is memory-mapped) and as a stream. Raises InvalidAudio if it is empty."""
    if isinstance(source, bytes):
        if not source:
            raise InvalidAudio("The file is empty.", param="file")
        yield memoryview(source), io.BytesIO(source)
        return
    with open(source, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise InvalidAudio("The file is empty.", param="file")
        # The mapping is closed with the last array that refers to it; closing it here would fail while an exception still holds one.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), file


def _source_blocks(
    data: memoryview, file: io.BufferedIOBase, flow: Flow, raw_rate: int | None, new_mix: NewMix, formats: tuple[str, ...] = ()
) -> Iterator[Audio | Gap]:
    if raw_rate is not None:
        if len(data) % 2:
            raise InvalidAudio("16-bit PCM must have an even number of bytes.", param="file")
        return _pcm16_blocks(data, Pcm16(raw_rate, channels=1, start=0, frames=len(data) // 2), flow, new_mix)
    found = find_pcm16(data)
    # The most common upload of voice clients needs no codec: reading it here takes a seventh of FFmpeg's time.
    return _media_blocks(file, flow, new_mix, formats) if found is None else _pcm16_blocks(data, found, flow, new_mix)


def _pcm16_blocks(data: memoryview, pcm: Pcm16, flow: Flow, new_mix: NewMix) -> Iterator[Audio]:
    flow.expect(pcm.frames, pcm.rate)
    mix = new_mix(("FC",) if pcm.channels == 1 else ("FL", "FR"), pcm.rate)
    step = _PCM_BLOCK_SECONDS * pcm.rate
    for first in range(0, pcm.frames, step):
        count = min(step, pcm.frames - first) * pcm.channels
        block = np.frombuffer(data, "<i2", count, offset=pcm.start + 2 * first * pcm.channels)
        for mono in mix.feed(planar([block[np.newaxis]], pcm.channels)):
            yield Audio(mono, pcm.rate)
    for mono in mix.flush():
        yield Audio(mono, pcm.rate)


def _downmix(channel: int | None, channels: tuple[str, ...], rate: int) -> Downmix:
    if channel is not None and channel >= len(channels):
        raise InvalidAudio(f"The file has no channel {channel}: it has {len(channels)}.", param="file")
    return Downmix(channels, rate, only=channel)


def _media_blocks(file: io.BufferedIOBase, flow: Flow, new_mix: NewMix, formats: tuple[str, ...]) -> Iterator[Audio | Gap]:
    with media.opened(file, formats) as container:
        stream = media.audio_stream(container, flow.max_seconds)
        read = media.packets(container, stream)
        mixer = _Mixer(flow, Clock(read.start_s, joined=media.may_be_joined(container)), new_mix)
        for frame, time_s in believable(_timed(container, media.frames(stream, read.packets))):
            yield from mixer.feed(frame, time_s)
        yield from mixer.flush()


def _timed(container: InputContainer, frames: Iterator[AudioFrame]) -> Iterator[tuple[AudioFrame, float | None]]:
    clocked = media.has_clock(container)
    return ((frame, frame.time if clocked else None) for frame in frames)


class _Mixer:
    """Places frames at their times and mixes many at once, until the rate, the layout or the sample format changes."""

    def __init__(self, flow: Flow, clock: Clock, new_mix: NewMix) -> None:
        self._flow = flow
        self._clock = clock
        self._new_mix = new_mix
        self._shape: tuple[int, str, str] | None = None
        self._rate = self._channels = 0
        self._mix: Mix | None = None
        self._pending: list[NDArray[Any]] = []

    def feed(self, frame: AudioFrame, time_s: float | None) -> Iterator[Audio | Gap]:
        """Add the next frame and its timestamp. Raises AudioTooLong before memory is allocated for a gap or a frame."""
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        if shape != self._shape:
            yield from self.flush()
            self._begin(frame, shape)
        place = self._clock.place(time_s, frame.samples, self._rate)
        if place.gap:
            yield from self._gap(place.gap)
        self._flow.expect(frame.samples - place.drop, self._rate)
        if place.drop < frame.samples:
            samples = frame.to_ndarray()
            width = samples.shape[1] // frame.samples  # the number of channels if they are interleaved, else 1
            self._pending.append(samples[:, place.drop * width :])
        if len(self._pending) == _BLOCK_FRAMES:
            yield from self._mixed()

    def flush(self) -> Iterator[Audio]:
        """Yield all audio that is still buffered."""
        yield from self._mixed()
        if self._mix is not None:
            yield from (Audio(mono, self._rate) for mono in self._mix.flush())

    def _begin(self, frame: AudioFrame, shape: tuple[int, str, str]) -> None:
        self._flow.expect(0, frame.sample_rate)
        names = tuple(channel.name for channel in frame.layout.channels)
        self._shape, self._rate, self._channels = shape, frame.sample_rate, len(names)
        self._mix = self._new_mix(names, self._rate)

    def _gap(self, count: int) -> Iterator[Audio | Gap]:
        self._flow.expect(count, self._rate)
        if count > _SHORT_GAP_S * self._rate:
            yield from self.flush()
            yield Gap(count / self._rate)
        elif self._mix is not None:
            yield from self._mixed()
            yield from (Audio(mono, self._rate) for mono in self._mix.feed(np.zeros((self._channels, count), np.float32)))

    def _mixed(self) -> Iterator[Audio]:
        if self._mix is not None and self._pending:
            joined = planar(self._pending, self._channels)
            self._pending = []
            yield from (Audio(mono, self._rate) for mono in self._mix.feed(joined))
