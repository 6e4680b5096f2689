"""GET /v1/dialogue/sessions and DELETE /v1/dialogue/sessions/{id}: the dialogue sessions of the API key of the request."""

from __future__ import annotations

from fastapi import APIRouter, Request

from open_speech.api.dialogue.bodies import DeletedSessionBody, SessionBody, SessionList
from open_speech.api.gemmavoice.errors import ERRORS
from open_speech.api.jobs.owners import OwnerDep
from open_speech.dialogue.memory import SessionKey
from open_speech.dialogue.sessions import Sessions
from open_speech.errors import UnknownItem
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(prefix="/v1/dialogue/sessions", tags=["dialogue"], responses=ERRORS, route_class=JsonRoute)


@router.get("")
async def list_sessions(request: Request, owner: OwnerDep) -> SessionList:
    """List the sessions that are remembered, the most recently used first."""
    sessions: Sessions = request.app.state.dialogues
    found = await sessions.of_owner(owner)
    return SessionList(
        data=tuple(
            SessionBody(id=name, turns=len(kept.turns), tokens=sum(turn.tokens for turn in kept.turns), used_at=int(kept.used_at))
            for name, kept in found.items()
        )
    )


@router.delete("/{session_id:path}")
async def delete_session(session_id: str, request: Request, owner: OwnerDep) -> DeletedSessionBody:
    """Forget a session. A turn in progress still gets its answer, and is not stored."""
    sessions: Sessions = request.app.state.dialogues
    if not await sessions.forget(SessionKey(owner, session_id)):
        raise UnknownItem("No session has this id.", param="session_id")
    return DeletedSessionBody(id=session_id)
