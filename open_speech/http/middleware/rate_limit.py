"""Rate limit per caller: a number of requests per minute, and a burst."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import RateLimited
from open_speech.http.caller import NO_PROXIES, Proxies, caller_of, turn_away
from open_speech.http.middleware.auth import is_open

CALLERS = 10_000
"""Maximum number of callers in memory; the one that has been idle for the longest time is removed first."""
TRY_LATER = 1013
"""Close code of a WebSocket that may be opened later."""


@dataclass(frozen=True, slots=True)
class Share:
    """The remaining allowance of a caller after a request."""

    limit: int
    """Requests per minute."""
    remaining: int
    """Requests that would be accepted immediately."""
    full_s: float
    """Seconds until the allowance is full again."""
    wait_s: float
    """Seconds until a request would be accepted; 0 if this one was."""


class Allowances:
    """A bucket of requests for each caller that is refilled steadily (generic cell rate algorithm). Pure; the clock is passed in.

    One number is stored for each caller: the time at which its bucket will be full.
    """

    def __init__(self, per_minute: int, at_once: int = 0, *, callers: int = CALLERS, clock: Callable[[], float] = time.monotonic) -> None:
        """`at_once` is the size of a bucket in requests; 0 means `per_minute`. `clock` returns seconds."""
        self._limit = per_minute
        self._every_s = 60.0 / per_minute
        self._room_s = (at_once or per_minute) * self._every_s
        self._callers = callers
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str) -> Share:
        """Take a request from the bucket of a caller, unless it is empty."""
        now = self._clock()
        used_s = max(0.0, self._full_at.get(caller, now) - now)
        wait_s = used_s + self._every_s - self._room_s
        if wait_s > 1e-9:
            return Share(self._limit, 0, used_s, wait_s)
        used_s += self._every_s
        self._full_at[caller] = now + used_s
        self._full_at.move_to_end(caller)
        if len(self._full_at) > self._callers:
            self._full_at.popitem(last=False)
        return Share(self._limit, int((self._room_s - used_s) / self._every_s + 1e-9), used_s, 0.0)


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
        """Pass the request on, or return 429 before its body is read."""
        if scope["type"] not in ("http", "websocket") or is_open(scope.get("method", ""), scope["path"], lists=True):
            await self._app(scope, receive, send)
            return
        share = self._allowances.take(caller_of(scope, self._proxies))
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
