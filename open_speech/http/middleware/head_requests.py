"""HEAD on every route that takes GET: the same head, and no body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """ASGI middleware that asks the routes for GET where a client asks for HEAD, and lets the body go no further.

    Innermost: everybody else sees the method that the client sent. A stream, which would go on, ends with its head.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun = False

        async def head(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        async def rest() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()

        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, rest, head)
        finally:
            if "route" in asked:
                scope["route"] = asked["route"]  # who counts requests stands outside, and counts by route
