"""A warning, logged once, if `OS_TRUST_PROXY` does not match the requests: many clients then count as one, or can claim any address."""

from __future__ import annotations

import logging

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("open_speech.http")

WITHOUT = 10
"""Consecutive requests from one address without `X-Forwarded-For` after which trusting proxies is reported as a mistake."""
CLIENTS = 3
"""Different `X-Forwarded-For` values from one address after which that address is reported as an untrusted proxy."""
ADDRESSES = 64
"""Maximum number of addresses that are observed."""
PROBES = frozenset({"/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/metrics"})
"""Paths that monitoring requests without the proxy."""


class ProxyWatch:
    """ASGI middleware that compares the header with the setting and does not change requests."""

    def __init__(self, app: ASGIApp, *, proxies: int) -> None:
        """`proxies` is the value of OS_TRUST_PROXY."""
        self._app = app
        self._proxies = proxies
        self._without: dict[str, int] = {}
        self._clients: dict[str, set[str]] = {}
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Inspect the headers of a request and pass it on."""
        if not self._has_warned and scope["type"] in ("http", "websocket") and scope["path"] not in PROBES:
            self._inspect(str((scope.get("client") or ("",))[0]), Headers(scope=scope).get("x-forwarded-for"))
        await self._app(scope, receive, send)

    def _inspect(self, address: str, forwarded: str | None) -> None:
        if self._proxies:
            if forwarded is not None:
                self._without.pop(address, None)
            elif address in self._without or len(self._without) < ADDRESSES:
                self._without[address] = self._without.get(address, 0) + 1
                if self._without[address] >= WITHOUT:
                    self._warn(
                        "OS_TRUST_PROXY is %d, but requests from %s have no X-Forwarded-For: all clients behind that address count as one. "
                        "Have the proxy send the header, or set OS_TRUST_PROXY=0 if there is no proxy.",
                        self._proxies, address or "the Unix socket",
                    )  # fmt: skip
        elif forwarded is not None and (address in self._clients or len(self._clients) < ADDRESSES):
            clients = self._clients.setdefault(address, set())
            clients.add(forwarded[:100])
            if len(clients) >= CLIENTS:
                self._warn(
                    "Requests from %s have an X-Forwarded-For of several clients, but OS_TRUST_PROXY is 0: all callers behind that address "
                    "count as one, for wrong keys and for limits. Set %s if a proxy of yours is there.",
                    address or "the Unix socket", "OS_TRUST_PROXY=1" if address else "OS_TRUSTED_PROXIES=unix",
                )  # fmt: skip

    def _warn(self, text: str, *values: object) -> None:
        self._has_warned = True
        log.warning(text, *values)
