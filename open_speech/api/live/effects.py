"""The effects of a Live session and the reports to it: the values between the state machine and its driver. No I/O.

Times named `_ms` are milliseconds on the timeline of the session: milliseconds of input audio since it began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.errors import SpeechError
from open_speech.http.ws_messages import Close, Send

Samples = NDArray[np.float32]

PRIMARY = 0
"""The number of the connection that started the session. Attached connections have other numbers."""


# Effects, state machine -> driver


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send an event to one connection only; a Send is for all of them."""

    connection: int
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Play:
    """Send 100 ms of output audio, at the rate of the session."""

    samples: Samples
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ClearOutput:
    """Drop output audio that the client does not hear yet, as far as the transport can."""


@dataclass(frozen=True, slots=True)
class Reflect:
    """Send input audio, in the format of the session, to the attached connections."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hear:
    """Process input audio, in the format of the session; it is replaced by silence if the input is muted. Turns in it are reported."""

    data: bytes
    muted: bool


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """Start to transcribe a turn of the user, from `start_ms` on."""

    turn: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Complete the transcription of a turn that ended at `end_ms`."""

    turn: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Generate:
    """Have the language model answer, and speak its text. `request` is a body of `/chat/completions`."""

    answer_id: int
    request: Mapping[str, Any]
    is_held: bool = False
    """Whether little is made of it before it is released."""


@dataclass(frozen=True, slots=True)
class Release:
    """Let a held answer go on."""

    answer_id: int


@dataclass(frozen=True, slots=True)
class Speak:
    """Speak a text word for word."""

    answer_id: int
    text: str


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """Stop an answer: nothing more is reported about it."""

    answer_id: int


Effect = Send | SendTo | Close | Play | ClearOutput | Reflect | Hear | BeginTurn | EndTurn | Generate | Release | Speak | StopAnswer


# Reports, driver -> state machine


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The turn of the user ended: its speech stopped at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The user speaks again after a pause within the turn."""


@dataclass(frozen=True, slots=True)
class TextReady:
    """The text of a turn as it will be if it ends with the pause in progress."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """The next words of a turn; they will not change."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The whole text of a turn is known; all of it was reported as Words."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """A turn could not be transcribed."""

    turn: int
    error: SpeechError


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The next part of an answer's text; its audio begins at `at_s` seconds of the answer's audio."""

    answer_id: int
    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class AnswerAudio:
    """The next part of an answer's audio, at the rate of the session."""

    answer_id: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class AnswerTool:
    """The next part of a tool call; its id and name are in the first part."""

    answer_id: int
    index: int
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """An answer is complete, or was cut short for `reason`."""

    answer_id: int
    reason: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """An answer failed; its audio ends early."""

    answer_id: int
    error: SpeechError


TurnReport = SpeechStarted | SpeechStopped | SpeechResumed | TextReady | Words | Transcribed | NotTranscribed
AnswerReport = AnswerText | AnswerAudio | AnswerTool | AnswerDone | AnswerFailed
Report = TurnReport | AnswerReport


def send(type: str, **fields: Any) -> Send:
    """Build the effect that sends an event to all connections; fields that are None are left out."""
    return Send({"type": type} | {name: value for name, value in fields.items() if value is not None})
