"""Parsers of streamed `/chat/completions` responses: bytes to chunks, and chunks to text, tool calls and the reason for the end. Pure.

Servers differ: some send no index for a tool call, some return one JSON body although a stream was requested. Data that cannot be parsed
is an error and is never skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.errors import LanguageModelFailed

LINE_BYTES = 1 << 20
"""Maximum bytes of one line; a longer line is an error."""
Reason = Literal["", "max_output_tokens", "content_filter"]
_REASONS: Mapping[str, Reason] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next part of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next part of a tool call; its id and name are in the first part."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a response that is complete, or was cut short for `reason`."""

    reason: Reason = ""
    usage: Mapping[str, int] = field(default_factory=dict)


Piece = TextDelta | ToolCallDelta | Ended


class ChunkParser:
    """The incremental parser of the bytes of one response: bytes in, chunks out, as objects of JSON."""

    def __init__(self) -> None:
        self._line = b""
        self.is_done = False
        """Whether the response is complete, although the connection may stay open."""
        self._has_reason = False

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Parse bytes of the stream, split anywhere. Raises LanguageModelFailed for an invalid response."""
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LINE_BYTES:
            raise LanguageModelFailed(f"The language model server returned an invalid response (a line longer than {LINE_BYTES} bytes).")
        for line in lines:
            yield from self._event(line)

    def feed_body(self, body: bytes) -> Iterator[dict[str, Any]]:
        """Parse a body that is the whole response, instead of `feed`: one chunk. Raises LanguageModelFailed."""
        whole = self._checked(body)
        choices = [dict(choice) for choice in _objects(whole.get("choices"))]
        for choice in choices:
            message = choice.pop("message", None)
            if isinstance(message, dict):
                calls = [{"index": index, **call} for index, call in enumerate(_objects(message.get("tool_calls")))]
                choice["delta"] = {**message, "tool_calls": calls} if calls else message
        self.is_done = True
        yield {**whole, "choices": choices}

    def finish(self) -> None:
        """Check that the response was complete, after the end of the stream. Raises LanguageModelFailed."""
        if not (self.is_done or self._has_reason):
            raise LanguageModelFailed("The response of the language model server ended early.")

    def _event(self, line: bytes) -> Iterator[dict[str, Any]]:
        name, _, value = line.rstrip(b"\r").partition(b":")
        if name != b"data" or self.is_done:  # a keep-alive comment, or a field that is not used here
            return
        if value.strip() == b"[DONE]":
            self.is_done = True
            return
        yield self._checked(value)

    def _checked(self, data: bytes) -> dict[str, Any]:
        chunk = _json_object(data)
        if chunk.get("error"):
            raise LanguageModelFailed("The language model server aborted its response with an error.")
        self._has_reason |= any(isinstance(choice.get("finish_reason"), str) for choice in _objects(chunk.get("choices")))
        return chunk


class CompletionParser:
    """The parser of the chunks of one complete response: chunks in, pieces out. `finish` returns the Ended."""

    def __init__(self) -> None:
        self._reason: Reason = ""
        self._usage: dict[str, int] = {}
        self._calls: list[str] = []
        """Ids of the tool calls so far, for servers that send no index."""

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Piece]:
        """Parse one chunk."""
        self._count(chunk.get("usage"))
        choice = next(iter(_objects(chunk.get("choices"))), {})
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from self._message(delta)
        ended = choice.get("finish_reason")
        if isinstance(ended, str):
            self._reason = _REASONS.get(ended, "")

    def finish(self) -> Ended:
        """Return how the response ended, after the end of the stream."""
        return Ended(self._reason, self._usage)

    def _message(self, message: Mapping[str, Any]) -> Iterator[Piece]:
        text = message.get("content")
        if isinstance(text, str) and text:
            yield TextDelta(text)
        for call in _objects(message.get("tool_calls")):
            yield self._call_delta(call)

    def _call_delta(self, call: Mapping[str, Any]) -> ToolCallDelta:
        call_id, index = _str(call.get("id")), call.get("index")
        if not isinstance(index, int):
            is_new = bool(call_id) and call_id not in self._calls or not self._calls
            index = len(self._calls) if is_new else max(0, len(self._calls) - 1)
        while len(self._calls) <= index < len(self._calls) + 64:
            self._calls.append("")
        if index < len(self._calls):
            self._calls[index] = self._calls[index] or call_id
        function = call.get("function")
        named = function if isinstance(function, dict) else {}
        return ToolCallDelta(index, call_id, _str(named.get("name")), _str(named.get("arguments")))

    def _count(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._usage = {name: count for name, count in usage.items() if isinstance(count, int)}


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        chunk = None
    if not isinstance(chunk, dict):
        raise LanguageModelFailed("The language model server returned an invalid response (not a JSON object).")
    return chunk


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def has_output(chunk: Mapping[str, Any]) -> bool:
    """Return whether a chunk has a part of the answer: text, reasoning or a tool call, and not only the role."""
    choices = _objects(chunk.get("choices"))
    deltas = [choice["delta"] for choice in choices if isinstance(choice.get("delta"), dict)]
    parts = [value for delta in deltas for name, value in delta.items() if name != "role"]
    return any(parts) or any(choice.get("text") for choice in choices)
