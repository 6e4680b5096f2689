"""What the parts of a Realtime session share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from open_speech.api.realtime.items import Item, Items
from open_speech.api.realtime.settings import Config, Defaults, Kind, Limits
from open_speech.http.ws_messages import Send


@dataclass(slots=True)
class State:
    """One session: how it is set up, and its conversation."""

    kind: Kind
    model: str
    defaults: Defaults
    limits: Limits
    new_id: Callable[[str], str]
    config: Config
    items: Items
    conversation_id: str
    has_spoken: bool = False
    """Whether sound was sent: from then on the voice stays."""

    @property
    def shows_words(self) -> bool:
        """Whether the client is told what is heard."""
        return self.kind == "transcription" or self.config.audio.input.transcription is not None

    @property
    def wants_words(self) -> bool:
        """Whether what is heard is transcribed: for the client, or for a language model."""
        return self.shows_words or self.asks_model

    @property
    def asks_model(self) -> bool:
        """Whether a language model answers; a session with a model that speaks reads aloud."""
        return self.kind == "realtime" and self.defaults.has_llm and self.defaults.knows_model(self.model) != "tts"


def send(type: str, **fields: Any) -> Send:
    """Send an event; its id is given to it where it leaves the session."""
    return Send({"type": type, **fields})


def item_events(item: Item, before: str | None) -> list[Send]:
    """Tell of an item that is complete."""
    body = item.body()
    return [send(f"conversation.item.{stage}", previous_item_id=before, item=body) for stage in ("added", "done")]
