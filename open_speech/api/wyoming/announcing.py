"""Announcement of a Wyoming server by mDNS, with which Home Assistant discovers it."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zeroconf import NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger("open_speech.wyoming")

SERVICE = "_wyoming._tcp.local."
_ANYWHERE = ("", "0.0.0.0", "::")
_MDNS = "224.0.0.251"


@asynccontextmanager
async def announced(name: str, host: str, port: int) -> AsyncIterator[None]:
    """Announce a server as long as the block lasts; without a name, its name is the MAC address of this machine.

    Errors are only logged: a server that is not discovered can still be configured by hand.
    """
    anywhere = host in _ANYWHERE
    zeroconf: AsyncZeroconf | None = None
    try:
        address = _own_address(None if anywhere else host)
        zeroconf = AsyncZeroconf() if anywhere else AsyncZeroconf(interfaces=[address])
        unique = name or f"{uuid.getnode():012x}"
        service = AsyncServiceInfo(SERVICE, f"{unique}.{SERVICE}", addresses=[socket.inet_aton(address)], port=port)
        await (await zeroconf.async_register_service(service))
        log.info("announced as %s at %s port %d", unique, address, port)
    except (OSError, NonUniqueNameException) as error:
        log.warning("the server is not announced: %s", error or type(error).__name__)
    try:
        yield
    finally:
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()


def _own_address(host: str | None) -> str:
    """Return the IPv4 address of `host`, or that of this machine in its network. Raises OSError if `host` is another machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if host is None:
            probe.connect((_MDNS, 1))  # nothing is sent
        else:
            probe.bind((host, 0))
        return str(probe.getsockname()[0])
