"""Received RTP packets in the order in which they were sent. Pure.

It takes the place of aiortc's jitter buffer, which waits for 16 packets (320 ms) at the first lost one, and keeps that delay for the rest
of the call. A recognizer needs no even flow of packets, only their order: while none is missing, each packet is passed on at once.
"""

from __future__ import annotations

from typing import Protocol

DEPTH = 5
"""Packets that may arrive after a missing one before it counts as lost: 100 ms at 20 ms each."""
RESET = 500
"""A jump by more packets than this is a new beginning of the stream: 10 s."""


class Packet(Protocol):
    """An RTP packet as aiortc parses it."""

    sequence_number: int
    timestamp: int
    payload: bytes


class ReorderBuffer:
    """Takes packets as they arrive and returns those that are next, in order: none while an earlier one is missing."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._waiting: dict[int, Packet] = {}
        self._next: int | None = None

    def add(self, packet: Packet) -> list[Packet]:
        """Add a packet; return the packets that are next."""
        number = packet.sequence_number
        if self._next is None or RESET < _ahead(number, self._next) < 65_536 - RESET:
            self._waiting.clear()
            self._next = number
        if _ahead(number, self._next) < 32_768:  # else it is too late
            self._waiting[number] = packet
        return self.flush() if len(self._waiting) >= self._depth and self._next not in self._waiting else self._ready()

    def flush(self) -> list[Packet]:
        """Return all packets up to the next missing one, without waiting for the first of them."""
        if self._waiting and self._next is not None:
            start = self._next
            self._next = min(self._waiting, key=lambda number: _ahead(number, start))
        return self._ready()

    def _ready(self) -> list[Packet]:
        ready: list[Packet] = []
        while self._next is not None and (packet := self._waiting.pop(self._next, None)) is not None:
            ready.append(packet)
            self._next = (self._next + 1) % 65_536
        return ready


def _ahead(number: int, of: int) -> int:
    return (number - of) % 65_536
