"""Limits on the structure of JSON, checked before it is parsed: 15 MiB of `[],` would become five million lists, 400 MB of memory. Pure.

A parsed string takes about as much memory as its JSON, so a limit on bytes bounds it. A list, an object or a number takes up to sixty
times as much as its JSON, so those are counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from open_speech.errors import InvalidRequest

TOKENS = 50_000
"""Maximum number of brackets, commas, colons and strings in one document. Parsed, they take 3 MB at most."""
DEPTH = 64
"""Maximum levels of nesting."""
WORD_BYTES = 1024
"""Longest number, or other word outside strings: converting a number of ten million digits takes 150 ms."""
STEP = 1 << 16
"""Characters screened at a time. The interpreter can switch threads between two steps, but not within one."""

Path = tuple[str | None, ...]
"""Keys from the outermost object to a value: `("input_audio", "data")`; None for a list."""

_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_WHOLE_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_BLANKS = b" \t\r\n"
_TO_BLANKS = bytes.maketrans(b"\t\r\n[]{},:", b" " * 9)
_KEY_BYTES = 64
_BACKSLASH = 0x5C


class Sink(Protocol):
    """Receives the content of a string as it is in the JSON, with escapes and without quotes."""

    def write(self, data: bytes, /) -> object:
        """Add the next bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits on the structure of one document."""

    tokens: int = TOKENS
    depth: int = DEPTH


USUAL = Bounds()


class Screen:
    """Counts the structure of UTF-8 JSON that arrives in chunks of any size, and can divert long strings.

    It does not check syntax: a document that passes still has to be parsed.
    """

    def __init__(self, bounds: Bounds = USUAL, sinks: Mapping[Path, Callable[[], Sink]] | None = None) -> None:
        """`sinks` maps the path of each string to divert to a function that creates its sink. The document keeps an empty string."""
        self._bounds = bounds
        self._sinks = dict(sinks or {})
        self._tokens = 0
        self._keys: list[str | None] = []
        """For each open bracket its key in the enclosing object; None within a list."""
        self._in_string = False
        self._escaped = False
        """Whether the last chunk ended after the backslash of an escape."""
        self._last: bytes | None = None
        """The last string, as far as it has arrived; None if it is too long for a key."""
        self._between = b""
        """The first characters after the last string, without white space."""
        self._word = 0
        """Bytes of the word at the end of the last chunk."""
        self._sink: Sink | None = None

    def feed(self, data: bytes) -> bytes:
        """Screen the next chunk and return it without diverted strings. Raises InvalidRequest if there is more structure than allowed."""
        if not self._sinks:
            self._count_in(data)
            return data
        passed: list[bytes] = []
        at = 0
        while at < len(data):
            end = self._end_of_string(data, at) if self._in_string else _position(data, at)
            piece = data[at:end]
            if self._in_string:
                self._inside(piece)
            else:
                self._outside(piece)
            if self._sink is None:
                passed.append(piece)
            if end < len(data):
                passed.append(b'"')
                self._quote()
            at = end + 1
        return b"".join(passed)

    def _count_in(self, data: bytes) -> None:
        """Count the structure without tracking keys: a hundred times as fast for short strings."""
        at = 0
        if self._in_string:
            at = self._end_of_string(data, 0) + 1
            if at > len(data):
                return
            self._in_string = False
        outside, strings = _WHOLE_STRING.subn(b" ", data[at:])
        self._count(strings)
        end = _position(outside, 0)
        self._outside(outside[:end])
        if end < len(outside):
            self._count(1)
            self._in_string, self._word = True, 0
            self._end_of_string(outside, end + 1)

    def _end_of_string(self, data: bytes, at: int) -> int:
        """Return the position of the quote that ends the string; the length of `data` if there is none."""
        if self._escaped and at < len(data):
            self._escaped = False
            at += 1
        end = _position(data, at)
        if data.find(b"\\", at, end) < 0:
            return end
        found = _STRING.match(data, at)
        assert found is not None
        end = found.end()
        if end < len(data) and data[end] == _BACKSLASH:
            self._escaped = True
            return len(data)
        return end

    def _quote(self) -> None:
        self._in_string = not self._in_string
        if not self._in_string:
            self._between, self._sink = b"", None
            return
        self._count(1)
        self._word = 0
        if self._sinks and self._between == b":":
            path = (*self._keys[1:], self._key())
            make = self._sinks.get(path)
            self._sink = make() if make is not None else None
        self._last = b""

    def _inside(self, piece: bytes) -> None:
        if self._sink is not None:
            self._sink.write(piece)
        if self._last is not None:
            self._last = self._last + piece if len(self._last) + len(piece) <= _KEY_BYTES else None

    def _outside(self, piece: bytes) -> None:
        self._count(sum(map(piece.count, (b",", b":", b"[", b"]", b"{", b"}"))))
        words = piece.translate(_TO_BLANKS)
        if self._word + len(words) - words.count(b" ") > WORD_BYTES:
            first, *others = words.split(b" ")
            if max(self._word + len(first), max(map(len, others), default=0)) > WORD_BYTES:
                raise InvalidRequest(f"The JSON has a number of more than {WORD_BYTES} characters.")
        start = words.rfind(b" ") + 1
        self._word = len(words) - start + (0 if start else self._word)
        self._nest(piece)
        self._between = (self._between + piece.translate(None, _BLANKS))[:2]

    def _nest(self, piece: bytes) -> None:
        is_first = True
        for found in _BRACKET.finditer(piece):
            if found[0] in (b"]", b"}"):
                del self._keys[-1:]
                continue
            is_value = is_first and (self._between + piece[: found.start()].translate(None, _BLANKS)) == b":"
            self._keys.append(self._key() if is_value else None)
            is_first = False
            if len(self._keys) > self._bounds.depth:
                raise InvalidRequest(f"The JSON is nested deeper than {self._bounds.depth} levels.")

    def _key(self) -> str | None:
        return None if self._last is None else self._last.decode(errors="replace")

    def _count(self, tokens: int) -> None:
        self._tokens += tokens
        if self._tokens > self._bounds.tokens:
            raise InvalidRequest(f"The JSON has too many values: more than {self._bounds.tokens} brackets, commas, colons and strings.")


def check(text: str, bounds: Bounds = USUAL) -> None:
    """Check the structure of a whole document. Raises InvalidRequest if there is more than allowed."""
    screen = Screen(bounds)
    for start in range(0, len(text), STEP):
        screen.feed(text[start : start + STEP].encode(errors="surrogatepass"))


def loads(
    text: str,
    bounds: Bounds = USUAL,
    *,
    parse_float: Callable[[str], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
) -> Any:
    """Check the structure of a document and parse it; the other arguments are those of `json.loads`.

    Raises InvalidRequest as `check` does, and ValueError for invalid JSON.
    """
    check(text, bounds)
    return json.loads(text, parse_float=parse_float, parse_constant=parse_constant)


def refuse(constant: str) -> None:
    """Raise ValueError for NaN and the infinities, which Python accepts as JSON."""
    raise ValueError(f"{constant} is not JSON")


def _position(data: bytes, at: int) -> int:
    """Return the position of the next quote; the length of `data` if there is none."""
    found = data.find(b'"', at)
    return len(data) if found < 0 else found
