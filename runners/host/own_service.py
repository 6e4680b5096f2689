"""What the supervisor tells each process of the server about itself, in its environment."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "OPEN_SPEECH_SERVICE"
ON_DEMAND = "OPEN_SPEECH_ON_DEMAND"
"""Environment variable: the path of the runner's own `awake` file; in a process that is not a runner, `1`."""
AWAKE_SUFFIX = ".awake"
"""Added to the path of a runner's socket for the file that exists as long as the runner has a process."""


def own_service() -> str:
    """Return the name of the BentoML service that this process serves; empty in the supervisor and in every other program."""
    return os.environ.get(VARIABLE, "")  # noqa: TID251 - not a setting: from the supervisor


def runners_start_on_demand() -> bool:
    """Return whether the supervisor of this process starts runners at their first use, and they may end when they are idle."""
    return bool(os.environ.get(ON_DEMAND))  # noqa: TID251 - as above


def fall_asleep() -> None:
    """Remove the `awake` file of this runner, which ends by itself: otherwise a health check that meets its end would start it again."""
    path = Path(os.environ.get(ON_DEMAND, ""))  # noqa: TID251 - as above
    if path.name.endswith(AWAKE_SUFFIX):
        path.unlink(missing_ok=True)
