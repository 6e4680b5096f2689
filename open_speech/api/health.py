"""Health checks for people, probes and load balancers. They need no key, but unauthenticated clients receive no names of backends."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech import __version__
from open_speech.dispatch.readiness import is_enough
from open_speech.engine import Engine
from open_speech.http.caller import is_unauthenticated
from open_speech.http.dependencies import EngineDep

router = APIRouter(tags=["server"])


@router.get("/health")
@router.get("/healthz")
@router.get("/healthcheck")
async def health(request: Request, engine: EngineDep) -> dict[str, Any]:
    """Report the health of the server and, to clients with a valid key, of its backends. Returns 503 during startup.

    `turn_detector` is what decides for `semantic_vad` whether a speaker has finished; `timer` is the length of the silence.
    """
    body = {"status": "ok", "version": __version__}
    if is_unauthenticated(request.scope):
        return body
    return {**body, "turn_detector": engine.recognition.turns.name, "backends": await engine.pool.status()}


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Report that the process is alive. This endpoint waits for nothing, so a missing response means that the process hangs."""
    return {"status": "ok"}


@router.get("/readyz", response_class=JSONResponse)
async def readyz(request: Request) -> JSONResponse:
    """Report readiness: 503 until each task has a backend that responds, and during shutdown."""
    engine: Engine | None = request.app.state.engine
    if engine is None:
        return JSONResponse({"status": "starting"}, 503)
    states = await engine.pool.status()
    closed = engine.pool.admission.is_closed
    ready = not closed and is_enough(engine.registry, states)
    body: dict[str, Any] = {"status": "stopping" if closed else "ready" if ready else "waiting for a backend"}
    if not is_unauthenticated(request.scope):
        body["backends"] = {name: {"ready": state["ready"], "where": state["where"]} for name, state in states.items()}
    return JSONResponse(body, 200 if ready else 503)


class AppFirst:
    """ASGI middleware for the server around our app: all requests go to our app, and none to the routes of that server.

    Some of those routes, such as `/schema.json`, do not require a key.
    """

    def __init__(self, app: ASGIApp, ours: ASGIApp) -> None:
        self._app = app
        self._ours = ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass requests and WebSockets to our app, and lifespan events to the server."""
        is_ours = scope["type"] in ("http", "websocket")
        await (self._ours if is_ours else self._app)(scope, receive, send)
