"""The replicas of a backend on other machines: the addresses in the settings, and those behind the host names in them."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp.resolver import DefaultResolver

from open_speech.dispatch.frames import Call, SpeakCall
from open_speech.dispatch.link import Link
from open_speech.dispatch.replicas import Replicas
from open_speech.registry import Registry
from runners.catalog.placement import BY_NAME, Placement
from runners.host.remote_link import RemoteLink


class RemoteRunners:
    """The runners of a backend on other machines."""

    def __init__(self, placement: Placement, service: Any) -> None:
        """`service` is the BentoML service of the backend."""
        self._placement = placement
        self._service = service
        self._last: dict[str, list[str]] = {}
        """The URLs of the last successful look-up, by the address in the settings."""

    async def addresses(self) -> Collection[str]:
        """Return the URLs of all of them. For a name that cannot be looked up, those of its last look-up count.

        Raises OSError if there are none.
        """
        urls = self._placement.addresses
        failed: OSError | None = None
        for url, found in zip(urls, await asyncio.gather(*(addresses([url]) for url in urls), return_exceptions=True), strict=True):
            if isinstance(found, OSError):
                failed = found
            elif isinstance(found, BaseException):
                raise found
            else:
                self._last[url] = found
        known = list(dict.fromkeys(address for url in urls for address in self._last.get(url, ())))
        if failed is not None and not known:
            raise failed
        return known

    def connect(self, address: str) -> Link:
        """Return a link to the runner at a URL."""
        return RemoteLink(self._service, address, batching=self._placement.batching)

    async def close(self, link: Link) -> None:
        """Close a link that `connect` returned."""
        await cast("RemoteLink", link).close()


def replicas_of(placement: Placement, service: Any, registry: Registry, *, refresh_s: float) -> Replicas:
    """Return the replicas of a backend; `service` is its BentoML service. Nothing is connected or looked up yet."""

    def weights(call: Call) -> str:
        return registry.part(call.model, call.unpack()[1] if isinstance(call, SpeakCall) else None)

    return Replicas(placement.backend.name, RemoteRunners(placement, service), refresh_s=refresh_s, weights=weights)


async def addresses(urls: Collection[str]) -> list[str]:
    """Return the URL of every replica: the given ones, and in place of a `dns+http://name:port` one for each address of the name.

    Raises OSError if a name cannot be looked up.
    """
    found = await asyncio.gather(*(_behind(url.removeprefix(BY_NAME)) if url.startswith(BY_NAME) else _itself(url) for url in urls))
    return list(dict.fromkeys(address for several in found for address in several))


async def _itself(url: str) -> list[str]:
    return [url]


async def _behind(url: str) -> list[str]:
    parts = urlsplit(url)
    resolver = DefaultResolver()
    try:
        hosts = await resolver.resolve(parts.hostname or "", parts.port or 0, family=socket.AF_UNSPEC)
    finally:
        await resolver.close()
    known = {ipaddress.ip_address(host["host"].partition("%")[0]) for host in hosts}
    # A machine with addresses of both kinds is one replica.
    chosen = {ip for ip in known if ip.version == 4} or known  # noqa: PLR2004 - IPv4
    return [f"http://{f'[{ip}]' if ip.version == 6 else ip}:{parts.port}{parts.path}" for ip in sorted(chosen, key=str)]  # noqa: PLR2004
