from __future__ import annotations

import pytest

from open_speech.audio import silence
from open_speech.codecs import encoder, wav_bytes
from runners.support.audio_formats import HEAD_BYTES, format_of


@pytest.mark.parametrize(
    ("media_type", "head", "name"),
    [
        ("audio/pcm", b"\0" * 12, None), ("application/octet-stream", b"", None), ("audio/wav", b"\1\0", None), ("audio/l16", b"RIF", None),
        ("audio/wav", b"RIFF", "wav"), ("audio/mpeg", b"RIFF\0\0\0\0WAVE", "wav"), ("audio/mpeg", b"\xff\xfb\x90\0", "mp3"),
        ("audio/mpeg", b"", "mp3"), ("audio/pcm", b"ID3\4", "mp3"), ("audio/pcm", b"OggS\0", "ogg"), ("audio/opus", b"\0\0", "ogg"),
        ("audio/wav", b"\x1aE\xdf\xa3", "webm"), ("audio/wav", b"\0\0\0\x1cftypM4A ", "mp4"), ("audio/x-m4a", b"\0", "mp4"),
        ("audio/aac", b"\xff\xf1", "aac"), ("application/octet-stream", b"FORM\0\0\0\0AIFF", "aiff"),
    ],
)  # fmt: skip
def test_the_first_bytes_count_more_than_the_media_type(media_type: str, head: bytes, name: str | None) -> None:
    assert format_of(media_type, head) == name


@pytest.mark.parametrize(("format", "name"), [("mp3", "mp3"), ("opus", "ogg"), ("flac", "flac"), ("wav", "wav")])
def test_what_we_write_ourselves_is_known_by_its_beginning(format: str, name: str) -> None:
    making = encoder(format, 24_000)  # type: ignore[arg-type]
    written = making.encode(silence(0.5, 24_000)) + making.finish()
    head = wav_bytes(silence(0.1, 24_000))[:HEAD_BYTES] if format == "wav" else written[:HEAD_BYTES]
    assert format_of("audio/mpeg" if format == "mp3" else "audio/pcm", head) == name
