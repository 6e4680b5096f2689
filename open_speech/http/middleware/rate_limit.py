"""Rate limit per caller: a number of requests per minute, and a burst."""

from __future__ import annotations

import math
from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import RateLimited, SharedStateUnavailable
from open_speech.http.caller import NO_PROXIES, Proxies, caller_of, turn_away
from open_speech.http.middleware.auth import is_open
from open_speech.shared_state.allowances import Allowances, Share

TRY_LATER = 1013
"""Close code of a WebSocket that may be opened later."""


class RateLimit:
    """ASGI middleware that limits the requests of each API key, or of each address without keys.

    A WebSocket counts once, when it is opened. Probes, the web page and the lists of models and voices are not limited.
    """

    def __init__(self, app: ASGIApp, *, allowances: Allowances, proxies: Proxies = NO_PROXIES) -> None:
        """`proxies` are the reverse proxies in front of the server; see `caller.address_of`."""
        self._app = app
        self._allowances = allowances
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or return 429 (503 if the allowances cannot be reached) before its body is read."""
        if scope["type"] not in ("http", "websocket") or is_open(scope.get("method", ""), scope["path"], lists=True):
            await self._app(scope, receive, send)
            return
        try:
            share = await self._allowances.take(caller_of(scope, self._proxies))
        except SharedStateUnavailable as unavailable:
            await turn_away(unavailable, scope, receive, send, code=TRY_LATER)
            return
        if share.wait_s:
            wait = duration(share.wait_s)
            error = RateLimited(f"Rate limit reached: {share.limit} requests per minute. Try again in {wait}.", retry_after_s=share.wait_s)
            await turn_away(error, scope, receive, send, headers=headers_of(share), code=TRY_LATER)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers_of(share))
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def headers_of(share: Share) -> dict[str, str]:
    """Return the headers for an allowance, in OpenAI's format."""
    return {
        "x-ratelimit-limit-requests": str(share.limit),
        "x-ratelimit-remaining-requests": str(share.remaining),
        "x-ratelimit-reset-requests": duration(share.full_s),
    }


def duration(seconds: float) -> str:
    """Format a duration as in OpenAI's headers: `120ms`, `1s`, `6m0s`, `1h0m0s`; rounded up, so that a retry is never too early."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000 - 1e-6)}ms"
    hours, rest = divmod(timedelta(seconds=math.ceil(seconds - 1e-6)), timedelta(hours=1))
    minutes, rest_s = divmod(rest.seconds, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest_s}s"
