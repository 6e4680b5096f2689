"""Which failed calls are repeated, and after which delay. Pure, except for the random part of a delay."""

from __future__ import annotations

import random
from dataclasses import dataclass

from open_speech.client.errors import APIError, ConnectionFailed, OpenSpeechError

REPEATED = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is repeated that may be repeated, and how long the client waits before it."""

    attempts: int = 3
    """Maximum number of attempts, the first included; 1 disables repetition."""
    first_s: float = 0.5
    """Delay in seconds before the second attempt; each further delay is twice as long."""
    longest_s: float = 20.0
    """Maximum delay in seconds. If the server's `Retry-After` is longer, the error is raised at once."""

    def delay_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Return the delay in seconds after so many failures: at least that of the server, with up to a quarter added at random."""
        backoff = min(self.longest_s, self.first_s * 2.0 ** (failures - 1))
        return max(backoff, retry_after_s or 0.0) * random.uniform(1.0, 1.25)  # spreads clients; not a secret


class Attempts:
    """The attempts of one call."""

    def __init__(self, retry: Retry, *, repeatable: bool) -> None:
        """`repeatable`: the call has the same effect when it is sent twice."""
        self._retry = retry
        self._repeatable = repeatable
        self._failures = 0

    def succeeded(self) -> None:
        """Count anew: the call made progress, as a stream does that delivered an event."""
        self._failures = 0

    def delay_after(self, error: OpenSpeechError) -> float:
        """Return the delay in seconds before the next attempt. Raises the error if there is none."""
        self._failures += 1
        retry_after = error.retry_after_s if isinstance(error, APIError) else None
        if not self._repeatable or not is_temporary(error) or self._failures >= self._retry.attempts:
            raise error
        if retry_after is not None and retry_after > self._retry.longest_s:
            raise error
        return self._retry.delay_s(self._failures, retry_after)


def is_temporary(error: OpenSpeechError) -> bool:
    """Return whether the same request may succeed later."""
    return error.status in REPEATED if isinstance(error, APIError) else isinstance(error, ConnectionFailed)
