"""How the server is, for people, for probes and for load balancers. All of it answers without a key, but tells a stranger no names."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech import __version__
from open_speech.dispatch.readiness import is_enough
from open_speech.engine import Engine
from open_speech.http.caller import is_stranger
from open_speech.http.dependencies import PoolDep

router = APIRouter(tags=["server"])


@router.get("/health")
@router.get("/healthz")
@router.get("/healthcheck")
async def health(request: Request, pool: PoolDep) -> dict[str, Any]:
    """Report the health of the server and, to clients with a valid key, of its backends. Returns 503 during startup."""
    told = {"status": "ok", "version": __version__}
    return told if is_stranger(request.scope) else {**told, "backends": await pool.status()}


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
    told: dict[str, Any] = {"status": "stopping" if closed else "ready" if ready else "waiting for a backend"}
    if not is_stranger(request.scope):
        told["backends"] = {name: {"ready": state["ready"], "where": state["where"]} for name, state in states.items()}
    return JSONResponse(told, 200 if ready else 503)


class Before:
    """ASGI middleware for the server around our app: every request goes to our app, and none to what that server answers itself.

    It has paths of its own, such as `/schema.json`, that ask nobody for a key.
    """

    def __init__(self, app: ASGIApp, ours: ASGIApp) -> None:
        self._app = app
        self._ours = ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to whom it is for."""
        is_ours = scope["type"] in ("http", "websocket")
        await (self._ours if is_ours else self._app)(scope, receive, send)
