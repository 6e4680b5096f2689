"""Sounds and media files for the codec tests, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest

from open_speech.audio import Audio

MakeTone = Callable[..., Audio]
MakeMedia = Callable[..., bytes]


@pytest.fixture
def tone() -> MakeTone:
    """A sweep, so that a shift of one period shows: tone(seconds, rate)."""

    def make(seconds: float, rate: int) -> Audio:
        t = np.arange(round(seconds * rate)) / rate
        return Audio((0.4 * np.sin(2 * np.pi * (300 * t + 200 * t**2))).astype(np.float32), rate)

    return make


@pytest.fixture
def media() -> MakeMedia:
    """Any container and codec that FFmpeg writes: media(container, codec, channels, rate, layout=, video=, seekable=)."""

    def make(
        container: str, codec: str, channels: np.ndarray, rate: int, *, layout: str = "mono", video: bool = False, seekable: bool = True
    ) -> bytes:
        file = io.BytesIO() if seekable else _AppendOnly()
        with av.open(file, "w", format=container) as output:
            picture = output.add_stream("mpeg4", rate=10) if video else None
            if picture is not None:
                picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            stream = output.add_stream(codec, rate=rate, layout=layout)
            sample_format = stream.codec_context.format.name
            if picture is not None:
                for _ in range(round(channels.shape[1] / rate * 10)):
                    output.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
            output.mux(stream.encode(_frame(channels, sample_format, layout, rate)))
            for s in (stream, picture):
                if s is not None:
                    output.mux(s.encode(None))
        return file.getvalue()

    return make


@pytest.fixture
def long_silence() -> MakeMedia:
    """Hours of silence in an Opus file of half a megabyte an hour: long_silence(container, hours=, seekable=)."""

    def make(container: str, *, hours: float, seekable: bool = True) -> bytes:
        file = io.BytesIO() if seekable else _AppendOnly()
        size = 5760
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream("libopus", rate=48_000, layout="mono", options={"frame_duration": "120"})
            silent = [packet for _ in range(4) for packet in stream.encode(_frame(np.zeros((1, size)), "flt", "mono", 48_000))]
            for n in range(round(hours * 3600 * 48_000 / size)):
                packet = av.Packet(bytes(silent[-1]))
                packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 48_000), size
                packet.pts = packet.dts = n * size
                output.mux_one(packet)
        return file.getvalue()

    return make


class _AppendOnly:
    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def getvalue(self) -> bytes:
        return bytes(self._data)


def _frame(channels: np.ndarray, sample_format: str, layout: str, rate: int) -> av.AudioFrame:
    dtype = {"s16": np.int16, "s32": np.int32, "flt": np.float32, "u8": np.uint8}[sample_format.rstrip("p")]
    data = channels
    if np.issubdtype(dtype, np.signedinteger):
        data = np.rint(channels * np.iinfo(dtype).max)
    elif dtype is np.uint8:
        data = np.rint(channels * 127 + 128)
    data = data.astype(dtype)
    if not sample_format.endswith("p"):
        data = np.ascontiguousarray(data.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), sample_format, layout)
    frame.sample_rate = rate
    return frame
