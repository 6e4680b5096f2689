"""One response, from its first event to its last: pieces of text and audio in, events in the documented order out. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.api.realtime.effects import ResponseTool
from open_speech.api.realtime.events import error_body
from open_speech.api.realtime.items import Item
from open_speech.api.realtime.settings import Law, Pcm
from open_speech.errors import SpeechError

Event = dict[str, Any]
Outcome = Literal["completed", "cancelled", "failed", "incomplete"]

ANSWER_CHARS = 262_144
"""Maximum characters of a response as JSON; a longer one is cut, because every event must stay under 512 KiB."""


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The options of a response."""

    modalities: tuple[str, ...]
    format: Pcm | Law
    voice: str
    max_output_tokens: int | Literal["inf"] = "inf"
    metadata: Mapping[str, str] | None = None

    @property
    def has_audio(self) -> bool:
        """Whether the response is spoken."""
        return "audio" in self.modalities


@dataclass(slots=True)
class _Part:
    """An output item in progress, and its text so far."""

    item: Item
    index: int
    texts: list[str] = field(default_factory=list)
    before: str | None = None
    """The id of the item before it in the conversation."""


class Response:
    """A response in progress. If it belongs to the conversation, `place` adds its items there and returns the id of the item before."""

    def __init__(
        self,
        id: str,
        output: OutputOptions,
        conversation_id: str | None,
        *,
        new_id: Callable[[str], str],
        place: Callable[[Item], str | None],
    ) -> None:
        self.id = id
        self.output = output
        self.conversation_id = conversation_id
        self.waits_for: set[str] = set()
        """Ids of the items whose transcripts the language model needs."""
        self.seconds = 0.0
        self.playing_until = 0.0
        """When a client that plays the audio at once has played all of it, in seconds since 1970."""
        self.began_at = 0.0
        """When its first audio was sent, in seconds since 1970."""
        self.played_s: float | None = None
        """Seconds of its audio that were played; None: the client plays it, and does not report that."""
        self._new_id = new_id
        self._place = place
        self._parts: list[_Part] = []
        self._message: _Part | None = None
        self._tools: dict[int, _Part] = {}
        self._chars = 0
        self._status: Outcome | Literal["in_progress"] = "in_progress"
        self._details: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None

    @property
    def is_in_conversation(self) -> bool:
        """Whether the response belongs to the default conversation."""
        return self.conversation_id is not None

    @property
    def message(self) -> Item | None:
        """The message with its text; None if it has none yet."""
        return self._message.item if self._message else None

    def is_playing(self, now: float) -> bool:
        """Return whether audio that was sent was not played yet, as reported, or by a client that plays it at once."""
        return self.playing_until > now if self.played_s is None else self.played_s < self.seconds

    @property
    def has_calls_only(self) -> bool:
        """Whether the output so far is tool calls and nothing else."""
        return bool(self._parts) and all(part.item.type == "function_call" for part in self._parts)

    @property
    def is_too_long(self) -> bool:
        """Whether the response must be cut."""
        return self._chars > ANSWER_CHARS

    def begin(self) -> list[Event]:
        """Return the event that announces the response."""
        return [{"type": "response.created", "response": self._body()}]

    def text(self, text: str, at_s: float) -> list[Event]:
        """Add text, whose audio begins at `at_s` seconds."""
        events = self._open_message()
        part = self._message
        assert part is not None
        part.texts.append(text)
        part.item.marks.append((at_s, text))
        part.item.content[0]["transcript" if self.output.has_audio else "text"] += text
        self._chars += len(json.dumps(text))
        kind = "response.output_audio_transcript.delta" if self.output.has_audio else "response.output_text.delta"
        return [*events, self._event(kind, part, delta=text)]

    def audio(self, data: bytes, seconds: float, now: float) -> list[Event]:
        """Add audio of `seconds`; `now` is in seconds since 1970."""
        events = self._open_message()
        assert self._message is not None
        self.began_at = self.began_at or now
        self.seconds += seconds
        self._message.item.seconds += seconds
        self.playing_until = max(self.playing_until, now) + seconds
        return [*events, self._event("response.output_audio.delta", self._message, delta=base64.b64encode(data).decode())]

    def tool(self, piece: ResponseTool) -> list[Event]:
        """Add a part of a tool call."""
        events: list[Event] = []
        part = self._tools.get(piece.index)
        if part is None:
            call_id = piece.call_id or self._new_id("call")
            item = Item(self._new_id("item"), "function_call", status="in_progress", call_id=call_id, name=piece.name)
            part = self._tools[piece.index] = self._append(item)
            events = self._added(part)
        elif piece.name and not part.item.name:
            part.item.name = piece.name
        if piece.arguments:
            part.item.arguments += piece.arguments
            self._chars += len(json.dumps(piece.arguments))
            delta = self._event("response.function_call_arguments.delta", part, delta=piece.arguments, call_id=part.item.call_id)
            delta.pop("content_index")
            events.append(delta)
        return events

    def end(
        self, status: Outcome, reason: str = "", usage: Mapping[str, int] | None = None, error: SpeechError | None = None
    ) -> list[Event]:
        """Close all items, and set the final status."""
        events: list[Event] = []
        for part in self._parts:
            events += self._close(part, status)
        self._status = status
        if status != "completed":
            self._details = {"type": status}
            if reason:
                self._details["reason"] = reason
            if error is not None:
                body = error_body(error)
                self._details["error"] = {"type": body["type"], "code": body["code"], "message": body["message"]}
        self._usage = _usage(usage or {})
        return [*events, {"type": "response.done", "response": self._body()}]

    def _open_message(self) -> list[Event]:
        if self._message is not None:
            return []
        item = Item(self._new_id("item"), role="assistant", status="in_progress")
        part = self._message = self._append(item)
        events = self._added(part)
        item.content = [{"type": "output_audio", "transcript": ""} if self.output.has_audio else {"type": "output_text", "text": ""}]
        return [*events, self._event("response.content_part.added", part, part=self._shown_part(""))]

    def _append(self, item: Item) -> _Part:
        part = _Part(item, len(self._parts))
        self._parts.append(part)
        return part

    def _added(self, part: _Part) -> list[Event]:
        body = part.item.body()
        events: list[Event] = [{"type": "response.output_item.added", "response_id": self.id, "output_index": part.index, "item": body}]
        if self.is_in_conversation:
            part.before = self._place(part.item)
            events.append({"type": "conversation.item.added", "previous_item_id": part.before, "item": body})
        return events

    def _close(self, part: _Part, status: Outcome) -> list[Event]:
        item = part.item
        item.status = "completed" if status == "completed" else "incomplete"
        if item.type == "function_call":
            done = self._event(
                "response.function_call_arguments.done", part, call_id=item.call_id, name=item.name, arguments=item.arguments
            )
            done.pop("content_index")
            events = [done]
        else:
            text = "".join(part.texts)
            if status == "cancelled" and self.output.has_audio:
                text = item.drop_unspoken()
            if self.output.has_audio:
                events = [
                    self._event("response.output_audio.done", part),
                    self._event("response.output_audio_transcript.done", part, transcript=text),
                ]
            else:
                events = [self._event("response.output_text.done", part, text=text)]
            events.append(self._event("response.content_part.done", part, part=self._shown_part(text)))
        body = item.body()
        events.append({"type": "response.output_item.done", "response_id": self.id, "output_index": part.index, "item": body})
        if self.is_in_conversation:
            events.append({"type": "conversation.item.done", "previous_item_id": part.before, "item": body})
        return events

    def _shown_part(self, text: str) -> Event:
        return {"type": "audio", "transcript": text} if self.output.has_audio else {"type": "text", "text": text}

    def _event(self, type: str, target: _Part, **fields: Any) -> Event:
        place = {"response_id": self.id, "item_id": target.item.id, "output_index": target.index, "content_index": 0}
        return {"type": type, **place, **fields}

    def _body(self) -> Event:
        output = self.output
        return {
            "object": "realtime.response", "id": self.id, "status": self._status, "status_details": self._details,
            "output": [part.item.body() for part in self._parts], "conversation_id": self.conversation_id,
            "output_modalities": list(output.modalities), "max_output_tokens": output.max_output_tokens,
            "audio": {"output": {"format": output.format.model_dump(), "voice": output.voice}}, "usage": self._usage,
            "metadata": dict(output.metadata) if output.metadata is not None else None,
        }  # fmt: skip


def _usage(counts: Mapping[str, int]) -> dict[str, Any]:
    """Build the usage from the counts of a language model; audio is synthesized here and uses no tokens."""
    input_tokens, output_tokens = counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0)
    return {
        "total_tokens": input_tokens + output_tokens, "input_tokens": input_tokens, "output_tokens": output_tokens,
        "input_token_details": {"text_tokens": input_tokens, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }  # fmt: skip
