"""Any upload -> mono Audio at the rate that is asked for, whole or piece by piece. Blocking.

Uploads come from strangers. Only the listed demuxers and audio decoders run, on bytes that are already here: a playlist or a
reference inside a file cannot make FFmpeg open another file or a URL.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.codecs.flow import Flow, collect, too_long
from open_speech.codecs.samples import to_mono
from open_speech.codecs.wav import Pcm16, find_pcm16
from open_speech.errors import InvalidAudio

UNKNOWN_FORMAT = "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
"""OpenAI's own words: clients look for them."""

_DEMUXERS = ("wav", "mp3", "flac", "ogg", "mov", "matroska", "aac", "mpeg", "mpegts")
_DECODERS = frozenset(
    {
        "aac", "ac3", "adpcm_ima_wav", "adpcm_ms", "alac", "amrnb", "amrwb", "eac3", "flac", "gsm_ms", "libopus", "mp1", "mp1float",
        "mp2", "mp2float", "mp3", "mp3float", "opus", "speex", "vorbis", "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le",
        "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s8", "pcm_u8",
    }
)  # fmt: skip
_STATES_DURATION = ("flac", "matroska", "mov", "ogg")
"""Containers whose duration is written or indexed; for the others FFmpeg guesses it from the bit rate, and may be far off."""

_IO_BYTES = 1 << 18
_BLOCK_FRAMES = 64
"""Codec frames (of 20 to 100 ms each) that are mixed and resampled in one go, to spread NumPy's cost per call."""
_PCM_BLOCK_SECONDS = 30


def decode(source: bytes | Path, rate: int, *, max_seconds: float) -> Audio:
    """Decode a media file, given as bytes or as a path, to mono at `rate` Hertz with at least one sample.

    Every channel count is mixed to mono, the best audio stream of a video is taken, and of a truncated file whatever is there.
    Raises AudioTooLong as soon as `max_seconds` of audio are exceeded, InvalidAudio for what is not audio; both name `file`.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds), rate)


def decode_pcm16(source: bytes | Path, source_rate: int, rate: int, *, max_seconds: float) -> Audio:
    """Decode headerless little-endian 16-bit mono PCM at `source_rate` Hertz to `rate` Hertz.

    Raises AudioTooLong beyond `max_seconds`, InvalidAudio if there is no sample or half a sample too much; both name `file`.
    """
    return collect(blocks(source, rate, max_seconds=max_seconds, raw_rate=source_rate), rate)


def blocks(source: bytes | Path, rate: int, *, max_seconds: float, raw_rate: int | None = None) -> Iterator[Audio]:
    """Decode as `decode` does, but piece by piece, in memory that does not grow with the file; with `raw_rate` as `decode_pcm16` does.

    Raises at the first piece, or at a later one where the limit is passed.
    """
    flow = Flow(rate, max_seconds=max_seconds)
    empty = True
    with _opened(source) as (data, file):
        for block in _source_blocks(data, file, flow, raw_rate):
            piece = flow.feed(block)
            empty = empty and not len(piece.samples)
            yield piece
        last = flow.flush()
    if empty and not len(last.samples):
        raise InvalidAudio("The file holds no sound.", param="file")
    yield last


def needs_codec(source: bytes | Path) -> bool:
    """Tell whether a file is for FFmpeg; 16-bit PCM in a WAV file is read without it, and what is empty is not read."""
    try:
        with _opened(source) as (data, _):
            return find_pcm16(data) is None
    except InvalidAudio:
        return False


@contextmanager
def _opened(source: bytes | Path) -> Iterator[tuple[memoryview, io.BufferedIOBase]]:
    """Give the source as memory, a file mapped into it, and as a stream. Raises InvalidAudio if it is empty."""
    if isinstance(source, bytes):
        if not source:
            raise InvalidAudio("The file is empty.", param="file")
        yield memoryview(source), io.BytesIO(source)
        return
    with source.open("rb") as file:
        if not source.stat().st_size:
            raise InvalidAudio("The file is empty.", param="file")
        # Closed when the last array that looks into it is gone; closing it here would fail while an error still holds one.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), file


def _source_blocks(data: memoryview, file: io.BufferedIOBase, flow: Flow, raw_rate: int | None) -> Iterator[Audio]:
    if raw_rate is not None:
        if len(data) % 2:
            raise InvalidAudio("16-bit PCM must have an even number of bytes.", param="file")
        return _pcm16_blocks(data, Pcm16(raw_rate, channels=1, start=0, frames=len(data) // 2), flow)
    found = find_pcm16(data)
    # The commonest upload of voice clients needs no codec: reading it here takes a seventh of FFmpeg's time.
    return _media_blocks(file, flow) if found is None else _pcm16_blocks(data, found, flow)


def _pcm16_blocks(data: memoryview, pcm: Pcm16, flow: Flow) -> Iterator[Audio]:
    flow.expect(pcm.frames, pcm.rate)
    layout = ("FC",) if pcm.channels == 1 else ("FL", "FR")
    step = _PCM_BLOCK_SECONDS * pcm.rate
    for first in range(0, pcm.frames, step):
        count = min(step, pcm.frames - first) * pcm.channels
        block = np.frombuffer(data, "<i2", count, offset=pcm.start + 2 * first * pcm.channels)
        yield Audio(to_mono([block[np.newaxis]], layout), pcm.rate)


def _media_blocks(file: io.BufferedIOBase, flow: Flow) -> Iterator[Audio]:
    try:
        container = av.open(
            file,
            "r",
            container_options={
                "format_whitelist": ",".join(_DEMUXERS),
                "codec_whitelist": ",".join(sorted(_DECODERS)),
                "protocol_whitelist": "none",
            },
            metadata_errors="replace",
            buffer_size=_IO_BYTES,
            io_open=_refuse_to_open,
        )
    except av.FFmpegError:
        raise InvalidAudio(UNKNOWN_FORMAT, param="file") from None
    with container:
        stream = _audio_stream(container)
        _refuse_stated_duration(container, stream, flow.max_seconds)
        yield from _mixed(_frames(container, stream), flow)


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> Any:
    """Answer a demuxer that wants to open something else."""
    raise PermissionError("a media file may not refer to other files")


def _audio_stream(container: InputContainer) -> AudioStream:
    """Choose the stream to hear: FFmpeg's best one, or the first one, that has a decoder we trust."""
    known = [s for s in container.streams.audio if s.codec_context is not None and s.codec_context.name in _DECODERS]
    if not known:
        raise InvalidAudio("The file holds no audio that can be decoded.", param="file")
    best = container.streams.best("audio")
    return next((stream for stream in known if best is not None and stream.index == best.index), known[0])


