"""The items of a conversation, in order. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.api.realtime.checking import Value, checked
from open_speech.api.realtime.client_messages import NAME_CHARS
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, TextTooLong, UnknownItem

ITEM_CHARS = 262_144
"""Maximum characters of an item as JSON, without its audio: every event must stay under 512 KiB."""
CONVERSATION_CHARS = 16 * 1024 * 1024
"""Maximum characters of all items of a conversation; above it, the oldest are removed."""

Role = Literal["user", "assistant", "system"]
Status = Literal["completed", "incomplete", "in_progress"]
PARTS: Mapping[Role, tuple[str, ...]] = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}


class DuplicateItem(InvalidRequest):
    """The conversation already has an item with this id."""

    code = "item_create_duplicate_item_id"


class UnknownItemToDelete(UnknownItem):
    """The item to delete does not exist."""

    code = "item_delete_invalid_item_id"


class UnknownItemToTruncate(UnknownItem):
    """The item to truncate does not exist, or is not an assistant message."""

    code = "item_truncate_invalid_item_id"


class UnknownItemToRetrieve(UnknownItem):
    """The item to retrieve does not exist."""

    code = "item_retrieve_invalid_item_id"


class Part(Value):
    """A content part of a message."""

    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
    text: str | None = None
    audio: str | bytes | None = None
    transcript: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


class MessageParams(Value):
    """A message that a client adds."""

    role: Role
    content: list[Part]


class CallParams(Value):
    """A tool call that a client adds."""

    name: str
    arguments: str
    call_id: str | None = None


class OutputParams(Value):
    """The output of a tool."""

    call_id: str
    output: str


@dataclass(slots=True)
class Item:
    """One item; fields that its type does not have are empty."""

    id: str
    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Role = "user"
    status: Status = "completed"
    content: list[dict[str, Any]] = field(default_factory=list)
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str = ""
    transcription_status: Literal["", "pending", "failed"] = ""
    """The status of its transcription; empty: none, or complete."""
    was_read_aloud: bool = False
    """Whether a response has read it aloud."""
    marks: list[tuple[float, str]] = field(default_factory=list)
    """Of a response: the position in its audio, in seconds, at which each piece of its transcript begins, and the piece."""
    seconds: float = 0.0
    """Of a response: the length of its audio."""

    def body(self) -> dict[str, Any]:
        """Return the item as events contain it, without audio."""
        common = {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status}
        match self.type:
            case "message":
                return {**common, "role": self.role, "content": [dict(part) for part in self.content]}
            case "function_call":
                return {**common, "call_id": self.call_id, "name": self.name, "arguments": self.arguments}
            case "function_call_output":
                return {**common, "call_id": self.call_id, "output": self.output}

    @property
    def text(self) -> str:
        """The text of its parts, and the transcripts that are known."""
        return " ".join(text for part in self.content if (text := part.get("text") or part.get("transcript")))

    @property
    def is_audio(self) -> bool:
        """Whether the item contains audio."""
        return any(part["type"] in ("input_audio", "output_audio") for part in self.content)

    def set_transcript(self, text: str) -> None:
        """Set the transcript of the user's audio."""
        self.transcription_status = ""
        for part in self.content:
            if part["type"] == "input_audio":
                part["transcript"] = text

    def drop_unspoken(self) -> str:
        """Drop the text of a response whose audio was never sent, because text is added before its audio; return the rest."""
        self.marks = [(at_s, text) for at_s, text in self.marks if at_s < self.seconds]
        text = self.content[0]["transcript"] = "".join(text for _, text in self.marks)
        return text

    def truncate(self, content_index: int, end_ms: int) -> None:
        """Drop the part of a response after `end_ms`, which was not played. Raises subclasses of InvalidRequest that name the field."""
        if self.type != "message" or self.role != "assistant":
            raise UnknownItemToTruncate("Only assistant messages can be truncated.", param="item_id")
        if content_index >= len(self.content) or self.content[content_index]["type"] != "output_audio":
            raise InvalidValue("This content part of the item is not audio.", param="content_index")
        if end_ms > round(self.seconds * 1000):
            raise InvalidValue(f"The audio of the item is only {round(self.seconds * 1000)} ms long.", param="audio_end_ms")
        self.content[content_index]["transcript"] = transcript_before(self.marks, end_ms / 1000, self.seconds)
        self.seconds = end_ms / 1000
        self.marks = [(at_s, text) for at_s, text in self.marks if at_s < self.seconds]


