"""A walk over every route of an ASGI application without a key and with keys that are not the server's; `python -m` walks BentoML's too."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any

from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp
from starlette.websockets import WebSocketDisconnect

from open_speech.api import gemmavoice

OPEN = (
    "/", "/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/docs", "/openapi.json", "/web", "/web/x", "/scalar", "/docs/scalar",
    "/docs/scalar/api-reference.js", *(f"/health/{part}" for part in ("llm", "stt", "tts", "ready", "live")),
)  # fmt: skip
"""All that answers without a key. A path that is added here is given to everybody."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
WITH_KEYS = ("GET", "POST", "DELETE")
"""Methods that are tried with keys as well: which method it is makes no difference to them."""
FOREIGN: Mapping[str, dict[str, str]] = {
    "no key": {},
    "a wrong key": {"Authorization": "Bearer wrong"},
    "a key of another server": {"X-API-Key": "sk-proj-0123456789abcdef"},
    "an ephemeral key that was never made": {"api-key": "ek_0123456789abcdef"},
}
"""What a client may come with that has no key of this server."""
GEMMAVOICE_WRONG_KEY = 403
"""What the paths of that API answer to a wrong key."""
_NO_METHOD = (404, 405)


def paths_of(app: Any, prefix: str = "") -> set[str]:
    """List the paths of an application and of all that is mounted in it, with `x` for what is named in them and below each mount."""
    if isinstance(app, FastAPI):
        routes = [(context.path or "", None) for context in iter_route_contexts(app.router.routes)]
    else:
        routes = [(getattr(route, "path", "") or "", getattr(route, "app", None)) for route in getattr(app, "routes", ())]
    found: set[str] = set()
    for path, mounted in routes:
        whole = prefix + re.sub(r"\{[^}]*\}", "x", path)
        below = paths_of(mounted, whole) if mounted is not None else set()
        # A folder of files has no list of its own: it takes whatever is below it.
        found |= below or {f"{whole}/x" if isinstance(mounted, StaticFiles) else whole}
    return {path for path in found if path}


def walk(
    app: ASGIApp, keys: Mapping[str, dict[str, str]] = FOREIGN, allowed: Collection[str] = OPEN, paths: Collection[str] = ()
) -> list[str]:
    """List what is answered that is not in `allowed`: every path by every method without a key, by some with `keys`, and as a WebSocket.

    `paths` are asked besides those that the application lists itself. The application's lifespan does not begin.
    """
    with start_blocking_portal() as portal:
        client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
        client.portal = portal  # one event loop for all requests, instead of a new one for each
        return [
            fault
            for path in sorted({*paths_of(app), *paths})
            for name, headers in keys.items()
            for fault in (*_requests(client, path, name, headers, allowed), *_socket(client, path, name, headers))
        ]


def _requests(client: TestClient, path: str, name: str, headers: dict[str, str], allowed: Collection[str]) -> Iterator[str]:
    for method in WITH_KEYS if headers else METHODS:
        status = client.request(method, path, headers=headers).status_code
        reads = method in ("GET", "HEAD", "OPTIONS", "TRACE", "BREW")
        if not _is_refused(status, path, headers) and not (path in allowed and (reads or status in _NO_METHOD)):
            yield f"{method} {path} with {name}: {status}"


def _socket(client: TestClient, path: str, name: str, headers: dict[str, str]) -> Iterator[str]:
    opened = False
    try:
        with client.websocket_connect(path, headers=headers):
            opened = True
    except WebSocketDenialResponse as denied:
        if not _is_refused(denied.status_code, path, headers) and denied.status_code not in _NO_METHOD:
            yield f"WebSocket {path} with {name}: {denied.status_code}"
    except (WebSocketDisconnect, CancelledError):
        pass  # closed before it was opened, as no route takes it; or left as soon as it was
    if opened:
        yield f"WebSocket {path} with {name}: opened"


def _is_refused(status: int, path: str, headers: dict[str, str]) -> bool:
    """Whether a status says that there is no key, or that it is wrong."""
    return status == 401 or (status == GEMMAVOICE_WRONG_KEY and bool(headers) and has_gemmavoice_errors(path))


def has_gemmavoice_errors(path: str) -> bool:
    """Whether the errors of a path have GemmaVoice's format."""
    return path in gemmavoice.FORMATS or any(name.endswith("/") and path.startswith(name) for name in gemmavoice.FORMATS)


def bento_app(service: Any, *, is_main: bool) -> Any:
    """Build the application that BentoML serves for a service, with its own routes and middleware."""
    from _bentoml_impl.server.app import ServiceAppFactory
    from bentoml._internal.container import BentoMLContainer

    service.inject_config()
    return ServiceAppFactory(service, is_main=is_main, services=BentoMLContainer.config.services.get())()


def main() -> None:
    """Walk the application of `service.py` as BentoML serves it, and list the routes of the services beside it, as JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import service

        ours = paths_of(service.OpenSpeech.mount_front())
        front = bento_app(service.OpenSpeech, is_main=True)
        beside = {one.on.name: sorted(paths_of(bento_app(one.on, is_main=False))) for one in service.OpenSpeech.dependencies.values()}
    json.dump({"faults": walk(front, paths=ours), "own": sorted(paths_of(front)), "ours": sorted(ours), "beside": beside}, sys.stdout)


if __name__ == "__main__":
    main()
