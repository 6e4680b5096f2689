"""Formats of error responses for APIs whose clients do not read OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.http.errors import FORMAT, ErrorFormat


class ErrorFormats:
    """ASGI middleware that selects the format of error responses by path. It is outside of every part that may reject a request."""

    def __init__(self, app: ASGIApp, *, formats: Mapping[str, ErrorFormat]) -> None:
        """`formats` maps paths to a format, also all paths that begin with one that ends in `/`; other paths have that of OpenAI."""
        self._app = app
        self._formats = formats
        self._folders = [(path, error_format) for path, error_format in formats.items() if path.endswith("/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if (error_format := self._format(scope.get("path", ""))) is not None:
            scope[FORMAT] = error_format
        await self._app(scope, receive, send)

    def _format(self, path: str) -> ErrorFormat | None:
        return self._formats.get(path) or next((found for folder, found in self._folders if path.startswith(folder)), None)
