"""The state that the parts of a Realtime session share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from open_speech.api.realtime.items import Item, Items
from open_speech.api.realtime.settings import Config, Defaults, Kind, Limits
from open_speech.dialogue.interruption import InterruptionRules
from open_speech.http.ws_messages import Send


@dataclass(frozen=True, slots=True)
class TurnTaking:
    """How the user and the server take turns, beyond what the client configures."""

    answers_early: bool = False
    """Whether the answer is begun, and held, in the pause that may end the user's turn."""
    interruption: InterruptionRules = InterruptionRules()
    """When speech interrupts an answer, without the backchannels."""
    backchannels: tuple[str, ...] = ()
    """Words that do not interrupt an answer; `auto` stands for those of the session's language."""
    can_pause: bool = False
    """Whether the server controls the playback: its driver performs PauseOutput and ResumeOutput, and reports Played."""


@dataclass(slots=True)
class State:
    """One session: its configuration and its conversation."""

    kind: Kind
    model: str
    defaults: Defaults
    limits: Limits
    new_id: Callable[[str], str]
    config: Config
    items: Items
    conversation_id: str
    is_kind_open: bool = False
    """Whether the client named a speech-to-text model but no kind of session: it may then request responses as well."""
    turn_taking: TurnTaking = field(default_factory=TurnTaking)
    has_sent_audio: bool = False
    """Whether audio was sent: from then on the voice cannot change."""

    @property
    def may_respond(self) -> bool:
        """Whether the client may request responses."""
        return self.kind == "realtime" or self.is_kind_open

    @property
    def shows_transcripts(self) -> bool:
        """Whether transcripts are sent to the client."""
        return self.kind == "transcription" or self.config.audio.input.transcription is not None

    @property
    def needs_transcripts(self) -> bool:
        """Whether input is transcribed: for the client, or for a language model."""
        return self.shows_transcripts or self.uses_llm

    @property
    def uses_llm(self) -> bool:
        """Whether a language model generates the responses; a session with a speech model reads text aloud."""
        return self.kind == "realtime" and self.defaults.has_llm and self.defaults.knows_model(self.model) != "tts"


def send(type: str, **fields: Any) -> Send:
    """Build an event; it gets its id when it leaves the session."""
    return Send({"type": type, **fields})


def item_events(item: Item, before: str | None) -> list[Send]:
    """Build the events for an item that is complete."""
    body = item.body()
    return [send(f"conversation.item.{stage}", previous_item_id=before, item=body) for stage in ("added", "done")]
