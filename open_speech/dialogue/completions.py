"""A parser of streamed `/chat/completions` responses: bytes to text, tool calls and the reason for the end. Pure.

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


class CompletionParser:
    """The incremental parser of one response: bytes in, pieces out. `finish` returns the Ended."""

    def __init__(self) -> None:
        self._line = b""
        self._reason: Reason | None = None
        self._usage: dict[str, int] = {}
        self._calls: list[str] = []
        """Ids of the tool calls so far, for servers that send no index."""
        self._done = False

    @property
    def is_done(self) -> bool:
        """Whether the response is complete, although the connection may stay open."""
        return self._done

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Parse bytes of the stream, split anywhere. Raises LanguageModelFailed for an invalid response."""
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LINE_BYTES:
            raise LanguageModelFailed(f"The language model server returned an invalid response (a line longer than {LINE_BYTES} bytes).")
        for line in lines:
            yield from self._event(line)

    def finish(self) -> Ended:
        """Return how the response ended, after the end of the stream. Raises LanguageModelFailed if the response is incomplete."""
        if self._reason is None and not self._done:
            raise LanguageModelFailed("The response of the language model server ended early.")
        return Ended(self._reason or "", self._usage)

    def feed_body(self, body: bytes) -> Iterator[Piece]:
        """Parse a body that is the whole response, instead of `feed`."""
        yield from self._chunk(_json_object(body), "message")
        self._done = True

    def _event(self, line: bytes) -> Iterator[Piece]:
        name, _, value = line.rstrip(b"\r").partition(b":")
        if name != b"data" or self._done:  # a keep-alive comment, or a field that is not used here
            return
        if value.strip() == b"[DONE]":
            self._done = True
            return
        yield from self._chunk(_json_object(value), "delta")

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
            yield TextDelta(text)
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
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


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
