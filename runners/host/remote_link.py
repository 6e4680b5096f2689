"""A `Link` to a runner at a URL that becomes known while the server runs: BentoML's client, without a dependency of the front service."""

from __future__ import annotations

import functools
from typing import Any

import aiohttp
from _bentoml_impl.client.proxy2 import AsyncClient  # noqa: TID251 - what a dependency is under the hood

from open_speech.config.types import Batching
from runners.host.bentoml_patches import RUNNER_CONNECTION
from runners.host.service_link import ServiceLink

CONNECT_S = 5.0
"""Longest time to connect, in seconds. The address of a machine that is gone does not refuse connections: it does not respond at all."""


class RemoteLink(ServiceLink):
    """A runner of a BentoML service at a URL."""

    def __init__(self, service: Any, url: str, *, batching: Batching = "fair") -> None:
        """`service` is the BentoML service that runs there; `batching` is what forms batches of calls. Connects at the first call."""
        # A dependency takes the settings of the connection from the graph of services, which a replica is not in.
        connection: dict[str, Any] = {**RUNNER_CONNECTION, "server_ready_timeout": 0, "media_type": "application/json"}
        self._remote = AsyncClient(url, service=service, **connection)
        # Without a limit on the whole answer, as in bentoml_service.py: our deadlines are from frame to frame.
        self._remote._session_manager._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        super().__init__(_Dependency(self._remote), batching=batching)

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._remote.close()


class _Dependency:
    """The methods of BentoML's client by the names of the APIs, as a dependency has them."""

    def __init__(self, client: AsyncClient) -> None:
        self.to_async = self
        self._client = client

    def __getattr__(self, api: str) -> Any:
        return functools.partial(self._client.call, api)
