from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from open_speech.codecs.probe import stated_seconds

KINDS = [
    ("wav", "pcm_s16le"),
    ("flac", "flac"),
    ("mp3", "libmp3lame"),
    ("ogg", "libopus"),
    ("mp4", "aac"),
    ("matroska", "libopus"),
    ("webm", "libopus"),
]
NO_MEDIA = [b"", b"RIFF", b"\0" * 100_000, b"#EXTM3U\nhttp://127.0.0.1/x.mp3\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]


def written(kind: str, codec: str, seconds: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=48_000)
        wave = (8000 * np.sin(np.arange(48_000 * seconds) / 30)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_a_finished_file_says_how_long_it_is(kind: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(written(kind, codec, 3))
    assert stated_seconds(path) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("data", NO_MEDIA)
def test_what_is_no_media_file_says_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    assert stated_seconds(path) is None


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert stated_seconds(tmp_path / "gone") is None


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_half_a_file_does_no_harm(kind: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = written(kind, codec, 3)
    for end in (10, 100, len(data) // 2):
        path.write_bytes(data[:end])
        told = stated_seconds(path)
        assert told is None or 0 < told < 10
