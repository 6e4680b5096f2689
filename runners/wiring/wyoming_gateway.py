"""The BentoML service of the Wyoming process, beside the front.

The service is a dependency of the front, so `bentoml serve` starts it, and restarts it when it ends. It shares the runners of the front.
Every process of the server imports this module, so it imports the Wyoming server itself only in the process that runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bentoml  # noqa: TID251 - the home of the Wyoming service

from open_speech import config
from open_speech.config import Settings
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, quiet, share_log
from runners.host.environment import WYOMING as NAME
from runners.host.memory import return_large_blocks
from runners.host.parent_watch import end_with_parent
from runners.wiring.resources import WYOMING

if TYPE_CHECKING:
    from open_speech.api.metrics import Elsewhere
    from runners.wiring.wyoming_service import Gateway


class GatewayService:
    """The service class of the Wyoming process. `__init__` must not raise: BentoML would restart the process endlessly."""

    def __init__(self) -> None:
        self._settings = config.load()
        return_large_blocks()
        share_log(self._settings)
        end_with_parent()
        seal()
        debugger.listen(debugger.WYOMING, self._settings)
        self._gateway: Gateway | None = None

    async def start(self) -> None:
        """Start to listen."""
        from runners.wiring.wyoming_service import Gateway  # noqa: PLC0415 - in this process alone

        self._gateway = Gateway(self, self._settings)
        self._gateway.start()

    async def stop(self) -> None:
        """Stop listening, after all accepted requests are finished."""
        if self._gateway is not None:
            await self._gateway.stop()

    async def __is_ready__(self) -> bool:
        """Return whether the server listens."""
        return self._gateway is not None and self._gateway.is_listening

    async def figures(self) -> list[dict[str, Any]]:
        """Return the metrics of this process."""
        return [] if self._gateway is None else self._gateway.figures()


def check(settings: Settings) -> None:
    """Check the settings of the Wyoming process, if there is one, before the server starts. Raises SettingsError."""
    if settings.os_wyoming_enabled:
        from runners.wiring import wyoming_settings  # noqa: PLC0415 - in the supervisor alone

        wyoming_settings.check(settings)


def dependency(settings: Settings, dependencies: dict[str, Any]) -> dict[str, Any]:
    """Return the front's dependency on the Wyoming service with its own `dependencies` on runners; empty if Wyoming is disabled."""
    return {"wyoming_door": bentoml.depends(gateway(dependencies))} if settings.os_wyoming_enabled else {}


def figures_of(front: Any) -> dict[str, Elsewhere]:
    """Return the call for the metrics of the Wyoming process beside a running front; empty if there is none."""
    return {"wyoming": front.wyoming_door.to_async.figures} if hasattr(front, "wyoming_door") else {}


def gateway(dependencies: dict[str, Any]) -> Any:
    """Make the BentoML service of the Wyoming process, with these dependencies on runners."""
    with quiet():
        hooks = {"start": bentoml.on_startup(GatewayService.start), "stop": bentoml.on_shutdown(GatewayService.stop)}
        hooks["figures"] = bentoml.api(GatewayService.figures)
        # BentoML finds a served class again by its module and name.
        shape = type("WyomingDoor", (GatewayService,), {**hooks, **dependencies, "__module__": __name__})
        return bentoml.service(
            name=NAME,
            workers=1,
            resources=WYOMING.declared(),
            runner_connection=RUNNER_CONNECTION,
            runner_probe={"enabled": False},
            logging={"access": {"enabled": False}},
            metrics={"enabled": False},
        )(shape)
