"""A streamed answer of `/chat/completions`, bytes to values: text, calls of tools, and how it ended. Pure.

Servers differ: some name no index for a call, some answer in one JSON body though a stream was asked for. What cannot be read at all is
an error, never left out in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.errors import LanguageModelFailed

LINE_BYTES = 1 << 20
"""A longer line is no answer of a language model."""
Reason = Literal["", "max_output_tokens", "content_filter"]
_REASONS: Mapping[str, Reason] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Said:
    """More of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """More of a call of a tool; its id and name come with its first piece."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is complete, or was cut short for a reason."""

    reason: Reason = ""
    usage: Mapping[str, int] = field(default_factory=dict)


Piece = Said | Called | Ended


class Answer:
    """One answer while it comes in: bytes in, pieces out. `finish` gives the Ended."""

    def __init__(self) -> None:
        self._line = b""
        self._reason: Reason | None = None
        self._usage: dict[str, int] = {}
        self._calls: list[str] = []
        """Ids of the calls so far, for servers that give them no index."""
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to come, though the connection may stay open."""
        return self._done

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take bytes of the stream, cut anywhere. Raises LanguageModelFailed for what is no answer."""
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LINE_BYTES:
            raise LanguageModelFailed(f"The language model server returned an invalid response (a line longer than {LINE_BYTES} bytes).")
        for line in lines:
            yield from self._event(line)

    def finish(self) -> Ended:
        """Tell how it ended, when the stream has. Raises LanguageModelFailed if it broke off."""
        if self._reason is None and not self._done:
            raise LanguageModelFailed("The response of the language model server ended early.")
        return Ended(self._reason or "", self._usage)

    def whole(self, body: bytes) -> Iterator[Piece]:
        """Take a body that is the whole answer in one; the calls of `feed` are left out then."""
        yield from self._chunk(_read(body), "message")
        self._done = True

    def _event(self, line: bytes) -> Iterator[Piece]:
        name, _, value = line.rstrip(b"\r").partition(b":")
        if name != b"data" or self._done:  # a comment that keeps the connection alive, or a field that says nothing here
            return
        if value.strip() == b"[DONE]":
            self._done = True
            return
        yield from self._chunk(_read(value), "delta")

    def _chunk(self, chunk: Mapping[str, Any], part: str) -> Iterator[Piece]:
        if chunk.get("error"):
            raise LanguageModelFailed("The language model server aborted its response with an error.")
        self._count(chunk.get("usage"))
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        message = choice.get(part)
        if isinstance(message, dict):
            yield from self._message(message)
        ended = choice.get("finish_reason")
        if isinstance(ended, str):
            self._reason = _REASONS.get(ended, "")

    def _message(self, message: Mapping[str, Any]) -> Iterator[Piece]:
        text = message.get("content")
        if isinstance(text, str) and text:
            yield Said(text)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                yield self._called(call)

    def _called(self, call: Mapping[str, Any]) -> Called:
        call_id, index = _text(call.get("id")), call.get("index")
        if not isinstance(index, int):
            is_new = bool(call_id) and call_id not in self._calls or not self._calls
            index = len(self._calls) if is_new else max(0, len(self._calls) - 1)
        while len(self._calls) <= index < len(self._calls) + 64:
            self._calls.append("")
        if index < len(self._calls):
            self._calls[index] = self._calls[index] or call_id
        function = call.get("function")
        named = function if isinstance(function, dict) else {}
        return Called(index, call_id, _text(named.get("name")), _text(named.get("arguments")))

    def _count(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._usage = {name: count for name, count in usage.items() if isinstance(count, int)}


def _read(data: bytes) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        chunk = None
    if not isinstance(chunk, dict):
        raise LanguageModelFailed("The language model server returned an invalid response (not a JSON object).")
    return chunk


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