def _refuse_stated_duration(container: InputContainer, stream: AudioStream, max_seconds: float) -> None:
    """Raise AudioTooLong at once for a file that says itself that it is too long: ten hours of silence fit into a small file."""
    if not container.format.name.startswith(_STATES_DURATION):
        return
    if stream.duration is not None and stream.time_base is not None:
        stated = float(stream.duration * stream.time_base)
    else:
        stated = (container.duration or 0) / av.time_base
    if stated > max_seconds:
        raise too_long(max_seconds)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decode what can be decoded: a damaged packet is skipped, and a damaged container ends where the damage begins."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, PermissionError):
            packet = None
        if packet is None:
            return
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            continue


def _mixed(frames: Iterator[AudioFrame], flow: Flow) -> Iterator[Audio]:
    """Mix frames to mono, many at a time; a block ends where the rate, the layout or the sample format changes."""
    pending: list[NDArray[Any]] = []
    shape: tuple[int, str, str] | None = None
    channels: tuple[str, ...] = ()
    for frame in frames:
        flow.expect(frame.samples, frame.sample_rate)
        now = (frame.sample_rate, frame.layout.name, frame.format.name)
        if shape is not None and (now != shape or len(pending) == _BLOCK_FRAMES):
            yield Audio(to_mono(pending, channels), shape[0])
            pending = []
        if now != shape:
            shape = now
            channels = tuple(channel.name for channel in frame.layout.channels)
        pending.append(frame.to_ndarray())
    if shape is not None and pending:
        yield Audio(to_mono(pending, channels), shape[0])