def transcript_before(marks: list[tuple[float, str]], end_s: float, total_s: float) -> str:
    """Return the part of a transcript before `end_s`; a piece is cut in proportion to its audio, at a space."""
    transcript = ""
    for (at_s, text), until_s in zip(marks, [at_s for at_s, _ in marks[1:]] + [total_s], strict=True):
        if until_s <= end_s and at_s < end_s:
            transcript += text
        elif at_s < end_s:
            share = text[: int(len(text) * (end_s - at_s) / (until_s - at_s))]
            transcript += share[: share.rfind(" ") + 1].rstrip()
    return transcript


def build_item(raw: Mapping[str, Any], item_id: str, path: str = "item") -> tuple[Item, str | bytes | None]:
    """Build an item from a client's data; return it with its audio, if it has some: in base64, or decoded already.

    Raises subclasses of InvalidRequest.
    """
    kind = raw.get("type", "message")
    audio = None
    if kind == "message":
        message = checked(MessageParams, raw, path)
        for number, part in enumerate(message.content):
            if part.type not in PARTS[message.role]:
                raise InvalidValue(f"A {message.role} message cannot contain `{part.type}`.", param=f"{path}.content[{number}].type")
        audio = next((part.audio for part in message.content if part.type == "input_audio" and part.audio), None)
        item = Item(item_id, role=message.role, content=[_content(part, f"{path}.content") for part in message.content])
    elif kind == "function_call":
        call = checked(CallParams, raw, path)
        item = Item(item_id, "function_call", call_id=call.call_id or item_id, name=call.name, arguments=call.arguments)
    elif kind == "function_call_output":
        output = checked(OutputParams, raw, path)
        item = Item(item_id, "function_call_output", call_id=output.call_id, output=output.output)
    else:
        raise InvalidValue("The type of an item must be message, function_call or function_call_output.", param=f"{path}.type")
    if len(json.dumps(item.body())) > ITEM_CHARS:
        raise TextTooLong(f"The item is longer than {ITEM_CHARS} characters as JSON.", param=path)
    return item, audio


def chosen_id(raw: Mapping[str, Any], path: str = "item") -> str | None:
    """Return the id that a client chose for an item. Raises InvalidValue."""
    chosen = raw.get("id")
    if chosen is not None and (not isinstance(chosen, str) or not chosen or len(chosen) > NAME_CHARS or chosen == "root"):
        raise InvalidValue(f"An item's id must be a string of at most {NAME_CHARS} characters, and not `root`.", param=f"{path}.id")
    return chosen


def _content(part: Part, path: str) -> dict[str, Any]:
    match part.type:
        case "input_text" | "output_text":
            if part.text is None:
                raise MissingField(f"A part of type {part.type} needs `text`.", param=f"{path}.text")
            return {"type": part.type, "text": part.text}
        case "input_image":
            if part.image_url is None:
                raise MissingField("A part of type input_image needs `image_url`.", param=f"{path}.image_url")
            return {"type": part.type, "image_url": part.image_url, "detail": part.detail or "auto"}
        case "input_audio" | "output_audio":
            return {"type": part.type, "transcript": part.transcript}


class Items:
    """The items of the default conversation, in order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: dict[str, Item] = {}
        self._order: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        return (self._items[item_id] for item_id in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def get(self, item_id: str) -> Item | None:
        """Return an item; None if it does not exist."""
        return self._items.get(item_id)

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return self._order[-1] if self._order else None

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Add an item: at the end, at the front if `after` is `root`, or after another item; return the id of the item before it.

        Raises DuplicateItem, or InvalidValue naming `previous_item_id`. Above the limits, the oldest items are removed.
        """
        if item.id in self._items:
            raise DuplicateItem("An item with this id already exists.", param="item.id")
        if after is None:
            place = len(self._order)
        elif after == "root":
            place = 0
        elif after in self._items:
            place = self._order.index(after) + 1
        else:
            raise InvalidValue("The conversation has no item with this id.", param="previous_item_id")
        before = self._order[place - 1] if place else None
        self._order.insert(place, item.id)
        self._items[item.id] = item
        chars = sum(map(_size, self._items.values()))
        for oldest in [item_id for item_id in self._order if item_id != item.id]:
            if len(self._order) <= self._most and chars <= CONVERSATION_CHARS:
                break
            chars -= _size(self._items[oldest])
            self.remove(oldest)
        return before

    def remove(self, item_id: str) -> Item | None:
        """Remove and return an item; None if it does not exist."""
        item = self._items.pop(item_id, None)
        if item is not None:
            self._order.remove(item_id)
        return item


def _size(item: Item) -> int:
    return len(item.arguments) + len(item.output) + sum(len(str(value)) for part in item.content for value in part.values())
