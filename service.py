"""The composition root: settings -> runners -> engine -> app, as one BentoML service. `bentoml serve service:OpenSpeech` runs it.

Every process of the server imports this module, but each needs another part of it: the supervisor the names of the services, a runner its
own backend, the front everything. What only one of them needs is imported by `runners/wiring` when that process starts to serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bentoml

from open_speech import config
from open_speech.sandbox import hide_memory
from runners.catalog.placement import plan
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, prepare_log, share_log
from runners.host.environment import FRONT as FRONT_SERVICE
from runners.host.environment import WYOMING
from runners.host.memory import return_large_blocks
from runners.host.own_service import own_service
from runners.host.parent_watch import end_with_parent
from runners.wiring import supervisor_parts
from runners.wiring import wyoming_gateway as wyoming
from runners.wiring.bento_front import FrontService, settings_errors
from runners.wiring.resources import FRONT
from runners.wiring.services import dependencies

if TYPE_CHECKING:
    from open_speech.engine import Engine

own = own_service()
with settings_errors():
    settings = config.load()
    if not settings.os_dumpable:  # every process of the server imports this, the supervisor and the runners, too
        hide_memory()
    placements = plan(settings)
    if not own:
        # Only checked here: an invalid file must stop the start. In the worker it would stop one worker after the other.
        supervisor_parts.check_presets(settings)
        supervisor_parts.check_shared_state(settings)
        debugger.check(settings)
        wyoming.check(settings)
    # A runner needs no other runner's module.
    near = [p for p in placements if own in ("", FRONT_SERVICE, WYOMING, p.backend.service)]
    runners = dependencies(near)
    needed = {**runners, **wyoming.dependency(settings, runners)}
    address = supervisor_parts.listening(settings)
prepare_log(settings)


class Front:
    """The front process, which serves the APIs. It imports no model library."""

    engine: Engine | None = None

    def __init__(self) -> None:
        return_large_blocks()
        share_log(settings)
        end_with_parent()
        seal()
        debugger.listen(debugger.FRONT, settings)

    async def __is_ready__(self) -> bool:
        """Return whether each served task has a runner that responds. A dead runner never makes this hang."""
        return self.engine is not None and await self.engine.pool.is_ready()


OpenSpeech = bentoml.service(
    service_class=FrontService,
    name=FRONT_SERVICE,
    workers=1,
    resources=FRONT.declared(),
    **address,
    runner_connection=RUNNER_CONNECTION,
    runner_probe={"enabled": False},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)(type("OpenSpeech", (Front,), {"__module__": __name__, "__doc__": Front.__doc__, **needed}))
OpenSpeech.serves(settings, placements)
