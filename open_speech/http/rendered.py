"""Response bodies that are rendered once: lists that change rarely, and that clients request often."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from starlette.responses import Response

MOST = 16
"""Maximum number of bodies; that which was not requested for the longest time is dropped first."""


class Rendered:
    """JSON bodies by everything that they depend on. For one event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._bodies: OrderedDict[Hashable, bytes] = OrderedDict()

    async def json(self, key: Hashable, render: Callable[[], bytes]) -> Response:
        """Return a response with the body for `key`, which `render` makes in a thread if there is none. Raises what `render` does."""
        body = self._bodies.get(key)
        if body is None:
            body = await asyncio.to_thread(render)
            self._bodies[key] = body
            while len(self._bodies) > self._most:
                self._bodies.popitem(last=False)
        self._bodies.move_to_end(key)
        return Response(body, media_type="application/json")
