"""The audio of one utterance in several messages: chunks of one file, or several WAV files. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from open_speech.codecs.wav import UNKNOWN_SIZE, Pcm16, find_pcm16
from open_speech.errors import UploadTooLarge

_SIZE = struct.Struct("<I")
_RIFF_HEAD = 8


class Utterance:
    """The chunks so far."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self.bytes = 0

    def add(self, chunk: bytes) -> None:
        """Append a chunk. Raises UploadTooLarge, and drops the utterance, if it becomes too long."""
        if self.bytes + len(chunk) > self._max_bytes:
            self.clear()
            raise UploadTooLarge(f"The utterance is larger than the limit of {self._max_bytes} bytes.", param="data")
        self._chunks.append(chunk)
        self.bytes += len(chunk)

    @property
    def is_whole(self) -> bool:
        """Whether the last chunk is a WAV file that is as long as its header states, so that it may be a whole utterance."""
        return bool(self._chunks) and is_whole_wav(self._chunks[-1])

    def take(self) -> bytes:
        """Return the audio as one file, and begin a new utterance."""
        chunks = self._chunks
        self.clear()
        return joined(chunks)

    def clear(self) -> None:
        """Drop the chunks."""
        self._chunks = []
        self.bytes = 0


def is_whole_wav(data: bytes) -> bool:
    """Return whether bytes are a WAV file with the length in its header."""
    return len(data) > _RIFF_HEAD and data[:4] == b"RIFF" and _SIZE.unpack_from(data, 4)[0] == len(data) - _RIFF_HEAD


def joined(chunks: Sequence[bytes]) -> bytes:
    """Join chunks: those of one file as they are, and several WAV files of one format to one."""
    if len(chunks) < 2 or not all(map(is_whole_wav, chunks)):
        return b"".join(chunks)
    files = [find_pcm16(memoryview(chunk)) for chunk in chunks]
    first = files[0]
    if first is None or any(file is None or (file.rate, file.channels) != (first.rate, first.channels) for file in files):
        return b"".join(chunks)
    samples = [_samples(chunk, file) for chunk, file in zip(chunks, files, strict=True) if file is not None]
    return b"".join([chunks[0][: first.start - _SIZE.size], _SIZE.pack(UNKNOWN_SIZE), *samples])


def _samples(chunk: bytes, file: Pcm16) -> bytes:
    return chunk[file.start : file.start + file.frames * file.channels * 2]
