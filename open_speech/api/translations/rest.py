"""POST /v1/realtime/translations/client_secrets: ephemeral keys with which browsers open translation sessions themselves."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from open_speech.api.openai.schemas import ERRORS
from open_speech.api.realtime.grants import is_local_only, parent_of
from open_speech.api.realtime.rest import ExpiresAfter, SecretBody
from open_speech.api.realtime.secrets import Grant, Secrets
from open_speech.api.translations.opening import opened
from open_speech.dialogue.language_models import language_models
from open_speech.errors import UnknownPath
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(prefix="/v1/realtime/translations", tags=["realtime"], responses=ERRORS, route_class=JsonRoute)


class TranslationSession(BaseModel):
    """A translation session, as in `session.update`, and its model."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1, max_length=200)


class TranslationSecretRequest(BaseModel):
    """A key and the session it is for."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: TranslationSession


@router.post("/client_secrets")
async def create_translation_secret(
    body: TranslationSecretRequest, request: Request, engine: EngineDep, settings: SettingsDep
) -> SecretBody:
    """Create an ephemeral key that opens translation sessions with this configuration for a limited time, and nothing else."""
    if not settings.os_realtime_enabled:
        raise UnknownPath("This server does not serve the Realtime API: OS_REALTIME_ENABLED is off.")
    configured: dict[str, Any] = dict(body.session.model_extra or {})
    model = body.session.model
    opening = await opened(model, engine, settings, language_models(request.app), configured)
    secrets: Secrets = request.app.state.realtime_secrets
    grant = Grant("translation", model, configured, parent_of(request), is_local_only(request, None))
    value, expires_at = secrets.issue(grant, body.expires_after.seconds)
    return SecretBody(value=value, expires_at=expires_at, session=opening.session.body())
