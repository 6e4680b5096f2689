"""ICE: the addresses and ports of a call, and its STUN and TURN servers. It replaces aioice's own gathering of addresses.

aioice leaves out the loopback, cannot be limited to a range of ports, and aiortc asks a public STUN server unless it is given a list.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ifaddr
from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aiortc import RTCConfiguration, RTCIceServer

from open_speech.config.webrtc import IceServer
from open_speech.errors import Overloaded

log = logging.getLogger("open_speech.webrtc")

MAX_ADDRESSES = 8
"""Maximum addresses of this machine that a call uses, the loopback last. A machine with many containers has dozens."""
BUFFER_BYTES = 1 << 20
"""Receive buffer of a socket: the packets of several seconds, while the event loop is busy."""

Gather = Callable[..., Awaitable[list[Candidate]]]


@dataclass(frozen=True, slots=True)
class Network:
    """The network of all calls of a server."""

    ports: range | None = None
    """UDP ports; None: any."""
    addresses: tuple[str, ...] = ()
    """Addresses in answers, in place of the server's own."""
    servers: tuple[IceServer, ...] = ()

    def configuration(self) -> RTCConfiguration:
        """Return the configuration for aiortc. Its list of servers is never None, for which aiortc would use a public server."""
        servers = [
            RTCIceServer(list(server.urls), username=server.username or None, credential=server.credential or None)
            for server in self.servers
        ]
        return RTCConfiguration(iceServers=servers)


def gather_with(network: Network, connection: Any) -> None:
    """Let an aioice connection, which has not gathered candidates yet, use the addresses and ports of `network`."""
    connection.get_component_candidates = partial(_gather, network, connection, connection.get_component_candidates)


def host_addresses() -> list[str]:
    """Return the addresses of this machine: those of its networks, then the loopback. Link-local IPv6 addresses are left out."""
    found = [
        ipaddress.ip_address(str(entry.ip) if entry.is_IPv4 else entry.ip[0])
        for adapter in ifaddr.get_adapters()
        for entry in adapter.ips
        if entry.is_IPv4 or entry.ip[2] == 0
    ]
    usable = [address for address in dict.fromkeys(found) if not (address.version == 6 and address.is_link_local)]
    others = [str(address) for address in usable if not address.is_loopback]
    return [*others[: MAX_ADDRESSES - 2], *(str(address) for address in usable if str(address) in ("127.0.0.1", "::1"))]


async def _gather(
    network: Network, connection: Any, others: Gather, component: int, addresses: Sequence[str], timeout: int = 5
) -> list[Candidate]:
    """Bind a socket for each address; return the candidates. Raises Overloaded if no port of the range is free."""
    addresses = await asyncio.to_thread(host_addresses)
    protocols: list[StunProtocol] = []
    tried = 0
    for number, address in enumerate(addresses):
        if network.addresses and ipaddress.ip_address(address).is_loopback:
            continue
        tried += 1
        protocol = await _bind(connection, address, network.ports)
        if protocol is None:
            continue
        protocol.local_candidate = _host_candidate(protocol, component, 65_535 - number)
        protocols.append(protocol)
    connection._protocols += protocols  # aioice closes them with the connection
    if tried and not protocols and network.ports is not None:
        raise Overloaded("All UDP ports of OS_WEBRTC_PORTS are in use.", retry_after_s=5)
    candidates = [protocol.local_candidate for protocol in protocols]
    if connection.stun_server:
        candidates += await _reflexive(protocols, connection.stun_server, timeout)
    # Without addresses, aioice only asks the TURN server.
    return candidates + await others(component=component, addresses=[], timeout=timeout)


async def _bind(connection: Any, address: str, ports: range | None) -> StunProtocol | None:
    """Bind a socket to a free port of an address; None if there is none, or if the address cannot be used."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in [0] if ports is None else random.sample(ports, len(ports)):
        # uvloop leaves its transport open if it cannot bind, so the socket is bound here.
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            bound.bind((address, port))
            _, protocol = await loop.create_datagram_endpoint(lambda: StunProtocol(connection), sock=bound)
        except OSError as error:
            bound.close()
            log.debug("no socket at %s port %s: %s", address, port, error)
            continue
        return protocol
    return None


def _host_candidate(protocol: StunProtocol, component: int, preference: int) -> Candidate:
    address, port = protocol.transport.get_extra_info("sockname")[:2]
    return Candidate(
        foundation=candidate_foundation("host", "udp", address),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", preference),
        host=address,
        port=port,
        type="host",
    )


async def _reflexive(protocols: Sequence[StunProtocol], server: tuple[str, int], timeout: float) -> list[Candidate]:
    """Ask the STUN server for the public address of each IPv4 socket; those that get no answer in time are left out."""
    asked = [
        asyncio.create_task(server_reflexive_candidate(protocol, server))
        for protocol in protocols
        if (own := ipaddress.ip_address(protocol.local_candidate.host)).version == 4 and not own.is_loopback
    ]
    if not asked:
        return []
    done, late = await asyncio.wait(asked, timeout=timeout)
    for task in late:
        task.cancel()
    return [task.result()[0] for task in done if task.exception() is None]
