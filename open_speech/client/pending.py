"""What a Realtime session still owes: transcripts of committed audio, and responses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRANSCRIBED = "conversation.item.input_audio_transcription."


class PendingWork:
    """Counts what was requested and what has arrived."""

    def __init__(self) -> None:
        self._commits: list[str] = []
        """Ids of commit events that the server has not answered."""
        self._requests: list[str] = []
        """Ids of response events that the server has not answered."""
        self._turns = 0
        """Turns that the server ended by itself and has not committed yet."""
        self._items: set[str] = set()
        """Items whose transcript is pending."""
        self._responses: set[str] = set()
        """Responses in progress."""
        self._transcribes = True

    @property
    def is_open(self) -> bool:
        """Whether anything is still pending."""
        return bool(self._commits or self._requests or self._turns or self._items or self._responses)

    def sent(self, event: Mapping[str, Any]) -> None:
        """Take an event that is sent to the server."""
        match event["type"]:
            case "input_audio_buffer.commit":
                self._commits.append(event["event_id"])
            case "response.create":
                self._requests.append(event["event_id"])

    def received(self, event: Mapping[str, Any]) -> None:
        """Take an event of the server."""
        match event.get("type"):
            case "session.updated":
                source = event["session"].get("audio", {}).get("input", {})
                self._transcribes = source.get("transcription") is not None
            case "input_audio_buffer.speech_stopped":
                self._turns += 1
            case "input_audio_buffer.committed":
                self._committed(event["item_id"])
            case "response.created":
                del self._requests[:1]
                self._responses.add(event["response"]["id"])
            case "response.done":
                self._responses.discard(event["response"]["id"])
            case "error":
                self._refused((event.get("error") or {}).get("event_id"))
            case str(name) if name in (f"{_TRANSCRIBED}completed", f"{_TRANSCRIBED}failed"):
                self._items.discard(event["item_id"])

    def _committed(self, item: str) -> None:
        if self._turns:
            self._turns -= 1
        else:
            del self._commits[:1]
        if self._transcribes:
            self._items.add(item)

    def _refused(self, event_id: object) -> None:
        for waiting in (self._commits, self._requests):
            if event_id in waiting:
                waiting.remove(str(event_id))
