"""Allowances of requests per caller that several servers share: the buckets are in Redis or Valkey, and a script there takes a request.

The script is one step for all servers, and reads the clock of Redis, so the clocks of the servers need not agree.
"""

from __future__ import annotations

from collections.abc import Callable

from open_speech.shared_state.allowances import SECOND, Rate, Share
from open_speech.shared_state.store import SharedStore

PREFIX = "open-speech:rate:"
"""Prefix of the names in Redis; the rest is the caller."""
_TAKE = """
local every, room, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local used = math.max(0, (tonumber(redis.call('GET', KEYS[1])) or now) - now)
local wait = used + every - room
if wait > 0 then
  return {used, wait}
end
used = used + every
redis.call('SET', KEYS[1], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000) + 60000)
return {used, 0}
"""
"""`LocalAllowances.take`; the result is the time until the bucket is full, and the time to wait. An entry expires a minute after that."""


class SharedAllowances:
    """The buckets of all servers that use one Redis database."""

    def __init__(self, rate: Rate, store: SharedStore, *, clock: Callable[[], float] | None = None) -> None:
        """`clock` returns seconds; without it, the clock of Redis is used."""
        self._rate = rate
        self._store = store
        self._clock = clock
        self._take = store.script(_TAKE)

    async def take(self, caller: str) -> Share:
        """Take a request from the bucket of a caller, unless it is empty. Raises SharedStateUnavailable."""
        now_us = -1 if self._clock is None else round(self._clock() * SECOND)
        used_us, wait_us = await self._store.run(self._take, PREFIX + caller, self._rate.every_us, self._rate.room_us, now_us)
        return self._rate.refused(used_us, wait_us) if wait_us else self._rate.accepted(used_us)
