"""Decoding of base64 in chunks, as it arrives in a JSON string, into memory or an unnamed file."""

from __future__ import annotations

import binascii
import io
import re
from pathlib import Path
from tempfile import SpooledTemporaryFile

from open_speech.errors import InvalidRequest, InvalidValue, UploadTooLarge

STEP = 1 << 18
"""Characters decoded at a time, a multiple of four: `binascii` blocks all other threads while it runs."""
MEMORY_BYTES = 1 << 20
"""Longer audio is written to disk."""
_HEAD_BYTES = 256
_FD = Path("/dev/fd")
_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})|\\(.)")
_CUT_ESCAPE = re.compile(rb"(?:^|[^\\])(\\(?:u[0-9a-fA-F]{0,3})?)$")


def decoded(text: str) -> bytes:
    """Decode base64 in steps. Raises ValueError for invalid base64."""
    decoder = Decoder()
    return b"".join([*(decoder.feed(text[at : at + STEP].encode("ascii")) for at in range(0, len(text), STEP)), decoder.end()])


class Decoder:
    """A strict base64 decoder for chunks of any size. Raises ValueError for invalid base64."""

    def __init__(self) -> None:
        self._rest = b""
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """Decode all complete groups of four characters."""
        data = self._rest + data
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        if not whole:
            return b""
        if self._ended:
            raise ValueError("there is more after the padding")
        self._ended = data[whole - 1] == ord("=")
        return binascii.a2b_base64(data[:whole], strict_mode=True)

    def end(self) -> bytes:
        """Raise ValueError if the last group of four characters is incomplete."""
        if self._rest:
            raise ValueError("the last four characters are not complete")
        return b""


class JsonString:
    """A decoder of the escapes of an ASCII JSON string in chunks of any size. Raises ValueError at the end for an incomplete escape."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Return the complete characters; one beyond ASCII becomes a byte that is invalid in base64."""
        data = self._tail + data
        cut = _CUT_ESCAPE.search(data[-8:])
        self._tail = cut[1] if cut else b""
        return _ESCAPE.sub(_unescaped, data[: len(data) - len(self._tail)]) if b"\\" in data else data

    def end(self) -> None:
        """Raise ValueError if the string ends within an escape."""
        if self._tail:
            raise ValueError("an escape is not complete")


class Base64Bytes:
    """A sink for a base64 JSON string that stores the decoded bytes in memory."""

    def __init__(self) -> None:
        self._string = JsonString()
        self._decoder = Decoder()
        self._bytes = io.BytesIO()
        self._is_invalid = False

    def write(self, data: bytes) -> None:
        """Decode the next chunk; errors are raised by `value`."""
        if not self._is_invalid:
            try:
                self._bytes.write(self._decoder.feed(self._string.feed(data)))
            except ValueError:
                self._is_invalid = True
                self._bytes.close()

    def value(self) -> bytes:
        """Return the bytes. Raises ValueError for invalid base64."""
        if self._is_invalid:
            raise ValueError("not base64")
        self._string.end()
        self._decoder.end()
        return self._bytes.getvalue()  # the buffer itself: joining chunks of 15 MiB blocks all threads for 12 ms


class Base64File:
    """A sink for a JSON string of base64 or a base64 data URL. Small audio is decoded into memory, the rest to disk."""

    def __init__(self, field: str, max_bytes: int) -> None:
        """`field` is named in errors. At most `max_bytes` are stored."""
        self._field = field
        self._max = max_bytes
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=MEMORY_BYTES)
        self._decoder = Decoder()
        self._head: bytes | None = b""
        """The beginning of the string; None as soon as it is known whether this is a data URL."""
        self._string = JsonString()
        self._size = 0
        self._error: InvalidRequest | None = None
        self.is_empty = True
        """Whether the string is empty."""

    def write(self, data: bytes) -> None:
        """Decode the next chunk. Errors are raised by `source`, so that the rest of the body is still read."""
        self.is_empty = self.is_empty and not data
        if self._error is not None or not data:
            return
        try:
            self._store(self._without_head(self._string.feed(data)))
        except InvalidRequest as error:
            self._error = error
        except ValueError:
            self._error = InvalidValue(f"`{self._field}` is not base64.", param=self._param)

    def source(self) -> bytes | Path:
        """Return the audio; a path is valid until `close`. Raises InvalidValue or UploadTooLarge naming the field."""
        if self._error is None:
            try:
                self._string.end()
                if self._head is not None:
                    self._store(self._without_head(b"", at_end=True))
                self._decoder.end()
            except InvalidRequest as error:
                self._error = error
            except ValueError:
                self._error = InvalidValue(f"`{self._field}` is not base64.", param=self._param)
        if self._error is not None:
            raise self._error
        if self._size > MEMORY_BYTES and _FD.exists():
            self._file.flush()
            return _FD / str(self._file.fileno())
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Delete the audio."""
        self._file.close()

    @property
    def _param(self) -> str:
        return self._field.partition(".")[0]

    def _without_head(self, data: bytes, *, at_end: bool = False) -> bytes:
        """Remove `data:…;base64,` from the beginning. Raises InvalidValue for any other data URL."""
        if self._head is None:
            return data
        data = self._head + data
        self._head = data
        if data[:5].lower() != b"data:"[: len(data)]:
            self._head = None
            return data
        head, comma, rest = data.partition(b",")
        if comma and head.lower().endswith(b";base64"):
            self._head = None
            return rest
        if comma or at_end or len(data) > _HEAD_BYTES:
            raise InvalidValue(f"`{self._field}` must be base64 or a data URL: `data:audio/wav;base64,…`.", param=self._param)
        return b""

    def _store(self, data: bytes) -> None:
        audio = self._decoder.feed(data)
        self._size += len(audio)
        if self._size > self._max:
            raise UploadTooLarge(f"`{self._field}` is larger than the limit of {self._max} bytes.", param=self._param)
        self._file.write(audio)


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return found[2]
    code = int(found[1], 16)
    return bytes([code]) if code < 128 else b"\xff"
