"""The events of work in a Live session: delegations, and the nested events of the Responses API. Values, no I/O.

Lifecycle snapshots are small, as the API documents them: no input, no output, no instructions and no tools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.api.live.conversation import Call
from open_speech.errors import SpeechError

Status = Literal["in_progress", "completed", "incomplete", "failed"]


def delegation_created(
    delegation_id: str, target: Literal["client", "responses"], offset_ms: int, response_id: str | None
) -> dict[str, Any]:
    """Build the event that announces work."""
    delegation = {"id": delegation_id, "type": "delegation", "target": target}
    if response_id is not None:
        delegation["response_id"] = response_id
    return {"type": "session.delegation.created", "offset_ms": offset_ms, "delegation": delegation}


@dataclass
class ResponseChain:
    """The events of one response of the backend, from `response.created` to its end."""

    id: str
    model: str
    delegation_id: str | None
    new_id: Callable[[str], str]
    created_at: int
    """Seconds since 1970."""
    _number: int = 0
    _item_id: str = ""
    _texts: list[str] = field(default_factory=list)

    def begin(self) -> list[dict[str, Any]]:
        """Return the first events."""
        body = self._body("in_progress")
        return [self._event("response.created", response=body), self._event("response.in_progress", response=body)]

    def text(self, text: str) -> list[dict[str, Any]]:
        """Return the events of the next part of the text."""
        events = []
        if not self._texts:
            self._item_id = self.new_id("msg")
            item = {"id": self._item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            events.append(self._event("response.output_item.added", output_index=0, item=item))
        self._texts.append(text)
        return [*events, self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])]

    def end(
        self, calls: Sequence[Call], usage: Mapping[str, int], *, reason: str = "", error: SpeechError | None = None
    ) -> list[dict[str, Any]]:
        """Return the last events: the items, then the end. `reason` tells why the response is incomplete."""
        events = self._text_done()
        first = 1 if self._texts else 0
        for number, call in enumerate(calls):
            item = {
                "id": self.new_id("fc"), "type": "function_call", "status": "completed", "call_id": call.call_id, "name": call.name,
                "arguments": call.arguments,
            }  # fmt: skip
            events.append(self._event("response.output_item.done", output_index=first + number, item=item))
        status: Status = "failed" if error else "incomplete" if reason else "completed"
        body = self._body(status) | {"usage": _usage(usage)}
        if error is not None:
            body["error"] = {"code": "server_error", "message": error.message}
        if reason:
            body["incomplete_details"] = {"reason": reason}
        return [*events, self._event(f"response.{status}", response=body)]

    def _text_done(self) -> list[dict[str, Any]]:
        if not self._texts:
            return []
        text = "".join(self._texts)
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item = {"id": self._item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        return [
            self._event("response.output_text.done", **self._place(), text=text, logprobs=[]),
            self._event("response.output_item.done", output_index=0, item=item),
        ]

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _body(self, status: Status) -> dict[str, Any]:
        return {
            "id": self.id, "object": "response", "created_at": self.created_at, "status": status, "model": self.model, "error": None,
            "incomplete_details": None, "instructions": None, "tools": [], "output": [], "tool_choice": "auto",
            "parallel_tool_calls": True, "metadata": {}, "temperature": None, "top_p": None, "usage": None,
        }  # fmt: skip

    def _event(self, type: str, **fields: Any) -> dict[str, Any]:
        nested = {"type": type, "sequence_number": self._number, **fields}
        self._number += 1
        event: dict[str, Any] = {"type": "response.event", "event": nested}
        return event if self.delegation_id is None else event | {"delegation_id": self.delegation_id}


def _usage(counts: Mapping[str, int]) -> dict[str, Any]:
    input_tokens, output_tokens = counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0)
    return {
        "input_tokens": input_tokens, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input_tokens + output_tokens,
    }  # fmt: skip
