"""The conversation of a Live session, as the language model receives it. Pure.

What the application adds is a note in the role of the user: chat templates of many models accept a system message at the front only, and
require that users and assistants alternate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

MOST_CHARS = 400_000
"""Maximum characters of the conversation; above it, the oldest entries are removed."""
PENDING = "The work is in progress. Its result arrives later."
"""The output of a tool call while the application has not sent one."""
CONTINUE = "[Note from the application, not spoken by the user: results of the work above have arrived. Say what they are.]"
"""The last message if an earlier tool call has got its output after the conversation went on."""
DEFAULT_INSTRUCTIONS = (
    "You are in a spoken conversation. Answer in the user's language, in a few short sentences, without lists, markup or emoji."
)
"""The instructions of a session whose client sends none."""

Role = Literal["user", "assistant", "note"]


@dataclass(slots=True)
class Call:
    """A tool call, and its output when the application has sent it."""

    call_id: str
    name: str
    arguments: str
    output: str | None = None


@dataclass(slots=True)
class Entry:
    """One thing that was said, or added by the application."""

    role: Role
    text: str
    calls: list[Call] = field(default_factory=list)

    @property
    def chars(self) -> int:
        """Its size."""
        return len(self.text) + sum(len(call.arguments) + len(call.output or "") for call in self.calls)


class Conversation:
    """The entries so far, and the instructions."""

    def __init__(self, instructions: str | None, history: Iterable[Mapping[str, Any]] = ()) -> None:
        """`history` has messages as in `session.input`: a role, and content with one text."""
        self._instructions = (instructions or "").strip() or DEFAULT_INSTRUCTIONS
        self._rules: list[str] = []
        self._entries: list[Entry] = []
        for message in history:
            role: Role = "note" if message["role"] == "developer" else message["role"]
            self._add(Entry(role, message["content"][0]["text"]))

    def say(self, text: str) -> None:
        """Add what the user said; it continues the turn if nobody has answered it."""
        last = self._entries[-1] if self._entries else None
        if last is not None and last.role == "user":
            last.text = f"{last.text} {text}"
        else:
            self._add(Entry("user", text))

    def note(self, text: str) -> None:
        """Add a text of the application."""
        self._add(Entry("note", text))

    def rule(self, text: str) -> None:
        """Add to the instructions."""
        self._rules.append(text)
        while sum(map(len, self._rules)) > MOST_CHARS:
            self._rules.pop(0)

    def answer(self, text: str, calls: Iterable[Call] = ()) -> Entry:
        """Add an answer; the entry may be shortened later, to what was heard."""
        entry = Entry("assistant", text, [*calls])
        self._add(entry)
        return entry

    def shorten(self, entry: Entry, heard: str) -> None:
        """Shorten an answer to what was heard of it; an answer of which nothing was heard is removed."""
        entry.text = heard
        if not heard and not entry.calls and entry in self._entries:
            self._entries = [other for other in self._entries if other is not entry]

    def with_turn(self, text: str) -> Conversation:
        """Return a copy in which the user has said one thing more."""
        other = Conversation(self._instructions)
        other._rules, other._entries = [*self._rules], [replace(entry) for entry in self._entries]
        other.say(text)
        return other

    def messages(self, extra: str = "") -> list[dict[str, Any]]:
        """Return the messages of a chat request; `extra` are more instructions."""
        system = "\n\n".join(part for part in (self._instructions, extra.strip(), *self._rules) if part)
        chat: list[dict[str, Any]] = [{"role": "system", "content": system}]
        for entry in self._entries:
            chat += _messages(entry, chat[-1])
        if chat[-1]["role"] == "assistant" and "tool_calls" not in chat[-1]:
            # Models continue a last message of their own instead of answering.
            chat.append({"role": "user", "content": CONTINUE})
        return chat

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        while len(self._entries) > 1 and sum(other.chars for other in self._entries) > MOST_CHARS:
            self._entries.pop(0)


def _messages(entry: Entry, before: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the chat messages of an entry. A text of the same role as the message before is added to that message."""
    if entry.role != "assistant":
        text = entry.text if entry.role == "user" else f"[Note from the application, not spoken by the user: {entry.text}]"
        if before["role"] == "user":
            before["content"] += f"\n{text}"
            return []
        return [{"role": "user", "content": text}]
    if not entry.calls:
        if before["role"] == "assistant" and "tool_calls" not in before:
            before["content"] += f" {entry.text}"
            return []
        return [{"role": "assistant", "content": entry.text}]
    calls = [
        {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
        for call in entry.calls
    ]
    outputs = [
        {"role": "tool", "tool_call_id": call.call_id, "content": PENDING if call.output is None else call.output} for call in entry.calls
    ]
    return [{"role": "assistant", "content": entry.text or None, "tool_calls": calls}, *outputs]


def output_text(output: object) -> str:
    """Return the output of a function call as text: a string, or the texts of its content parts."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return "\n".join(part["text"] for part in output if isinstance(part, Mapping) and isinstance(part.get("text"), str))
    return json.dumps(output)
