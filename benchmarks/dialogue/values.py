"""The values of the evaluation: turns with known pauses, scenes of a conversation, and what a contender did in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from open_speech.audio import Audio

Kind = Literal["turn", "interruption", "backchannel", "noise"]
"""A scene: a turn that is answered, or one of three sounds of the user while the answer is heard."""
What = Literal["turn end", "text", "sound", "stopped", "done"]
"""An event: the end of a turn was decided, its final text, audio of the answer, the answer was cancelled, the answer is complete."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a user."""

    name: str
    audio: Audio
    end_s: float
    """End of the speech in the audio, in seconds."""
    pauses: tuple[tuple[float, float], ...] = ()
    """Start and end of each known pause within the turn, in seconds."""
    held_out: bool = False
    """Whether no constant of a detector may be chosen by it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A turn, and what the user does while it is answered."""

    kind: Kind
    turn: Turn
    beside: Turn | None = None
    """What the user says, or the noise, while the answer is heard; None in a scene of the kind `turn`."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a contender did, `at_s` seconds after the turn began."""

    what: What
    at_s: float
    text: str = ""
    seconds: float = 0.0
    """The length of the audio of a `sound`."""


@dataclass(slots=True)
class Observed:
    """A scene as it went. All times count from the beginning of its turn."""

    scene: Scene
    events: list[Event] = field(default_factory=list)
    tokens: list[tuple[float, float]] = field(default_factory=list)
    """For each request to the language model: when it arrived, and when its first token was sent."""
    beside_at_s: float | None = None
    """When the second sound began; None if there was no answer to speak into."""

    def times(self, what: What) -> list[float]:
        """Return the times of all events of one kind."""
        return [event.at_s for event in self.events if event.what == what]
