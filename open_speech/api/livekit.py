"""GET /v1/livekit/status, POST /v1/livekit/token and POST /v1/livekit/agent-token: access tokens for rooms of a LiveKit server.

The API is GemmaVoice's. This server only signs tokens with the secret that it shares with the LiveKit server, and never calls that server.
Source of the claims: LiveKit, Tokens & grants.
"""

from __future__ import annotations

import importlib
import json
import time
import uuid
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, StringConstraints

from open_speech.api.gemmavoice.errors import ERRORS
from open_speech.config import Settings
from open_speech.errors import NotConfigured
from open_speech.http.dependencies import SettingsDep
from open_speech.http.json_bodies import JsonRoute

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]
"""A name of a room or a participant; the limit is GemmaVoice's."""


router = APIRouter(
    prefix="/v1/livekit",
    tags=["livekit"],
    route_class=JsonRoute,
    responses=ERRORS,
)


class TokenRequest(BaseModel):
    """A participant, the room to join, and options for the agent that LiveKit dispatches to that room."""

    room_name: Name | None = None
    """Default: LIVEKIT_ROOM_NAME."""
    participant_name: Name | None = None
    """Name that other participants see. Default: the identity."""
    participant_identity: Name | None = None
    """Identity that is unique within the room. Default: a random one."""
    agent_instructions: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    agent_voice_reference_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=128)] = ""
    agent_language: Annotated[str, StringConstraints(strip_whitespace=True, max_length=32)] = ""

    @property
    def agent_metadata(self) -> str:
        """The options of the agent as JSON text, which an agent reads as the metadata of its job."""
        options = {
            "instructions": self.agent_instructions,
            "voice_reference_id": self.agent_voice_reference_id,
            "language": self.agent_language,
        }
        return json.dumps({name: value for name, value in options.items() if value}, ensure_ascii=False)


class TokenBody(BaseModel):
    """A token, and the address to connect to."""

    token: str
    url: str
    room_name: str
    participant_identity: str


class StatusBody(BaseModel):
    """Whether this server signs tokens, and for which LiveKit server."""

    enabled: bool
    url: str | None = None
    default_room: str | None = None


@router.get("/status", summary="Get LiveKit Status")
async def get_status(settings: SettingsDep) -> StatusBody:
    """Report whether LiveKit is configured."""
    if settings.missing_for_livekit:
        return StatusBody(enabled=False)
    return StatusBody(enabled=True, url=settings.livekit_url, default_room=settings.livekit_room_name)


@router.post("/token", summary="Create LiveKit Token")
async def create_token(response: Response, settings: SettingsDep, body: TokenRequest | None = None) -> TokenBody:
    """Create a token with which a participant joins a room. LiveKit dispatches LIVEKIT_AGENT_NAME when the token creates the room."""
    request = body or TokenRequest()
    return _signed(response, settings, request, Participant.of(request, settings, f"user-{uuid.uuid4().hex[:8]}"))


@router.post("/agent-token", summary="Create LiveKit Agent Token")
async def create_agent_token(response: Response, settings: SettingsDep, body: TokenRequest | None = None) -> TokenBody:
    """Create a token with which an agent joins a room: other participants see it as an agent, and it may change its own metadata."""
    request = body or TokenRequest()
    identity = settings.livekit_agent_name or f"agent-{uuid.uuid4().hex[:8]}"
    return _signed(response, settings, request, Participant.of(request, settings, identity, is_agent=True))


@dataclass(frozen=True, slots=True)
class Participant:
    """Who a token is for, and the room."""

    identity: str
    name: str
    room: str
    is_agent: bool = False

    @classmethod
    def of(cls, request: TokenRequest, settings: Settings, identity: str, *, is_agent: bool = False) -> Participant:
        """Return the participant of a request; `identity` is that of a request without one."""
        identity = request.participant_identity or identity
        return cls(identity, request.participant_name or identity, request.room_name or settings.livekit_room_name, is_agent)


def claims_of(participant: Participant, settings: Settings, now: int, agent_metadata: str = "{}") -> dict[str, Any]:
    """Return the claims of a token that is valid from `now` (seconds since 1970) for LIVEKIT_TOKEN_TTL.

    The token of an agent has `kind`, by which clients find the agent among the participants. It has no grant `agent`, which would let its
    holder register as a worker and receive the jobs of all rooms. The token of any other participant names the agent to dispatch.
    """
    grants = {"roomJoin": True, "room": participant.room, "canPublish": True, "canSubscribe": True, "canPublishData": True}
    claims: dict[str, Any] = {
        "iss": settings.livekit_api_key,
        "sub": participant.identity,
        "nbf": now,
        "exp": now + settings.livekit_token_ttl,
        "name": participant.name,
        "video": grants,
    }
    if participant.is_agent:
        grants["canUpdateOwnMetadata"] = True
        claims["kind"] = "agent"
    elif settings.livekit_agent_name:
        claims["roomConfig"] = {"agents": [{"agentName": settings.livekit_agent_name, "metadata": agent_metadata}]}
    return claims


def prepare(settings: Settings) -> None:
    """Import what the tokens of these settings need: at the start, because an import blocks the event loop."""
    if not settings.missing_for_livekit:
        _jwt()


def _jwt() -> ModuleType:
    return importlib.import_module("jwt")  # 0.15 s and 9 MB, for servers with LiveKit alone


def _signed(response: Response, settings: Settings, request: TokenRequest, participant: Participant) -> TokenBody:
    """Sign the token of a participant. Raises NotConfigured if a setting is missing."""
    if missing := settings.missing_for_livekit:
        raise NotConfigured(f"LiveKit is not configured on this server: set {', '.join(missing)}.")
    response.headers["Cache-Control"] = "no-store"
    claims = claims_of(participant, settings, int(time.time()), request.agent_metadata)
    token = _jwt().encode(claims, settings.livekit_api_secret, algorithm="HS256")
    return TokenBody(token=token, url=settings.livekit_url, room_name=participant.room, participant_identity=participant.identity)
