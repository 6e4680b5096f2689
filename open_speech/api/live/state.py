"""The parts of a Live session that its policies share. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from open_speech.api.live.config import Config
from open_speech.api.live.conversation import Conversation
from open_speech.api.live.output import OutputTrack
from open_speech.api.live.timeline import Timeline
from open_speech.dialogue.interruption import InterruptionRules


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one session."""

    session_s: float = 3600.0
    """Maximum duration in seconds."""
    idle_s: float = 30.0
    """Maximum seconds without input audio."""
    tool_rounds: int = 16
    """Maximum answers in a row that may consist of tool calls only."""
    early_answers: bool = False
    """Whether answers are begun before the user's turn has ended."""
    interruption: InterruptionRules = field(default_factory=InterruptionRules)


@dataclass(slots=True)
class State:
    """What the parts of one session share."""

    id: str
    config: Config
    has_llm: bool
    limits: Limits
    new_id: Callable[[str], str]
    conversation: Conversation
    timeline: Timeline
    track: OutputTrack
    started_at: float
    """Start of the session, in seconds since 1970."""
