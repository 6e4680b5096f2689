from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from open_speech.api.wyoming.announcing import SERVICE, announced
from tests.waiting import PATIENCE_S


def has_multicast() -> bool:
    """Whether this machine hears its own multicast on the loopback interface."""
    group, port = "224.0.0.251", 0
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            ear.bind(("", port))
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
            ear.settimeout(1)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            mouth.sendto(b"here", (group, ear.getsockname()[1]))
            return ear.recv(16) == b"here"
    except OSError:
        return False


@pytest.mark.skipif(not has_multicast(), reason="this machine has no multicast on its loopback interface")
def test_a_server_is_found_by_its_name_and_gone_when_it_ends() -> None:
    async def scene() -> None:
        seen: asyncio.Queue[tuple[ServiceStateChange, str]] = asyncio.Queue()

        def told(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
            seen.put_nowait((state_change, name))

        async with AsyncZeroconf(interfaces=["127.0.0.1"]) as zeroconf, asyncio.timeout(PATIENCE_S):
            browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[told])
            async with announced("kitchen", "127.0.0.1", 10_400):
                assert await seen.get() == (ServiceStateChange.Added, f"kitchen.{SERVICE}")
                service = AsyncServiceInfo(SERVICE, f"kitchen.{SERVICE}")
                assert await service.async_request(zeroconf.zeroconf, 30_000)
                assert (service.port, service.parsed_addresses()) == (10_400, ["127.0.0.1"])
            while (await seen.get())[0] is not ServiceStateChange.Removed:
                pass
            await browser.async_cancel()

    asyncio.run(scene())


def test_an_address_that_cannot_be_announced_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with announced("kitchen", "192.0.2.1", 10_400):
            pass

    with caplog.at_level(logging.WARNING, "open_speech.wyoming"):
        asyncio.run(scene())
    assert "not announced" in caplog.text
