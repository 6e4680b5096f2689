"""The HTTP application: routers, error handling and middleware. A server or a test needs only `create_app`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from open_speech import __version__
from open_speech.api import gemmavoice, health, livekit, metrics, whisper_asr
from open_speech.api.dialogue import router as dialogue
from open_speech.api.jobs import routes as job_routes
from open_speech.api.jobs.bodies import PATH as JOBS_PATH
from open_speech.api.jobs.service import Jobs
from open_speech.api.live import calls as live_calls
from open_speech.api.live import websocket as live
from open_speech.api.live.open_sessions import LiveSessions
from open_speech.api.live_speech import router as live_speech
from open_speech.api.live_transcription import router as live_transcription
from open_speech.api.management import api_models, ollama
from open_speech.api.management.operations import MOST as MAX_OPERATIONS
from open_speech.api.management.operations import Operations
from open_speech.api.metrics import Scrape
from open_speech.api.openai import azure, chat, cloning, consents, models, speech, transcriptions, voices
from open_speech.api.realtime import calls as realtime_calls
from open_speech.api.realtime import rest as realtime_keys
from open_speech.api.realtime import websocket as realtime
from open_speech.api.realtime.secrets import Secrets
from open_speech.api.translations import keys as translation_keys
from open_speech.api.translations import router as translations
from open_speech.concurrency.slots import Slots
from open_speech.config import Settings
from open_speech.config.server import UNIX_PEERS
from open_speech.dialogue.sessions import Sessions
from open_speech.engine import Engine
from open_speech.http import errors, scalar_page, static_pages
from open_speech.http.caller import Proxies
from open_speech.http.json_bounds import bounds_by_path
from open_speech.http.middleware.access_log import Trace
from open_speech.http.middleware.auth import ApiKey
from open_speech.http.middleware.body_limit import BodyLimit
from open_speech.http.middleware.error_formats import ErrorFormats
from open_speech.http.middleware.head_requests import HeadRequests
from open_speech.http.middleware.nosniff import NoSniff
from open_speech.http.middleware.origins import OriginCheck
from open_speech.http.middleware.rate_limit import RateLimit
from open_speech.http.middleware.root_path import RootPath
from open_speech.http.proxy_watch import ProxyWatch
from open_speech.http.rendered import Rendered
from open_speech.metrics.meter import Meter
from open_speech.security.signing import SigningKeys
from open_speech.shared_state.allowances import Rate
from open_speech.shared_state.opening import SharedState
from open_speech.webrtc.calls import Calls

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
MIB = 1 << 20
FOLLOWERS = 64
"""Maximum number of clients that receive the state of models as events at the same time."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED = (
    "x-request-id", "openai-processing-ms", "openai-version", "retry-after", "warning", "x-cache", "x-open-speech-model",
    "x-audio-format", "x-sample-rate", "x-reference-id", "location",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
)  # fmt: skip


