"""Detection of the format of another server's audio, by its media type and its first bytes. Pure.

Other servers are not trusted: their audio is decoded in a requested format, or not at all. The first bytes take precedence over the media
type, because many servers send `audio/mpeg` for every format.
"""

from __future__ import annotations

HEAD_BYTES = 12
"""Number of first bytes of a response that are enough for the detection."""
_BEGINNINGS = {
    b"RIFF": "wav", b"ID3": "mp3", b"OggS": "ogg", b"fLaC": "flac", b"\x1aE\xdf\xa3": "webm", b"FORM": "aiff", b"caff": "caf",
    b".snd": "au", b"riff": "w64", b"#!AMR": "amr", b"RF64": "rf64", b"0&\xb2u": "asf",
}  # fmt: skip
_MEDIA_TYPES = {
    "mpeg": "mp3", "mp3": "mp3", "ogg": "ogg", "opus": "ogg", "flac": "flac", "x-flac": "flac", "webm": "webm", "mp4": "mp4", "m4a": "mp4",
    "x-m4a": "mp4", "aac": "aac", "aacp": "aac", "aiff": "aiff", "x-aiff": "aiff", "basic": "au", "amr": "amr",
}  # fmt: skip


def format_of(media_type: str, head: bytes) -> str | None:
    """Return the name of the format of a response that begins with `head` (HEAD_BYTES, or all of it).

    None if neither indicates a format, as for samples without a header. `media_type` is lower case and has no parameters.
    """
    if head[4:8] == b"ftyp":
        return "mp4"
    found = next((name for start, name in _BEGINNINGS.items() if head.startswith(start)), None)
    return found or _MEDIA_TYPES.get(media_type.removeprefix("audio/"))
