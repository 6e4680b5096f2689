"""The start of a Realtime session: the request of a connection, and the defaults of this server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from starlette.datastructures import Headers, QueryParams

from open_speech.api.realtime.secrets import Grant
from open_speech.api.realtime.session import Session
from open_speech.api.realtime.settings import Defaults, Kind, Limits
from open_speech.api.realtime.state import TurnTaking
from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.dialogue.interruption import InterruptionRules
from open_speech.dialogue.language_models import LanguageModels
from open_speech.engine import Engine
from open_speech.errors import SpeechError, UnsupportedValue

FRAME_BYTES = 21 << 20
"""Maximum bytes of a client event: OpenAI accepts 15 MiB of audio at once, which is 20 MiB in base64, and JSON surrounds it."""
SESSION_S = 3600.0
"""Maximum seconds of a session: an hour, as at OpenAI."""
_BETA_PROTOCOL = "openai-beta.realtime-v1"
_TASKS: Mapping[Task, Literal["stt", "tts", "llm"]] = {Task.STT: "stt", Task.TTS: "tts", Task.LLM: "llm"}


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """The session that a connection requests."""

    kind: Kind
    model: str
    beta: bool = False
    configured: Mapping[str, Any] | None = None
    is_kind_open: bool = False
    """Whether the client named a speech-to-text model but no kind of session, so that it may also expect responses."""


def session_request(query: QueryParams, headers: Headers, grant: Grant | None, task_of: Callable[[str], str | None]) -> SessionRequest:
    """Parse the request of a connection; `grant` is that of its ephemeral key, and `task_of` returns the task of a model.

    Some clients send both `intent` and `model`; the intent takes precedence. Raises UnsupportedValue for another kind of session, or
    another model, than the ephemeral key is for.
    """
    model = query.get("model") or (grant.model if grant else "")
    is_transcription = query.get("intent") == "transcription" or task_of(model) == "stt" or (grant and grant.kind == "transcription")
    kind: Kind = "transcription" if is_transcription else "realtime"
    if grant is None:
        is_kind_open = kind == "transcription" and "intent" not in query
        return SessionRequest(kind, model, is_beta(headers), is_kind_open=is_kind_open)
    if grant.kind != kind:
        field = "intent" if "intent" in query else "model"
        raise UnsupportedValue(f"The ephemeral key is for a {grant.kind} session, not for a {kind} session.", param=field)
    if grant.model and model != grant.model:
        raise UnsupportedValue(f"The ephemeral key is for the model `{grant.model}`.", param="model")
    return SessionRequest(kind, model, is_beta(headers), grant.configured)


def is_beta(headers: Headers) -> bool:
    """Return whether a client uses the beta protocol."""
    request = f"{headers.get('openai-beta', '')},{headers.get('sec-websocket-protocol', '')}"
    return any(part.strip() in ("realtime=v1", _BETA_PROTOCOL) for part in request.split(","))


def session_of(request: SessionRequest, settings: Settings, engine: Engine, llm: str, *, can_pause: bool = False) -> Session:
    """Create the requested session, which has not begun; `llm` is the name of its language model, empty without one.

    With `can_pause` the transport controls the playback: it performs PauseOutput and ResumeOutput, and reports Played.

    Raises SpeechError for an invalid configuration.
    """
    defaults = defaults_of(settings, engine, request.model, llm)
    default = llm or defaults.tts_model
    return Session(
        request.kind,
        model=request.model or (defaults.stt_model if request.kind == "transcription" else default),
        defaults=defaults,
        limits=Limits(
            buffer_bytes=settings.os_realtime_max_buffer_mb << 20,
            frame_bytes=FRAME_BYTES,
            session_s=SESSION_S,
            idle_s=settings.os_realtime_idle_timeout_s,
            tool_rounds=settings.os_realtime_max_tool_rounds,
        ),
        new_id=new_id,
        now=time.time(),
        beta=request.beta,
        configured=request.configured,
        is_kind_open=request.is_kind_open and not defaults.has_llm,
        turn_taking=turn_taking_of(settings, can_pause=can_pause),
    )


def turn_taking_of(settings: Settings, *, can_pause: bool = False) -> TurnTaking:
    """Return how turns are taken; with `can_pause` the transport of the session controls the playback."""
    rules = InterruptionRules(
        after_s=settings.os_interrupt_after_ms / 1000,
        min_words=settings.os_interrupt_min_words,
        echo_guard_s=settings.os_echo_guard_ms / 1000,
        resume_after_s=settings.os_false_interruption_ms / 1000,
    )
    return TurnTaking(settings.os_early_answers, rules, settings.os_backchannels, can_pause)


def defaults_of(settings: Settings, engine: Engine, model: str, llm: str) -> Defaults:
    """Return the defaults of a session with the language model `llm`. If `model` is a speech model, it is the default."""
    known = engine.registry.defaults
    tts_model = model if task_of(settings, engine, model) == "tts" else known.tts_model
    try:
        voice = engine.registry.voice(engine.registry.find(tts_model, Task.TTS), None)
    except SpeechError:  # the server has no speech model
        voice = known.tts_voice
    return Defaults(
        stt_model=known.stt_model,
        tts_model=tts_model,
        voice=voice,
        has_llm=bool(llm),
        knows_voice=lambda name: knows_voice(engine, name),
        knows_model=lambda name: task_of(settings, engine, name),
        languages_of=lambda name: languages_of(engine, name),
        can_diarize=engine.recognition.trackers.is_available,
    )


async def language_model(models: LanguageModels, request: SessionRequest) -> str:
    """Return the name of the language model of a session: the requested model if it is one, or else the default; empty if there is none."""
    return request.model if models.knows(request.model) else await models.default_name()


def knows_voice(engine: Engine, name: str) -> bool:
    """Return whether any model, preset or recording on this server has a voice of this name."""
    return engine.registry.has_voice(name) or engine.voices.presets.find(name) is not None or engine.voices.recording(name) is not None


def task_of(settings: Settings, engine: Engine, name: str) -> Literal["stt", "tts", "llm", None]:
    """Return the task of a model; None if no model has this name."""
    if settings.llm_base_url and name == settings.llm_model:
        return "llm"
    try:
        return _TASKS.get(engine.registry.find(name).task)
    except SpeechError:
        return None


def languages_of(engine: Engine, name: str) -> tuple[str, ...]:
    """Return the languages that a transcription model supports; none if the model does not exist, or if they are unknown."""
    try:
        return engine.registry.find(name, Task.STT).languages
    except SpeechError:
        return ()


def new_id(prefix: str) -> str:
    """Return a unique id."""
    return f"{prefix}_{uuid4().hex[:24]}"
