"""Runner processes that start at their first use, in BentoML's arbiter.

The arbiter holds the listening socket of each runner, whether the runner has a process or not. A client that connects waits in the queue
of that socket. The arbiter sees that the socket is readable, and starts the process, which accepts the connection. A process that ends,
because it was idle or crashed, is not replaced before the next client connects.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from circus.watcher import Watcher
from tornado.ioloop import IOLoop

from runners.host.own_service import AWAKE_SUFFIX

log = logging.getLogger("bentoml.serve")


class OnDemandWatcher(Watcher):  # type: ignore[misc]
    """A watcher of the arbiter that waits for a client before it starts its process."""

    service: str
    """Name of the service, and of the arbiter's socket for it."""
    _is_called = False
    """Whether a client has connected."""
    _is_waiting = False
    """Whether the arbiter's event loop watches the socket."""

    @classmethod
    def make(cls, watcher: Any, service: str) -> None:
        """Turn a watcher, which must not be started yet, into one of these."""
        watcher.__class__ = cls
        watcher.service = service

    def __len__(self) -> int:
        """Return the number of processes, at least 1: the arbiter stops the whole server for a watcher that has none."""
        return max(1, len(self.processes))

    async def _start(self) -> None:
        if self.is_stopped() and not self._is_called:
            self._wait()
        else:
            await super()._start()

    async def spawn_processes(self) -> None:
        """Start the processes that are missing; if none is left of those that ran, wait for a client first."""
        if self.status() == "active" and not self.processes:
            self._status = "stopped"
            self._marker.unlink(missing_ok=True)
            log.info("the runner %s has ended, and starts again at its next use", self.service)
            self._wait()
        else:
            await super().spawn_processes()

    async def _stop(self, close_output_streams: bool = False) -> None:
        self._stop_waiting()
        await super()._stop(close_output_streams)

    @property
    def _marker(self) -> Path:
        return Path(f"{self.sockets[self.service].path}{AWAKE_SUFFIX}")

    def _wait(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self.arbiter.loop.add_handler(self.sockets[self.service].fileno(), self._connected, IOLoop.READ)

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self.arbiter.loop.remove_handler(self.sockets[self.service].fileno())

    def _connected(self, _number: int, _events: int) -> None:
        self._stop_waiting()
        self.arbiter.loop.add_callback(self._start_for_client)

    async def _start_for_client(self) -> None:
        log.info("starting the runner %s", self.service)
        self._marker.touch()
        self._is_called = True
        try:
            await self._start()
        finally:
            self._is_called = False
