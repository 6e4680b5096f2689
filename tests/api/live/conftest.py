"""Live sessions to talk to: each event they send is checked against the types of the official SDK."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

import numpy as np
import pytest
from openai.types.live import server_event
from pydantic import BaseModel

from open_speech.api.live.config import started
from open_speech.api.live.effects import (
    AnswerAudio,
    AnswerDone,
    AnswerReport,
    AnswerText,
    Effect,
    Generate,
    Play,
    Report,
    Samples,
    SendTo,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    Words,
)
from open_speech.api.live.messages import with_id
from open_speech.api.live.session import Session
from open_speech.api.live.state import Limits
from open_speech.http.ws_messages import Close, Send

E = TypeVar("E")

NOW = 1_000_000.0
RATE = 24_000
CLASSES: dict[str, type[BaseModel]] = {
    name: member for member in get_args(get_args(server_event.ServerEvent)[0]) for name in get_args(member.model_fields["type"].annotation)
}


def check(event: Mapping[str, Any]) -> None:
    """Fail if the SDK's type of this event misses a field, has one of another type, or does not know one."""
    assert unknown(CLASSES[event["type"]].model_validate(with_id(dict(event))), event["type"]) == []
    assert len(json.dumps(event)) < 512 * 1024


def unknown(value: object, path: str) -> list[str]:
    if isinstance(value, list):
        return [name for number, part in enumerate(value) for name in unknown(part, f"{path}[{number}]")]
    if not isinstance(value, BaseModel):
        return []
    extra = set(value.model_extra or {}) - ({"safety_identifier"} if path.endswith(".session") else set())
    fields = (name for name in type(value).model_fields if getattr(value, name, None) is not None)
    return [f"{path}.{name}" for name in sorted(extra)] + [
        found for name in fields for found in unknown(getattr(value, name), f"{path}.{name}")
    ]


class Outcome(list[Effect]):
    """What a session wants done."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [effect.message for effect in self if isinstance(effect, (Send, SendTo))]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def error(self) -> dict[str, Any]:
        """The one error that is all there is."""
        (effect,) = self
        assert isinstance(effect, (Send, SendTo)) and effect.message["type"] == "error", effect
        return dict(effect.message["error"])

    @property
    def nested(self) -> list[dict[str, Any]]:
        """The events of the Responses API."""
        return [event["event"] for event in self.events if event["type"] == "response.event"]

    @property
    def played(self) -> Samples:
        """The output audio."""
        return np.concatenate([np.zeros(0, np.float32), *(effect.samples for effect in self if isinstance(effect, Play))])

    def event(self, kind: str) -> dict[str, Any]:
        (found,) = self.all_events(kind)
        return found

    def all_events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def all(self, kind: type[E]) -> list[E]:
        return [effect for effect in self if isinstance(effect, kind)]

    def one(self, kind: type[E]) -> E:
        (found,) = self.all(kind)
        return found

    def text(self, side: str) -> str:
        return "".join(event["delta"] for event in self.all_events(f"session.{side}_transcript.delta"))


class Talk:
    """A session, a clock, and everything that was sent."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.now = NOW
        self.ms = 0
        """Audio that was sent, in milliseconds."""
        self.turns = itertools.count(1)

    def say(self, kind: str, connection: int = 0, **fields: Any) -> Outcome:
        return self.write(json.dumps({"type": kind, **fields}), connection)

    def write(self, text: str, connection: int = 0) -> Outcome:
        return self._took(self.session.receive(text, self.now, connection))

    def tell(self, *reports: Report) -> Outcome:
        return Outcome([effect for report in reports for effect in self._took(self.session.report(report))])

    def send(self, ms: int, *, width: int = 2) -> Outcome:
        """Send silence of some length at once; the time stays."""
        self.ms += ms
        rate = self.session.config.format.rate
        effects = self.say("session.input_audio.append", audio=base64.b64encode(bytes(rate * ms // 1000 * width)).decode())
        return Outcome([*effects, *self.advance()])

    def hear(self, ms: int) -> Outcome:
        """Send silence on the track of a call; the time stays."""
        self.ms += ms
        self.session.add_audio(bytes(self.session.config.format.rate * ms // 1000 * 2), self.now)
        return self.advance()

    def advance(self) -> Outcome:
        """Process what may be processed now."""
        effects: list[Effect] = []
        while found := self.session.advance(self.now):
            effects += found
        return self._took(effects)

    def live(self, ms: int, *, width: int = 2) -> Outcome:
        """Send silence in real time, 100 ms at a time."""
        effects: list[Effect] = []
        for _ in range(ms // 100):
            self.now += 0.1
            effects += self.send(100, width=width)
        return Outcome(effects)

    def turn(self, text: str, *, ms: int = 1000) -> Outcome:
        """Have the user say something, in real time; the transcript follows after half a second of silence."""
        number, start = next(self.turns), self.ms
        effects = [*self.tell(SpeechStarted(start)), *self.live(ms + 500), *self.tell(SpeechStopped(start + ms))]
        words = [Words(number, text)] if text else []
        return Outcome([*effects, *self.tell(*words, Transcribed(number, text))])

    def answered(self, generate: Generate, text: str, *, seconds: float = 1.0, done: bool = True) -> Outcome:
        """Answer a request with a text, and with audio of some length."""
        sound = np.full(round(self.session.config.format.rate * seconds), 0.5, np.float32)
        reports: list[AnswerReport] = [AnswerText(generate.answer_id, text, 0.0), AnswerAudio(generate.answer_id, sound)]
        return self.tell(*reports, *([AnswerDone(generate.answer_id, usage={"prompt_tokens": 3, "completion_tokens": 2})] if done else []))

    def _took(self, effects: Iterable[Effect]) -> Outcome:
        outcome = Outcome(effects)
        for event in outcome.events:
            check(event)
        assert not outcome.all(Close) or self.session.is_closed
        return outcome


Opens = Callable[..., Talk]


@pytest.fixture
def opens() -> Opens:
    """Open sessions on a server that knows every voice but `nobody`, with a language model unless told otherwise."""

    def opened(*, llm: bool = True, limits: Limits | None = None, is_call: bool = False, **config: Any) -> Talk:
        counter = itertools.count(1)
        parsed = started(
            {"model": "gpt-live-1", **config}, default_voice="ann", knows_voice=lambda name: name != "nobody", has_llm=llm, is_call=is_call
        )
        session = Session(
            parsed, has_llm=llm, limits=limits or Limits(), new_id=lambda prefix: f"{prefix}_{next(counter)}", now=NOW
        )  # fmt: skip
        talk = Talk(session)
        talk._took(session.begin(None, NOW))
        return talk

    return opened


FUNCTION = {"type": "function", "name": "light", "description": "Switch a light.", "parameters": {"type": "object"}}
RESPONSES = {"type": "responses", "responses": {"model": "gpt-5.6-luna", "instructions": "Use tools.", "tools": [FUNCTION]}}
