"""HEAD for every GET route: the same headers without a body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """ASGI middleware that runs the GET route for a HEAD request and drops the body.

    It is innermost, so that all other middleware sees the method of the client. A stream ends after its headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_head(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        async def receive_until_head() -> Message:
            return {"type": "http.disconnect"} if started else await receive()

        get_scope = {**scope, "method": "GET"}
        try:
            await self._app(get_scope, receive_until_head, send_head)
        finally:
            if "route" in get_scope:
                scope["route"] = get_scope["route"]  # outer middleware counts requests by route
