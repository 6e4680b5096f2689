"""`python -m benchmarks fuzz --minutes N`: hostile input at every door, for a bounded time, and what became of the server.

Every attack is a function of a server and of random numbers, so its name and its seed are all that is needed to see it again.
`tests/fuzz/seeds.toml` keeps those that found something.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.fuzz import growth, http, media, sockets, wyoming
from benchmarks.fuzz.attack import Attack

ATTACKS: Mapping[str, Attack] = {**media.ATTACKS, **http.ATTACKS, **sockets.ATTACKS, **wyoming.ATTACKS, **growth.ATTACKS}
"""Every attack by its name, which begins with its kind."""
