"""The input that a client adds for the backend of a Live session: outputs of function calls, and messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from open_speech.api.live.conversation import Call, Conversation, output_text
from open_speech.api.live.errors import InputBufferFull, NoResponseInput, OutputsRequired
from open_speech.errors import InvalidValue, MissingField

MOST_ITEMS, MOST_BYTES = 128, 32_768
"""Maximum items that wait for a response, and their size as JSON."""


class ResponseInput:
    """The function calls without an output, and what was added since the last response."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._open: dict[str, tuple[Call, str]] = {}
        """Calls without an output, by id, each with its delegation."""
        self._items = self._bytes = 0
        self._delegation_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a function call waits for its output."""
        return bool(self._open)

    def expect(self, calls: list[Call], delegation_id: str) -> None:
        """Add calls that the client answers."""
        self._open |= {call.call_id: (call, delegation_id) for call in calls}

    def add(self, item: Mapping[str, Any]) -> None:
        """Add an item of the client. Raises subclasses of InvalidRequest that name the field."""
        size = len(json.dumps(item, ensure_ascii=False).encode(errors="surrogatepass"))
        if self._items >= MOST_ITEMS or self._bytes + size > MOST_BYTES:
            raise InputBufferFull(f"The input is larger than {MOST_ITEMS} items or {MOST_BYTES} bytes.", param="item")
        match item.get("type", "message"):
            case "function_call_output":
                self._add_output(item)
            case "message":
                self._add_message(item)
            case _:
                raise InvalidValue("`item.type` must be message or function_call_output.", param="item.type")
        self._items += 1
        self._bytes += size

    def respond(self) -> str | None:
        """Start a response to the input; return the delegation that it continues, if any. Raises OutputsRequired or NoResponseInput."""
        if self._open:
            names = ", ".join(sorted(self._open))
            raise OutputsRequired(f"Function calls have no output yet: {names[:500]}.")
        if not self._items:
            raise NoResponseInput("There is no new input: create an item first.")
        self._items = self._bytes = 0
        delegation_id, self._delegation_id = self._delegation_id, None
        return delegation_id

    def _add_output(self, item: Mapping[str, Any]) -> None:
        call_id, output = item.get("call_id"), item.get("output")
        if not isinstance(call_id, str):
            raise MissingField("The required parameter `item.call_id` is missing.", param="item.call_id")
        if output is None:
            raise MissingField("The required parameter `item.output` is missing.", param="item.output")
        if call_id not in self._open:
            raise InvalidValue("No function call with this id waits for its output.", param="item.call_id")
        call, self._delegation_id = self._open.pop(call_id)
        call.output = output_text(output)

    def _add_message(self, item: Mapping[str, Any]) -> None:
        content, role = item.get("content"), item.get("role")
        if role not in ("user", "developer", "system", "assistant"):
            raise InvalidValue("`item.role` must be user, developer, system or assistant.", param="item.role")
        text = content if isinstance(content, str) else output_text(content) if isinstance(content, list) else ""
        if not text.strip():
            raise InvalidValue("The message has no text.", param="item.content")
        if role == "user":
            self._conversation.say(text)
        elif role == "assistant":
            self._conversation.answer(text)
        else:
            self._conversation.note(text)
