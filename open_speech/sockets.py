"""What every WebSocket door asks before it serves: may this page connect, in which subprotocol, and is there a seat left."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from open_speech.auth import BROWSER_PROTOCOL
from open_speech.errors import Overloaded


def is_welcome(headers: Headers, origins: Collection[str]) -> bool:
    """Tell whether a page of that origin may connect: browsers ask no server before they open a WebSocket, so the server must ask itself.

    What is no browser sends no origin, and the server's own pages are always welcome.
    """
    origin = headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    return urlsplit(origin).netloc == headers.get("host")


def chosen_subprotocol(headers: Headers) -> str | None:
    """Choose one of the subprotocols a browser offers, as it gives up when none is chosen: the first that is no key, if there is one."""
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip()]
    return next((name for name in offered if not name.startswith(BROWSER_PROTOCOL)), offered[0] if offered else None)


class Seats:
    """How many connections one server holds at once."""

    def __init__(self, count: int) -> None:
        self._free = count

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a seat for a while. Raises Overloaded when there is none."""
        if self._free <= 0:
            raise Overloaded("Too many connections are open; OS_STREAM_MAX_CONNECTIONS limits them.", retry_after_s=5)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
