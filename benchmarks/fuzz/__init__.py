"""`python -m benchmarks fuzz --minutes N`: hostile input at every API for a limited time, and checks of the server's reaction.

Every attack is a function of a server and of random numbers, so it can be reproduced with its name and its seed.
`tests/fuzz/seeds.toml` lists those that found a defect.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.fuzz import growth, http, media, sockets, wyoming
from benchmarks.fuzz.attack import Attack

ATTACKS: Mapping[str, Attack] = {**media.ATTACKS, **http.ATTACKS, **sockets.ATTACKS, **wyoming.ATTACKS, **growth.ATTACKS}
"""Name, which begins with the kind -> attack."""
