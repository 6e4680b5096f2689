"""The connection to Redis or Valkey. Every call has a deadline, and every failure is one error."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from open_speech.errors import SharedStateUnavailable

log = logging.getLogger("open_speech.shared_state")

CONNECTIONS = 32
"""Maximum open connections. Further calls wait for one, within their deadline."""
RETRY_S = 2.0
"""Seconds after which a client may try again when Redis cannot be reached."""
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
"""Schemes that the client does not know -> its own names for them."""


class SharedStore:
    """One Redis database. Nothing is connected before the first call. A call repeats a lost connection once, and so survives a restart."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """`timeout_s` is the maximum duration of a call in seconds, with the time to connect."""
        scheme, _, rest = url.partition("://")
        pool = BlockingConnectionPool.from_url(
            f"{_SCHEMES.get(scheme, scheme)}://{rest}",
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(pool)
        self._timeout_s = timeout_s
        self._is_down = False

    def script(self, text: str) -> Any:
        """Prepare a Lua script for `run`; it is sent to Redis when Redis does not know it."""
        return self._redis.register_script(text)

    async def run(self, script: Any, key: str, *arguments: int) -> Any:
        """Run a script with one key; return its result. Raises SharedStateUnavailable if Redis fails or takes too long."""
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await script(keys=[key], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._note(error)
            message = "The server that stores rate limits (OS_REDIS_URL) does not respond."
            raise SharedStateUnavailable(message, retry_after_s=RETRY_S) from error
        self._note(None)
        return result

    async def aclose(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    def _note(self, error: Exception | None) -> None:
        """Log the first failure after a success, and the first success after a failure."""
        if error is not None and not self._is_down:
            log.warning("OS_REDIS_URL: %s", str(error) or f"no response within {self._timeout_s:g} s")
        elif error is None and self._is_down:
            log.info("OS_REDIS_URL: the server responds again")
        self._is_down = error is not None