def create_app(settings: Settings, engine: Engine | None = None, lifespan: Lifespan | None = None) -> FastAPI:
    """Build the application. Without an engine, `lifespan` sets `app.state.engine`; until then every route returns 503."""
    app = FastAPI(
        title="Open Speech",
        version=__version__,
        summary="Self-hosted speech server: transcription and speech synthesis.",
        docs_url=None,  # http/static_pages.py serves its own page: FastAPI's page loads scripts from a CDN
        redoc_url=None,
        lifespan=_whole(lifespan),
        servers=[{"url": settings.os_root_path}] if settings.os_root_path else None,
    )
    meter = Meter() if engine is None else engine.meter
    app.state.meter, app.state.scrape = meter, Scrape(meter)
    app.state.settings = settings
    app.state.engine = engine
    app.state.created = int(time.time())
    streams, sessions, each = settings.os_stream_max_connections, settings.os_realtime_max_sessions, settings.per_key
    app.state.slots = Slots(streams, each=each(streams))
    app.state.realtime_slots = Slots(sessions, "OS_REALTIME_MAX_SESSIONS", each=each(sessions), kind="Realtime sessions")
    app.state.live_sessions = LiveSessions()
    app.state.realtime_secrets = Secrets(SigningKeys.read(settings.os_signing_keys), settings.keys)
    app.state.shared_state = SharedState(settings.os_redis_url, timeout_s=settings.os_redis_timeout_s)
    app.state.calls = calls = Calls(settings)
    app.state.operations = Operations(each=each(MAX_OPERATIONS))
    app.state.followers = Slots(FOLLOWERS, "", each=each(FOLLOWERS), kind="streams of a model's state")
    app.state.json_bounds = bounds_by_path(settings)
    app.state.rendered = Rendered()
    app.state.jobs = jobs = Jobs(settings)
    app.state.dialogues = Sessions.of(settings)
    app.state.scrape.sources["jobs"] = jobs.metrics
    app.state.scrape.sources["calls"] = calls.metrics
    errors.install(app)
    livekit.prepare(settings)
    speech_apis = (speech.router, cloning.router, voices.router, consents.router, live_speech, realtime.router, realtime_keys.router)
    call_apis = (realtime_calls.router, live_calls.router)
    translation_apis = (translations, translation_keys)
    model_apis = (chat.router, api_models.router, ollama.router, job_routes.router, livekit.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    for router in (
        models.router,
        *model_apis,
        transcriptions.router,
        live_transcription,
        live.router,
        *speech_apis,
        *call_apis,
        *translation_apis,
        dialogue,
        azure.router,
        gemmavoice.router,
        whisper_asr.lists,
    ):
        app.include_router(router)
    for prefix in ("", "/bazarr"):
        app.include_router(whisper_asr.router, prefix=prefix)
    web = static_pages.folder()
    app.router.routes.extend([*static_pages.routes(web), *scalar_page.routes(web)])
    app.router.routes.append(Route("/{path:path}", _Unmatched(), include_in_schema=False))
    _add_middleware(app, settings)
    return app


def _whole(lifespan: Lifespan | None) -> Lifespan:
    """Return a lifespan that ends the calls over WebRTC first, which are in no request and need the engine, and shared state last."""

    @asynccontextmanager
    async def whole(app: FastAPI) -> AsyncIterator[None]:
        calls: Calls = app.state.calls
        shared: SharedState = app.state.shared_state
        async with aclosing(shared), lifespan(app) if lifespan is not None else nullcontext(), calls.serving():
            yield

    return whole


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware; the last one added is the outermost. A preflight carries no key, so CORS is outside of the key check."""
    other = dict.fromkeys(whisper_asr.RAW_PATHS, settings.os_max_raw_upload_mb * MIB) | {JOBS_PATH: settings.os_batch_max_total_mb * MIB}
    app.add_middleware(HeadRequests)
    json_bytes = {path: bounds.body_bytes for path, bounds in app.state.json_bounds.items()}
    app.add_middleware(
        BodyLimit, max_bytes=settings.os_max_upload_mb * MIB, other=other, json_bytes=json_bytes, wait_s=settings.os_body_timeout_s
    )
    proxies = Proxies(settings.os_trust_proxy, settings.trusted_proxies, unix=settings.trusts_unix_peers)
    if settings.os_rate_limit:
        rate = Rate.of(settings.os_rate_limit, settings.os_rate_limit_burst)
        app.add_middleware(RateLimit, allowances=app.state.shared_state.allowances(rate), proxies=proxies)
    if settings.keys:
        opens = app.state.realtime_secrets.opens
        lists = settings.os_public_lists
        named_origins = [origin for origin in (*settings.os_cors_origins, *settings.os_ws_allowed_origins) if origin != "*"]
        open_paths = ("/metrics",) if settings.os_public_metrics else ()
        app.add_middleware(
            ApiKey,
            keys=settings.keys,
            opens=opens,
            public_lists=lists,
            proxies=proxies,
            open_paths=open_paths,
            origins=named_origins,
            local_only=settings.os_local_only_keys,
            key_header=settings.os_api_key_header,
            signed_in=Proxies(trusted=settings.auth_proxies, unix=UNIX_PEERS in settings.os_auth_proxies),
        )
    if settings.keys or settings.os_rate_limit:
        app.add_middleware(ProxyWatch, proxies=settings.os_trust_proxy or int(bool(proxies)))
    app.add_middleware(OriginCheck, origins=None if settings.keys else settings.page_origins, hosts=settings.host_names)
    if settings.page_origins:
        exposed = (*_EXPOSED, settings.os_request_id_header.lower())
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.page_origins, allow_methods=("*",), allow_headers=("*",), expose_headers=exposed
        )
    app.add_middleware(NoSniff)
    app.add_middleware(Trace, meter=app.state.meter, id_header=settings.os_request_id_header)
    app.add_middleware(ErrorFormats, formats=gemmavoice.FORMATS)
    app.add_middleware(azure.AzurePaths)
    if settings.os_root_path:
        app.add_middleware(RootPath, prefix=settings.os_root_path)


class _Unmatched:
    """The last route, which accepts every path and method: BentoML passes an app only the requests that match one of its routes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        routes = [route for route in request.app.router.routes if getattr(route, "endpoint", None) is not self]
        allowed = [m for m in _METHODS if any(route.matches({**scope, "method": m})[0] is Match.FULL for route in routes)]
        if allowed:
            response = errors.error_response(errors.method_not_allowed(request), {"Allow": ", ".join(allowed)})
        else:
            response = errors.error_response(errors.unknown_path(request))
        await response(scope, receive, send)
