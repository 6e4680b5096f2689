"""The start of a Live session: its first event, and what the server needs for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from open_speech.api.live.config import Config, started
from open_speech.api.live.events import FRAME_BYTES, SessionStart, parse
from open_speech.api.live.messages import next_message
from open_speech.api.live.session import Session
from open_speech.api.live.state import Limits
from open_speech.api.realtime.client_messages import InvalidEvent, client_event_id
from open_speech.api.realtime.opening import defaults_of, knows_voice, new_id, turn_taking_of
from open_speech.api.realtime.settings import Defaults
from open_speech.config import Settings
from open_speech.dialogue.interruption import backchannels
from open_speech.dialogue.language_models import LanguageModels
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest
from open_speech.http.inbox import Inbox
from open_speech.synthesis.plan import SynthesisRequest

FIRST_EVENT_S = 15.0
"""Seconds in which a client must send its first event."""
ALIASES: Mapping[str, str] = {
    "beacon": "ballad", "bossa": "coral", "cinder": "echo", "delta": "ash", "gleam": "shimmer", "meridian": "verse", "quartz": "sage",
    "ripple": "coral", "shida": "shimmer", "stone": "echo", "tempo": "verse", "vesper": "ballad", "willow": "sage", "nuri": "alloy",
    "juni": "coral", "flitz": "verse", "brise": "sage", "sillage": "shimmer", "nira": "marin", "harema": "alloy", "noeul": "cedar",
}  # fmt: skip
"""Voices that exist in OpenAI's Live API only -> the voice of OpenAI's speech API that speaks in their place."""


class StartFailed(Exception):
    """The first event of a connection does not start a session: the error, and the id of the event."""

    def __init__(self, error: InvalidRequest, event_id: str | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has not begun."""

    session: Session
    speech: SynthesisRequest
    llm: str
    """Name of the language model; empty without one."""


async def first_event(inbox: Inbox) -> SessionStart:
    """Wait for `session.start`. Raises StartFailed for another event, an invalid one, or none in time."""
    filling = asyncio.create_task(inbox.fill())
    reading = asyncio.create_task(next_message(inbox, FRAME_BYTES))
    try:
        await asyncio.wait({filling, reading}, timeout=FIRST_EVENT_S, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            if filling.done():
                filling.result()  # raises WebSocketDisconnect
            raise StartFailed(InvalidEvent(f"No `session.start` arrived within {FIRST_EVENT_S:g} s."), None)
        message = reading.result()
    finally:
        filling.cancel()
        reading.cancel()
        await asyncio.gather(filling, reading, return_exceptions=True)
    event_id = client_event_id(message.body)
    try:
        if message.error is not None:
            raise message.error
        event = parse(message.body)
        if not isinstance(event, SessionStart):
            raise InvalidEvent("The first event must be `session.start`.", param="type")
    except InvalidRequest as error:
        raise StartFailed(error, event_id) from None
    return event


async def open_session(
    raw: Mapping[str, Any], settings: Settings, engine: Engine, models: LanguageModels, *, is_call: bool = False
) -> Opened:
    """Create the requested session; `is_call` for one over WebRTC. Raises subclasses of InvalidRequest that name the field."""
    llm = await language_model(raw, models)
    model = raw.get("model")
    defaults = defaults_of(settings, engine, model if isinstance(model, str) else "", llm)
    config = started(
        raw, default_voice=defaults.voice, knows_voice=lambda name: _voice(engine, name) is not None, has_llm=bool(llm), is_call=is_call
    )
    # The language of what is said is not known before it is recognized, so `auto` stands for the backchannels of all languages.
    rules = replace(turn_taking_of(settings).interruption, backchannels=backchannels(settings.os_backchannels))
    limits = Limits(
        session_s=settings.os_live_max_session_s,
        idle_s=settings.os_live_idle_timeout_s,
        tool_rounds=settings.os_realtime_max_tool_rounds,
        early_answers=settings.os_early_answers,
        interruption=rules,
    )
    session = Session(config, has_llm=bool(llm), limits=limits, new_id=new_id, now=time.time())
    return Opened(session, _speech(config, defaults, engine), llm)


async def language_model(raw: Mapping[str, Any], models: LanguageModels) -> str:
    """Return the language model of a session: that of `responses`, the `model` of the session, or the default; empty if there is none."""
    delegation = raw.get("delegation")
    responses = delegation.get("responses") if isinstance(delegation, Mapping) else None
    named = responses.get("model") if isinstance(responses, Mapping) else None
    for name in (named, raw.get("model")):
        if isinstance(name, str) and models.knows(name):
            return name
    return await models.default_name()


def _speech(config: Config, defaults: Defaults, engine: Engine) -> SynthesisRequest:
    return SynthesisRequest(defaults.tts_model, voice=_voice(engine, config.voice) or config.voice, rate=config.format.rate, is_live=True)


def _voice(engine: Engine, name: str) -> str | None:
    """Return the name of a voice of this server, for that name or one of OpenAI's; None if there is none."""
    return next((known for known in (name, ALIASES.get(name, "")) if known and knows_voice(engine, known)), None)
