"""The BentoML service of the front: a Bento lists every service that a setting may ask for, and the settings decide which are started.

BentoML fixes the services of a Bento when it is built, and refuses to load one whose services depend on the environment. `bentoml build`
therefore gets all of them here, and `bentoml serve` only those that the settings choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bentoml  # noqa: TID251 - the home of the front service
from bentoml.exceptions import BentoMLConfigException  # noqa: TID251

from open_speech.config import Settings, SettingsError
from runners import catalog
from runners.catalog.placement import Placement
from runners.host.memory import collection_paused
from runners.wiring import wyoming_gateway as wyoming
from runners.wiring.bento_variant import variant
from runners.wiring.services import service_of


class FrontService(bentoml.Service):  # type: ignore[misc]
    """The front as a BentoML service, with the dependencies that the settings choose. Its application is built when it is served."""

    def serves(self, settings: Settings, placements: Sequence[Placement]) -> None:
        """Set what the application is built from."""
        self._settings, self._placements = settings, placements

    def mount_front(self) -> Any:
        """Build and mount the application of the front, and return it. Imports the APIs. A second call adds nothing."""
        if not self.mount_apps:
            with collection_paused():
                # Here and not above: every process of the server imports this module.
                from open_speech.api.health import AppFirst  # noqa: PLC0415
                from runners.wiring.front import front_app  # noqa: PLC0415

                app = front_app(self._settings, self._placements)
            self.mount_asgi_app(app, path="/")
            self.add_asgi_middleware(AppFirst, ours=app)
        return self.mount_apps[0][0]

    def to_asgi(self, is_main: bool = True) -> Any:
        """Return the ASGI application that BentoML serves, with ours in it."""
        self.mount_front()
        return super().to_asgi(is_main=is_main)

    def all_services(self, exclude_urls: bool = False) -> dict[str, Any]:
        """Map the name of each chosen service to the service; during `bentoml build`, each service of the catalog as well.

        With `exclude_urls`, these are the services that BentoML starts on this machine, so the others are never among them.
        """
        chosen: dict[str, Any] = super().all_services(exclude_urls=exclude_urls)
        is_being_built = variant() is not None and self.bento is None
        return chosen if exclude_urls or not is_being_built else {**offered(), **chosen}

    def on_load_bento(self, bento: Any) -> None:
        """Accept a Bento that lists other services than the settings choose, such as those of a plugin that is installed here.

        BentoML's own method looks up the models that the Bento lists for each service. Our services list none: weights are kept outside.
        """
        self.bento = bento
        for service in self.all_services().values():
            service.bento = bento


def offered() -> dict[str, Any]:
    """Map the name of every service that a setting may choose to the service: a runner for each backend of ours, and Wyoming."""
    services = [service_of(entry) for entry in catalog.BACKENDS]
    return {service.name: service for service in (*services, wyoming.gateway({}))}


@contextmanager
def settings_errors() -> Iterator[None]:
    """Make BentoML's commands print an invalid setting as one line instead of a stack trace."""
    try:
        yield
    except SettingsError as error:
        raise BentoMLConfigException(str(error)) from error
