"""Media files with chosen timestamps: audio encoded in one go, whose packets are then moved in time."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import numpy as np

from open_speech.audio import Audio

RATE = 16_000
_BIT_RATES = {"wmav1": 64_000, "wmav2": 64_000, "g723_1": 6_300, "libopencore_amrnb": 12_200}
Shift = Callable[[float], float | None]
"""Takes the time of a packet in the encoded audio, gives the seconds by which it is moved; None leaves the packet out."""


def beeps(seconds: float, rate: int = RATE, every_s: float = 1.0) -> Audio:
    """A beep of 0.2 s at every second and a half: 0.5, 1.5, 2.5 and so on."""
    t = np.arange(round(seconds * rate)) / rate
    inside = np.abs((t % every_s) - every_s * 0.6) < 0.1
    return Audio((0.5 * inside * np.sin(2 * np.pi * 700 * t)).astype(np.float32), rate)


def onsets(audio: Audio, least: float = 0.1) -> list[float]:
    """When each beep begins, in seconds."""
    size = audio.rate // 100
    level = np.abs(audio.samples[: len(audio.samples) // size * size]).reshape(-1, size).max(axis=1)
    loud = np.concatenate([[False], level > least])
    return [float(at) / 100 for at in np.flatnonzero(loud[1:] & ~loud[:-1]) if not loud[max(0, at - 6) : at + 1].any()]


def gaps_at(gaps: Sequence[tuple[float, float]]) -> Shift:
    """Move what follows each time by that many seconds more."""
    return lambda time: sum(gap for at, gap in gaps if time >= at - 1e-6)


def timed(  # noqa: PLR0913 - what a test varies
    container: str,
    codec: str,
    audio: Audio,
    shift: Shift,
    *,
    video_at_s: float | None = None,
    video_seconds: float = 1.0,
    options: dict[str, str] | None = None,
    sample_rate: int | None = None,
) -> bytes:
    """Write a file whose audio packets are moved by `shift`; with `video_at_s` it has a video that begins there."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=sample_rate or audio.rate, layout="mono")
        if codec in _BIT_RATES:
            stream.bit_rate = _BIT_RATES[codec]
        picture = None
        if video_at_s is not None:
            picture = output.add_stream("mpeg4" if container != "flv" else "flv", rate=25)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        frame = av.AudioFrame.from_ndarray(np.rint(audio.samples[np.newaxis] * 32767).astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = audio.rate, 0, Fraction(1, audio.rate)
        resampler = av.AudioResampler(stream.codec_context.format, "mono", stream.codec_context.sample_rate)
        packets = [p for part in (*resampler.resample(frame), *resampler.resample(None)) for p in stream.encode(part)]
        packets += stream.encode(None)
        moved = []
        for packet in packets:
            assert packet.pts is not None
            by = shift(float(packet.pts * packet.time_base))
            if by is not None:
                packet.pts = packet.dts = packet.pts + round(by / packet.time_base)
                moved.append(packet)
        if picture is not None:
            for n in range(round(video_seconds * 25)):
                image = av.VideoFrame(64, 64, "yuv420p")
                image.pts, image.time_base = n, Fraction(1, 25)
                for packet in picture.encode(image):
                    packet.pts = packet.dts = (packet.pts or 0) + round(video_at_s / packet.time_base)
                    moved.append(packet)
        for packet in sorted(moved, key=lambda packet: packet.dts * packet.time_base):
            output.mux_one(packet)
    return file.getvalue()


def ffmpegs_seconds(file: bytes) -> float:
    """Measure the audio that FFmpeg's own filter `aresample=async=1` makes of a file."""
    with av.open(io.BytesIO(file)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    graph = av.filter.Graph()
    first = frames[0]
    source = graph.add_abuffer(sample_rate=first.sample_rate, format=first.format.name, layout=first.layout.name, time_base=first.time_base)
    graph.link_nodes(source, graph.add("aresample", "async=1"), graph.add("abuffersink"))
    graph.configure()
    seconds = 0.0
    for frame in [*frames, None]:
        graph.push(frame)
        seconds += _pulled(graph)
    return seconds


def _pulled(graph: av.filter.Graph) -> float:
    seconds = 0.0
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return seconds
        seconds += frame.samples / frame.sample_rate


def two_streams(first: Audio, second: Audio, *, second_at_s: float) -> bytes:
    """Write a Matroska file of two audio streams in PCM, the second of which begins later."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        streams = [output.add_stream("pcm_s16le", rate=audio.rate, layout="mono") for audio in (first, second)]
        packets = []
        for stream, audio, start_s in zip(streams, (first, second), (0.0, second_at_s), strict=True):
            for at in range(0, len(audio.samples), 1024):
                data = np.rint(audio.samples[np.newaxis, at : at + 1024] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(data, "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = audio.rate, at + round(start_s * audio.rate), Fraction(1, audio.rate)
                packets += stream.encode(frame)
        for packet in sorted(packets, key=lambda packet: packet.dts or 0):
            output.mux_one(packet)
    return file.getvalue()
