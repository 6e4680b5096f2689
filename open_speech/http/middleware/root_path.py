"""Support for a path prefix of a reverse proxy: `https://example.org/speech/v1/…` with `OS_ROOT_PATH=/speech`."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RootPath:
    """ASGI middleware that removes the prefix from the path of a request, unless the proxy has already removed it.

    The rest of the application sees the same paths with and without a prefix. `Location` headers get the prefix back.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        """`prefix` begins with a slash and does not end with one."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path, raw = scope["path"], scope.get("raw_path") or b""
        if path == self._prefix or path.startswith(self._prefix + "/"):
            scope = {**scope, "path": path.removeprefix(self._prefix) or "/", "raw_path": raw.removeprefix(self._prefix.encode()) or b"/"}
        # A relative redirect from `/speech` without a slash would lead outside the prefix.
        bare = path == self._prefix

        async def send_prefixed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                location = headers.get("location", "")
                if location.startswith("/") and not location.startswith("//"):
                    headers["location"] = self._prefix + location
                elif bare and location and "://" not in location:
                    headers["location"] = f"{self._prefix}/{location}"
            await send(message)

        await self._app(scope, receive, send_prefixed)
