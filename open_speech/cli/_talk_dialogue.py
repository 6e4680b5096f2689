"""A spoken conversation in the terminal: its texts and the duration of each stage, from the events of a Realtime session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from open_speech.client import OpenSpeechError, TimedOut

STAGES = ("transcript", "first text", "first audio", "complete")
_TEXT = ("response.output_audio_transcript.delta", "response.output_text.delta")


class Dialogue:
    """Prints turns as they arrive. `write` receives text, with its line breaks; `note` receives lines that are not part of the result."""

    def __init__(self, write: Callable[[str], None], note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._write = write
        self._note = note
        self._clock = clock
        self._asked_at: float | None = None
        self._reached: dict[str, float] = {}
        self._is_speaking = False
        self._changed = asyncio.Event()
        self._events = 0
        self._error: OpenSpeechError | None = None
        self._answers = 0
        self.response: str | None = None
        """The id of the response in progress."""
        self.item: str = ""
        """The id of the last item of the assistant."""

    def asked(self, ago_s: float = 0.0) -> None:
        """The user stopped speaking `ago_s` seconds ago: the stages are measured from there."""
        self._asked_at, self._reached = self._clock() - ago_s, {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Handle an event of the session."""
        self._events += 1
        match event["type"]:
            case "conversation.item.input_audio_transcription.completed" if event["transcript"].strip():
                self._reach("transcript")
                self._write(f"You: {event['transcript'].strip()}\n")
            case "response.created":
                self.response = event["response"]["id"]
            case "response.output_audio.delta":
                self.item = event["item_id"]
                self._reach("first audio")
            case kind if kind in _TEXT:
                self.item = event["item_id"]
                self._reach("first text")
                self._write(event["delta"] if self._is_speaking else f"Assistant: {event['delta']}")
                self._is_speaking = True
            case "response.done":
                self._done(event["response"])
        self._changed.set()

    def failed(self, error: OpenSpeechError) -> None:
        """Handle an error: whoever waits for an answer receives it."""
        self._error = error
        self._changed.set()

    async def answered(self, wait_s: float) -> None:
        """Wait for the end of the next answer; raise the error of the session, or TimedOut after `wait_s` seconds without an event."""
        before = self._answers
        while self._answers == before:
            self.check()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                raise TimedOut(f"The server sent nothing for {wait_s:g} s.") from None
        self.check()

    def check(self) -> None:
        """Raise the error of the session, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _done(self, response: Mapping[str, Any]) -> None:
        self.response = None
        self._answers += 1
        if self._is_speaking:
            self._is_speaking = False
            self._write(" [interrupted]\n" if response["status"] == "cancelled" else "\n")
        self._reach("complete")
        stages = [f"{name} {self._reached[name]:.2f} s" for name in STAGES if name in self._reached]
        if len(stages) > 1:
            self._note("  " + ", ".join(stages))

    def _reach(self, stage: str) -> None:
        if self._asked_at is not None:
            self._reached.setdefault(stage, self._clock() - self._asked_at)
