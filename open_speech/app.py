"""The HTTP application: routers, error handling, middleware. `create_app` is all that a server or a test needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from open_speech import __version__, bazarr
from open_speech.auth import ApiKey
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.live_speech import router as live_speech
from open_speech.openai import cloning, consents, errors, models, speech, transcriptions, voices
from open_speech.openai.dependencies import EngineDep
from open_speech.openai.trace import Trace
from open_speech.sockets import Seats
from open_speech.uploads import BodyLimit

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
MIB = 1 << 20
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED = ("x-request-id", "openai-processing-ms", "openai-version", "retry-after", "x-cache")

root = APIRouter()


@root.get("/health", tags=["server"])
async def health(engine: EngineDep) -> dict[str, Any]:
    """Tell that the server answers, and how its backends are; 503 while it is starting."""
    return {"status": "ok", "version": __version__, "backends": await engine.status()}


@root.get("/", include_in_schema=False)
async def index() -> RedirectResponse:
    """Lead a browser to the documentation."""
    return RedirectResponse("docs")


def create_app(settings: Settings, engine: Engine | None = None, lifespan: Lifespan | None = None) -> FastAPI:
    """Build the application. Without an engine, `lifespan` sets `app.state.engine`; until then every route answers 503."""
    app = FastAPI(title="Open Speech", version=__version__, summary="One server for speech.", redoc_url=None, lifespan=lifespan)
    app.state.settings = settings
    app.state.engine = engine
    app.state.created = int(time.time())
    app.state.seats = Seats(settings.os_stream_max_connections)
    errors.install(app)
    speaking = (speech.router, cloning.router, voices.router, consents.router, live_speech)
    for router in (root, models.router, transcriptions.router, *speaking, bazarr.lists):
        app.include_router(router)
    for prefix in ("", "/bazarr"):
        app.include_router(bazarr.router, prefix=prefix)
    app.router.routes.append(Route("/{path:path}", _Unmatched(), include_in_schema=False))
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Wrap the app; what is added last is outermost. A preflight carries no key, so CORS is outside of the key check."""
    films = dict.fromkeys(bazarr.RAW_PATHS, settings.os_max_raw_upload_mb * MIB)
    app.add_middleware(BodyLimit, max_bytes=settings.os_max_upload_mb * MIB, other=films)
    if settings.os_api_key:
        app.add_middleware(ApiKey, key=settings.os_api_key)
    if settings.os_cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.os_cors_origins, allow_methods=("*",), allow_headers=("*",), expose_headers=_EXPOSED
        )
    app.add_middleware(Trace)


class _Unmatched:
    """The last route. It takes every path and method, as BentoML shows an app only the requests that match one of its routes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        routes = [route for route in request.app.router.routes if getattr(route, "endpoint", None) is not self]
        allowed = [m for m in _METHODS if any(route.matches({**scope, "method": m})[0] is Match.FULL for route in routes)]
        if allowed:
            answer = errors.error_response(errors.method_not_allowed(request), {"Allow": ", ".join(allowed)})
        else:
            answer = errors.error_response(errors.unknown_path(request))
        await answer(scope, receive, send)
