"""The splitting of long WebSocket frames into short ones before they are parsed. Pure.

The parser of `websockets` collects a whole frame, and then copies, unmasks and decodes it in one call each. For 20 MiB each call takes
15 ms, or 120 ms on a busy machine, during which the event loop is blocked. RFC 6455 (5.4) lets an intermediary fragment a message, so a
long frame becomes a short one and its continuations, which the parser processes as they arrive.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PIECE_BYTES = 1 << 16
"""Maximum payload of an output frame; a multiple of four, so that each piece begins with the first byte of the mask."""
_FIN, _OPCODE, _MASKED, _LENGTH = 0x80, 0x0F, 0x80, 0x7F
_LAST_DATA_OPCODE = 0x2
_MASK_BYTES = 4
_MORE_BYTES = {126: 2, 127: 8}
"""Length value in the second byte -> number of length bytes that follow."""


@dataclass(slots=True)
class _Long:
    """A long frame that is being split."""

    head: int
    """The first byte of the next piece, without FIN."""
    is_last: bool
    """Whether the frame is the last one of its message."""
    mask: bytes
    left: int
    """Bytes of the payload that do not yet belong to a piece."""


class Cutter:
    """The splitter of one client's stream of frames, which is fed with chunks of any size."""

    def __init__(self, limit: int) -> None:
        """A frame of more than `limit` bytes is not split: the parser rejects it by its header."""
        self._limit = limit
        self._head = b""
        """The received part of a frame header."""
        self._through = 0
        """Bytes of payload to copy to the output before the next header."""
        self._long: _Long | None = None

    def feed(self, data: bytes) -> bytes:
        """Return the same messages in shorter frames, as far as their bytes have arrived."""
        parts: list[bytes | memoryview] = []
        view = memoryview(data)
        while len(view):
            if self._through:
                passed = view[: self._through]
                parts.append(passed)
                self._through -= len(passed)
                view = view[len(passed) :]
            elif self._long is not None and self._long.left:
                parts.append(self._next_piece(self._long))
            else:
                view = self._header(view, parts)
        return b"".join(parts)

    def _next_piece(self, frame: _Long) -> bytes:
        size = min(frame.left, PIECE_BYTES)
        frame.left -= size
        is_end = frame.is_last and not frame.left
        header = _header(frame.head | (_FIN if is_end else 0), size, frame.mask)
        frame.head = 0  # a continuation, without the reserved bits
        self._through = size
        return header

    def _header(self, view: memoryview, parts: list[bytes | memoryview]) -> memoryview:
        """Consume bytes of a header; when it is complete, append it to `parts` or begin to split its frame. Return the remaining bytes."""
        have = len(self._head)
        wanted = _header_bytes(self._head)
        self._head += bytes(view[: wanted - have])
        view = view[wanted - have :]
        if len(self._head) < wanted or _header_bytes(self._head) > wanted:
            return view
        header, self._head = self._head, b""
        length = _length(header)
        is_masked = bool(header[1] & _MASKED)
        if is_masked and header[0] & _OPCODE <= _LAST_DATA_OPCODE and PIECE_BYTES < length <= self._limit:
            self._long = _Long(header[0] & ~_FIN, bool(header[0] & _FIN), header[-_MASK_BYTES:], length)
        else:
            parts.append(header)
            self._through = length
        return view


def _header_bytes(head: bytes) -> int:
    """Return the length of a header, as far as its first bytes determine it."""
    if len(head) < 2:
        return 2
    return 2 + _MORE_BYTES.get(head[1] & _LENGTH, 0) + (_MASK_BYTES if head[1] & _MASKED else 0)


def _length(header: bytes) -> int:
    short = header[1] & _LENGTH
    more = _MORE_BYTES.get(short, 0)
    return int.from_bytes(header[2 : 2 + more], "big") if more else short


def _header(first: int, length: int, mask: bytes) -> bytes:
    if length < 126:
        return bytes((first, _MASKED | length)) + mask
    if length < 1 << 16:
        return bytes((first, _MASKED | 126)) + struct.pack("!H", length) + mask
    return bytes((first, _MASKED | 127)) + struct.pack("!Q", length) + mask
