"""Realtime sessions to talk to: each event they send is checked against the types of the official SDK, both dialects."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args

import pytest
from openai.types.beta.realtime import realtime_server_event as beta_events
from openai.types.beta.realtime.transcription_session_updated_event import TranscriptionSessionUpdatedEvent
from openai.types.realtime import realtime_server_event as ga_events
from pydantic import BaseModel

from open_speech.api.realtime.effects import Effect, Report, Respond, SpeechStarted, SpeechStopped
from open_speech.api.realtime.session import Defaults, Limits, Session
from open_speech.api.realtime.state import TurnTaking
from open_speech.http.ws_messages import Send

E = TypeVar("E")

NOW = 1_000_000.0
EVENT_BYTES = 512 * 1024
SHOWN_TOO = {"id", "object", "expires_at"}
"""Fields of a session that OpenAI sends and documents, though the SDK's types, made for requests, leave them out."""


def classes(union: object) -> dict[str, type[BaseModel]]:
    """Map `type` to the SDK's class of a server event."""
    found: dict[str, type[BaseModel]] = {}
    for member in get_args(get_args(union)[0]):
        for name in get_args(member.model_fields["type"].annotation):
            found[name] = member
    return found


GA = classes(ga_events.RealtimeServerEvent)
BETA = classes(beta_events.RealtimeServerEvent) | {"transcription_session.created": TranscriptionSessionUpdatedEvent}


def check(event: Mapping[str, Any], known: Mapping[str, type[BaseModel]]) -> None:
    """Fail if the SDK's type of this event misses a field, has one of another type, or does not know one."""
    kind = known[event["type"]]
    data = {**event, "type": "transcription_session.updated"} if event["type"] == "transcription_session.created" else dict(event)
    assert unknown(kind.model_validate(data), event["type"]) == []
    assert len(json.dumps(event)) < EVENT_BYTES


def unknown(value: object, path: str) -> list[str]:
    if isinstance(value, list):
        return [name for number, part in enumerate(value) for name in unknown(part, f"{path}[{number}]")]
    if not isinstance(value, BaseModel):
        return []
    extra = set(value.model_extra or {}) - (SHOWN_TOO if path.endswith(".session") else set())
    fields = (name for name in type(value).model_fields if getattr(value, name, None) is not None)
    return [f"{path}.{name}" for name in sorted(extra)] + [
        found for name in fields for found in unknown(getattr(value, name), f"{path}.{name}")
    ]


class Outcome(list[Effect]):
    """What a session wants done."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [effect.message for effect in self if isinstance(effect, Send)]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def error(self) -> dict[str, Any]:
        """The one error that is all there is."""
        (effect,) = self
        assert isinstance(effect, Send) and effect.message["type"] == "error", effect
        return dict(effect.message["error"])

    @property
    def done(self) -> dict[str, Any]:
        """The response that ended."""
        return dict(self.event("response.done")["response"])

    def event(self, kind: str) -> dict[str, Any]:
        (found,) = [event for event in self.events if event["type"] == kind]
        return found

    def all(self, kind: type[E]) -> list[E]:
        return [effect for effect in self if isinstance(effect, kind)]

    def one(self, kind: type[E]) -> E:
        (found,) = self.all(kind)
        return found


class Talk:
    """A session, a clock, and everything that was sent."""

    def __init__(self, session: Session, known: Mapping[str, type[BaseModel]]) -> None:
        self.session = session
        self.now = NOW
        self.ms = 0
        """How much sound was sent with `append`."""
        self.sent: list[dict[str, Any]] = []
        self._known = known
        self._ids: set[str] = set()

    def begin(self) -> Outcome:
        return self._took(self.session.begin(self.now))

    def use_beta(self) -> None:
        """Expect the events of the beta protocol from now on."""
        self._known = BETA

    def say(self, kind: str, **fields: Any) -> Outcome:
        return self.write(json.dumps({"type": kind, **fields}))

    def write(self, text: str) -> Outcome:
        return self._took(self.session.receive(text, self.now))

    def tell(self, report: Report) -> Outcome:
        return self._took(self.session.report(report, self.now))

    def wait(self, seconds: float) -> Outcome:
        self.now += seconds
        return self._took(self.session.tick(self.now))

    def append(self, ms: int, *, bytes_per_s: int = 48_000) -> Outcome:
        """Send silence of some length; nobody listens here."""
        self.ms += ms
        return self.say("input_audio_buffer.append", audio=base64.b64encode(bytes(bytes_per_s * ms // 1000)).decode())

    def update(self, **session: Any) -> Outcome:
        return self.say("session.update", session=session)

    def hears(self, **heard: Any) -> Outcome:
        return self.update(audio={"input": heard})

    def text(self, text: str, **fields: Any) -> Outcome:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
        return self.say("conversation.item.create", item=item)

    def asked(self, text: str = "Hello.", **response: Any) -> Respond:
        """Put a text in and ask for a response."""
        self.text(text)
        return self.say("response.create", response=response).one(Respond)

    def spoke(self) -> Outcome:
        """Have somebody speak for a second."""
        begin = self.ms
        self.append(1500)
        self.tell(SpeechStarted(begin + 100))
        return self.tell(SpeechStopped(begin + 1100))

    def _took(self, effects: Iterable[Effect]) -> Outcome:
        outcome = Outcome(effects)
        for event in outcome.events:
            check(event, self._known)
            assert event["event_id"] not in self._ids
            self._ids.add(event["event_id"])
            self.sent.append(event)
        return outcome


Opens = Callable[..., Talk]


@pytest.fixture
def opens() -> Opens:
    """Open sessions on a server that knows the models `ears` and `mouth`, every voice but `nobody`, and a language model if asked to."""

    def opened(
        kind: Literal["realtime", "transcription"] = "realtime",
        *,
        llm: bool = False,
        model: str = "gpt-realtime",
        beta: bool = False,
        limits: Limits | None = None,
        configured: Mapping[str, Any] | None = None,
        is_kind_open: bool = False,
        turn_taking: TurnTaking | None = None,
    ) -> Talk:
        tasks: dict[str, Literal["stt", "tts", "llm"]] = {
            "ears": "stt",
            "whisper-1": "stt",
            "other-ears": "stt",
            "mouth": "tts",
            "mind": "llm",
        }
        defaults = Defaults("ears", "mouth", "ann", llm, lambda voice: voice != "nobody", tasks.get)
        counter = itertools.count(1)
        session = Session(
            kind, model=model, defaults=defaults, limits=limits or Limits(), new_id=lambda prefix: f"{prefix}_{next(counter)}", now=NOW,
            beta=beta, configured=configured, is_kind_open=is_kind_open, turn_taking=turn_taking,
        )  # fmt: skip
        talk = Talk(session, BETA if beta else GA)
        talk.begin()
        return talk

    return opened
