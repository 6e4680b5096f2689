"""Selection of where shared state is stored: in Redis or Valkey if one is configured, else in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from open_speech.shared_state.allowances import Allowances, LocalAllowances, Rate

if TYPE_CHECKING:
    from open_speech.shared_state.store import SharedStore


class SharedState:
    """The state that one server shares with others, or keeps in memory if it is alone."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """`url` is that of Redis or Valkey, empty for memory; `timeout_s` is the maximum duration of a call to it in seconds."""
        self._store: SharedStore | None = None
        if url:
            from open_speech.shared_state.store import SharedStore  # noqa: PLC0415 - redis is an extra

            self._store = SharedStore(url, timeout_s=timeout_s)

    def allowances(self, rate: Rate) -> Allowances:
        """Return the buckets of all callers for a rate."""
        if self._store is None:
            return LocalAllowances(rate)
        from open_speech.shared_state.shared_allowances import SharedAllowances  # noqa: PLC0415 - redis is an extra

        return SharedAllowances(rate, self._store)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._store is not None:
            await self._store.aclose()
