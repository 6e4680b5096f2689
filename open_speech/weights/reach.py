"""Whether a host is reachable: checked within seconds and cached, so that 54 files do not cost 54 timeouts."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

DEADLINE_S = 5.0
MEMORY_S = 60.0
_ADDRESS_S = 2.0
"""Timeout for one of a host's addresses in seconds: a dead IPv6 route must leave time for IPv4."""
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class SourceFailed(Exception):
    """A source cannot deliver a file; the message gives the reason, for users. The next source is tried."""


class Reach:
    """Cache of the reachability of hosts. One per process; safe to call from several threads."""

    def __init__(self, deadline_s: float = DEADLINE_S, memory_s: float = MEMORY_S) -> None:
        self._deadline_s = deadline_s
        self._memory_s = memory_s
        self._known: dict[str, tuple[float, bool]] = {}

    def check(self, url: str) -> None:
        """Raise SourceFailed unless the host of `url`, or the proxy in front of it, accepts a connection within the deadline.

        The HTTP library's own connect timeout is not sufficient: it excludes the name lookup and restarts for every address.
        """
        host, port = _endpoint(url)
        key = f"{host}:{port}"
        at, answered = self._known.get(key, (-self._memory_s, False))
        if time.monotonic() - at >= self._memory_s:
            answered = self._connect(host, port)
            self._known[key] = (time.monotonic(), answered)
        if not answered:
            raise SourceFailed(f"{host} cannot be reached")

    def mark_unreachable(self, url: str) -> None:
        """Record that the host of `url` failed later."""
        host, port = _endpoint(url)
        self._known[f"{host}:{port}"] = (time.monotonic(), False)

    def _connect(self, host: str, port: int) -> bool:
        answered = threading.Event()
        ended = threading.Event()

        def connect() -> None:
            try:
                socket.create_connection((host, port), timeout=min(_ADDRESS_S, self._deadline_s)).close()
                answered.set()
            except OSError:
                pass
            ended.set()

        # A name lookup cannot be cancelled, so the thread ends by itself.
        threading.Thread(target=connect, name=f"dial {host}", daemon=True).start()
        ended.wait(self._deadline_s)
        return answered.is_set()


def _endpoint(url: str) -> tuple[str, int]:
    """Return the host and port that a request for `url` connects to: its own, or those of the environment's proxy."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
