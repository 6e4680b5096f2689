"""The HTTP application: routers, error handling, middleware. `create_app` is all that a server or a test needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from open_speech import __version__, bazarr, health, web
from open_speech.auth import ApiKey
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.headers import NoSniffing
from open_speech.heads import Heads
from open_speech.jobs import routes as job_routes
from open_speech.jobs.bodies import PATH as JOBS_PATH
from open_speech.jobs.desk import Jobs
from open_speech.live_speech import router as live_speech
from open_speech.live_transcription import router as live_transcription
from open_speech.management import api_models, ollama
from open_speech.management.orders import Orders
from open_speech.metrics import scrape
from open_speech.metrics.meter import Meter
from open_speech.metrics.scrape import Scrape
from open_speech.openai import cloning, consents, errors, models, speech, transcriptions, voices
from open_speech.openai.trace import Trace
from open_speech.origins import OwnPages
from open_speech.rate_limit import Allowances, RateLimit
from open_speech.realtime import rest as realtime_keys
from open_speech.realtime import websocket as realtime
from open_speech.realtime.secrets import Secrets
from open_speech.sockets import Seats
from open_speech.uploads import BodyLimit

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
MIB = 1 << 20
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED = (
    "x-request-id", "openai-processing-ms", "openai-version", "retry-after", "x-cache",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
)  # fmt: skip


def create_app(settings: Settings, engine: Engine | None = None, lifespan: Lifespan | None = None) -> FastAPI:
    """Build the application. Without an engine, `lifespan` sets `app.state.engine`; until then every route answers 503."""
    app = FastAPI(
        title="Open Speech",
        version=__version__,
        summary="One server for speech.",
        docs_url=None,  # web.py has one of our own: FastAPI's loads its parts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    meter = Meter() if engine is None else engine.meter
    app.state.meter, app.state.scrape = meter, Scrape(meter)
    app.state.settings = settings
    app.state.engine = engine
    app.state.created = int(time.time())
    app.state.seats = Seats(settings.os_stream_max_connections)
    app.state.realtime_seats = Seats(settings.os_realtime_max_sessions, "OS_REALTIME_MAX_SESSIONS")
    app.state.realtime_secrets = Secrets()
    app.state.orders = Orders()
    app.state.jobs = jobs = Jobs(settings)
    app.state.scrape.elsewhere["jobs"] = jobs.figures
    errors.install(app)
    speaking = (speech.router, cloning.router, voices.router, consents.router, live_speech, realtime.router, realtime_keys.router)
    managing = (api_models.router, ollama.router, job_routes.router)
    app.include_router(health.router)
    app.include_router(scrape.router)
    for router in (models.router, *managing, transcriptions.router, live_transcription, *speaking, bazarr.lists):
        app.include_router(router)
    for prefix in ("", "/bazarr"):
        app.include_router(bazarr.router, prefix=prefix)
    app.router.routes.extend(web.routes(web.folder()))
    app.router.routes.append(Route("/{path:path}", _Unmatched(), include_in_schema=False))
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Wrap the app; what is added last is outermost. A preflight carries no key, so CORS is outside of the key check."""
    films = dict.fromkeys(bazarr.RAW_PATHS, settings.os_max_raw_upload_mb * MIB) | {JOBS_PATH: settings.os_batch_max_total_mb * MIB}
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, max_bytes=settings.os_max_upload_mb * MIB, other=films, wait_s=settings.os_body_timeout_s)
    if settings.os_rate_limit:
        allowances = Allowances(settings.os_rate_limit, settings.os_rate_limit_burst)
        app.add_middleware(RateLimit, allowances=allowances, proxies=settings.os_trust_proxy)
    if settings.keys:
        opens = app.state.realtime_secrets.opens
        lists, proxies = settings.os_public_lists, settings.os_trust_proxy
        also = ("/metrics",) if settings.os_public_metrics else ()
        app.add_middleware(ApiKey, keys=settings.keys, opens=opens, public_lists=lists, proxies=proxies, open_paths=also)
    app.add_middleware(OwnPages, origins=None if settings.keys else settings.page_origins, hosts=settings.host_names)
    if settings.page_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.page_origins, allow_methods=("*",), allow_headers=("*",), expose_headers=_EXPOSED
        )
    app.add_middleware(NoSniffing)
    app.add_middleware(Trace, meter=app.state.meter)


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
