"""The BentoML service of the front: a Bento lists every service that a setting may ask for, and the settings decide which are started.

BentoML fixes the services of a Bento when it is built, and refuses to load one whose services depend on the environment. `bentoml build`
therefore gets all of them here, and `bentoml serve` only those that the settings choose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bentoml  # noqa: TID251 - the home of the front service
from bentoml.exceptions import BentoMLConfigException  # noqa: TID251

from open_speech.config import SettingsError
from runners import catalog
from runners.wiring import engine as topology
from runners.wiring import wyoming_service as wyoming
from runners.wiring.bento_variant import variant


class FrontService(bentoml.Service):  # type: ignore[misc]
    """The front as a BentoML service, with the dependencies that the settings choose."""

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
    services = [topology.service_of(entry) for entry in catalog.BACKENDS]
    return {service.name: service for service in (*services, wyoming.gateway({}))}


@contextmanager
def settings_errors() -> Iterator[None]:
    """Make BentoML's commands print an invalid setting as one line instead of a stack trace."""
    try:
        yield
    except SettingsError as error:
        raise BentoMLConfigException(str(error)) from error
