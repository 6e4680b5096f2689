"""POST /v1/realtime/client_secrets, and its endpoints of the beta: ephemeral keys with which browsers open sessions themselves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field

from open_speech.api.openai.schemas import ERRORS
from open_speech.api.realtime.beta import session_to_beta, session_to_ga
from open_speech.api.realtime.grants import is_local_only, parent_of
from open_speech.api.realtime.opening import SessionRequest, language_model, session_of
from open_speech.api.realtime.secrets import MAX_SECONDS, MIN_SECONDS, SECONDS, Grant, Secrets
from open_speech.api.realtime.settings import Kind
from open_speech.config import Settings
from open_speech.dialogue.language_models import language_models
from open_speech.engine import Engine
from open_speech.errors import UnknownPath
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(prefix="/v1/realtime", tags=["realtime"], responses=ERRORS, route_class=JsonRoute)


class ExpiresAfter(BaseModel):
    """Lifetime of a key."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(SECONDS, ge=MIN_SECONDS, le=MAX_SECONDS)


class SecretRequest(BaseModel):
    """A key and the session it is for."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] = Field({}, description="A `realtime` or `transcription` session, as in `session.update`.")


class SecretBody(BaseModel):
    """A created key."""

    value: str
    expires_at: int
    """Seconds since 1970."""
    session: dict[str, Any]


@router.post("/client_secrets")
async def create_client_secret(body: SecretRequest, request: Request, engine: EngineDep, settings: SettingsDep) -> SecretBody:
    """Create an ephemeral key that opens Realtime sessions with this configuration for a limited time, and nothing else."""
    kind: Kind = "transcription" if body.session.get("type") == "transcription" else "realtime"
    grant = _grant(kind, _model(body.session), body.session, request)
    session = await _session_body(grant, request, settings, engine)
    value, expires_at = _secrets(request).issue(grant, body.expires_after.seconds)
    return SecretBody(value=value, expires_at=expires_at, session=session)


@router.post("/sessions")
async def create_session(
    request: Request, engine: EngineDep, settings: SettingsDep, session: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """Create an ephemeral key as in the beta: the body is the session, and the response is the session with the key."""
    return await _in_beta("realtime", session or {}, request, engine, settings)


@router.post("/transcription_sessions")
async def create_transcription_session(
    request: Request, engine: EngineDep, settings: SettingsDep, session: Annotated[dict[str, Any] | None, Body()] = None
) -> dict[str, Any]:
    """Create an ephemeral key for a transcription session, as in the beta."""
    return await _in_beta("transcription", session or {}, request, engine, settings)


async def _in_beta(kind: Kind, flat: dict[str, Any], request: Request, engine: Engine, settings: Settings) -> dict[str, Any]:
    grant = _grant(kind, _model(flat), session_to_ga(flat), request)
    session = session_to_beta(await _session_body(grant, request, settings, engine))
    value, expires_at = _secrets(request).issue(grant)
    return {**session, "client_secret": {"value": value, "expires_at": expires_at}}


async def _session_body(grant: Grant, request: Request, settings: Settings, engine: Engine) -> dict[str, Any]:
    """Return a session as its first event will contain it. Raises SpeechError for an invalid one, or if the Realtime API is disabled."""
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")
    kind: Kind = "transcription" if grant.kind == "transcription" else "realtime"
    asked = SessionRequest(kind, grant.model, configured=grant.configured)
    llm = await language_model(language_models(request.app), asked)
    return session_of(asked, settings, engine, llm).body()


def _grant(kind: Kind, model: str, configured: dict[str, Any], request: Request) -> Grant:
    return Grant(kind, model, configured, parent_of(request), is_local_only(request, None))


def _model(session: dict[str, Any]) -> str:
    model = session.get("model")
    return model if isinstance(model, str) else ""


def _secrets(request: Request) -> Secrets:
    secrets: Secrets = request.app.state.realtime_secrets
    return secrets
