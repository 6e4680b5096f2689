"""A media file through FFmpeg, restricted to the formats in formats.py: its best audio stream and that stream's frames. Blocking.

Uploads are untrusted. Only the listed demuxers and audio decoders run, on bytes that were already received: a playlist or a reference
inside a file cannot make FFmpeg open another file or a URL.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import av.logging
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from open_speech.codecs.blocks import too_long
from open_speech.codecs.formats import CLOCKED, DECODERS, DEMUXERS, JOINED, TRUSTED_DURATION, is_one_of
from open_speech.errors import InvalidAudio

UNKNOWN_FORMAT = "Invalid file format. Supported formats: ['flac', 'm4a', 'mp3', 'mp4', 'mpeg', 'mpga', 'oga', 'ogg', 'wav', 'webm']"
"""OpenAI's message verbatim, because clients match it."""

_IO_BYTES = 1 << 18
_AUDIO_LINE = re.compile(r"Audio: (\S+)(?: \(\S+\))* \(([^)]+)\)|Audio: (\w+)")
"""FFmpeg's description of a stream: the codec's name, then its tag in the file if it has one."""


@contextmanager
def opened(file: io.BufferedIOBase, formats: tuple[str, ...] = ()) -> Iterator[InputContainer]:
    """Open a media file in one of `formats` (FFmpeg's names of containers), or in any that formats.py lists.

    Raises InvalidAudio if it is not a media file or has another container.
    """
    try:
        container = av.open(
            file,
            "r",
            container_options={
                "format_whitelist": ",".join(formats or DEMUXERS),
                "codec_whitelist": ",".join(sorted(DECODERS)),
                "protocol_whitelist": "none",
            },
            metadata_errors="replace",
            buffer_size=_IO_BYTES,
            io_open=_refuse_to_open,
        )
    except av.FFmpegError:
        raise InvalidAudio(UNKNOWN_FORMAT, param="file") from None
    with container:
        yield container


def audio_stream(container: InputContainer, max_seconds: float) -> AudioStream:
    """Return the stream to recognize: FFmpeg's best one, else the first one, that has a listed decoder.

    Raises InvalidAudio if there is none, and AudioTooLong for a file that states a duration of more than `max_seconds`: ten hours of
    silence fit into a small file.
    """
    known = [s for s in container.streams.audio if s.codec_context is not None and s.codec_context.name in DECODERS]
    if not known:
        raise InvalidAudio(_why_none(container), param="file")
    best = container.streams.best("audio")
    stream = next((stream for stream in known if best is not None and stream.index == best.index), known[0])
    if is_one_of(container.format.name, TRUSTED_DURATION) and (stated_end(container, stream) or 0) > max_seconds:
        raise too_long(max_seconds)
    return stream


def stated_end(container: InputContainer, stream: AudioStream | None) -> float | None:
    """Return the end of the audio that the file states, in seconds after the container's start; None if it states none."""
    if stream is not None and stream.duration and stream.time_base is not None:
        late = (stream.start_time or 0) * stream.time_base - Fraction(container.start_time or 0, av.time_base)
        return float(max(Fraction(0), late) + stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


@dataclass(frozen=True, slots=True)
class Packets:
    """The packets of one stream, and the time at which players of the container start."""

    start_s: float | None
    """Time of the container's first frame of audio or video, in seconds; None if no frame has a time."""
    packets: Iterator[Packet[AudioStream]]


def packets(container: InputContainer, stream: AudioStream) -> Packets:
    """Read the packets of a stream. Of video packets before its first packet only the time is read.

    FFmpeg's own start time includes only streams that it can decode, and formats.py lists no video decoder.
    """
    times = [] if container.start_time is None else [container.start_time / av.time_base]
    for packet in _readable(container.demux()):
        if packet.pts is not None and not packet.is_discard and packet.stream.type == "video":
            times.append(float(packet.pts * packet.time_base))
        if packet.stream.index == stream.index:
            return Packets(min(times, default=None), chain((packet,), _readable(container.demux(stream))))
    return Packets(None, iter(()))


def _readable(packets: Iterator[Any]) -> Iterator[Any]:
    """Yield packets up to the end, or up to the point where the container is damaged."""
    with suppress(av.FFmpegError, PermissionError):
        yield from packets


def has_clock(container: InputContainer) -> bool:
    """Return whether the times of frames are stored in the file, and not counted by FFmpeg."""
    return is_one_of(container.format.name, CLOCKED)


def may_be_joined(container: InputContainer) -> bool:
    """Return whether streams in this container format are joined without rewriting their times."""
    return is_one_of(container.format.name, JOINED)


def frames(stream: AudioStream, packets: Iterator[Packet[AudioStream]]) -> Iterator[AudioFrame]:
    """Decode packets and skip damaged ones."""
    for packet in packets:
        with suppress(av.FFmpegError):
            yield from stream.decode(packet)


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> Any:
    """Refuse a demuxer that wants to open another file."""
    raise PermissionError("a media file may not refer to other files")


def _why_none(container: InputContainer) -> str:
    """Return why none of the audio can be decoded, with the codec's name, or else its tag in the file."""
    if not container.streams.audio:
        return "The file contains no audio."
    # PyAV identifies a codec by its decoder. Only FFmpeg's description names a codec without one.
    av.logging.set_level(av.logging.INFO)
    try:
        described = _AUDIO_LINE.search(container.dumps_format())  # type: ignore[attr-defined]
    finally:
        av.logging.set_level(None)
    if described is None:
        return "The file contains no audio that can be decoded."
    name, tag = described[1] or described[3], described[2]
    codec = f"an unknown codec (tag {tag})" if name == "none" and tag else f"the codec `{name}`"
    return f"The audio is in {codec}, which this server cannot decode. Convert the file, for example to FLAC."
