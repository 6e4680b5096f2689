"""Is a host there at all? Answered within seconds, and remembered, so that 54 files do not cost 54 time-outs."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

DEADLINE_S = 5.0
MEMORY_S = 60.0
_ADDRESS_S = 2.0
"""Seconds for one of a host's addresses: a dead IPv6 route must leave time for IPv4."""
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class SourceFailed(Exception):
    """A source cannot deliver; the message says why, in words for people. The next source is asked."""


class Reach:
    """Knows which hosts answered lately. One for the whole process; safe to call from several threads."""

    def __init__(self, deadline_s: float = DEADLINE_S, memory_s: float = MEMORY_S) -> None:
        self._deadline_s = deadline_s
        self._memory_s = memory_s
        self._known: dict[str, tuple[float, bool]] = {}

    def check(self, url: str) -> None:
        """Raise SourceFailed unless the host of `url`, or the proxy before it, takes a connection within the deadline.

        The HTTP library's own connect time-out is not enough: it leaves out the name lookup, and starts anew for every address.
        """
        host, port = _dialled(url)
        key = f"{host}:{port}"
        at, answered = self._known.get(key, (-self._memory_s, False))
        if time.monotonic() - at >= self._memory_s:
            answered = self._dial(host, port)
            self._known[key] = (time.monotonic(), answered)
        if not answered:
            raise SourceFailed(f"{host} cannot be reached")

    def lost(self, url: str) -> None:
        """Remember that the host of `url` failed after all."""
        host, port = _dialled(url)
        self._known[f"{host}:{port}"] = (time.monotonic(), False)

    def _dial(self, host: str, port: int) -> bool:
        answered = threading.Event()
        ended = threading.Event()

        def dial() -> None:
            try:
                socket.create_connection((host, port), timeout=min(_ADDRESS_S, self._deadline_s)).close()
                answered.set()
            except OSError:
                pass
            ended.set()

        # A name lookup cannot be cancelled: the thread is left to end by itself.
        threading.Thread(target=dial, name=f"dial {host}", daemon=True).start()
        ended.wait(self._deadline_s)
        return answered.is_set()


def _dialled(url: str) -> tuple[str, int]:
    """Name the host and port that a request for `url` connects to: its own, or the proxy's that the environment names."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
