"""The replicas of a backend: which there are at the moment, the choice of one for a call, and the queries that keep both up to date."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

from open_speech.concurrency.task_group import Tasks
from open_speech.dispatch.choice import choose
from open_speech.dispatch.link import Link, RunnerGone
from open_speech.dispatch.merged_status import ReplicaState
from open_speech.dispatch.questions import Sleeper
from open_speech.dispatch.replica import Replica, Trial, Weights, model_of
from open_speech.errors import UnknownReplica

log = logging.getLogger("open_speech.replicas")

PROBE_S = 1.0
"""Seconds between two status queries of a failing replica."""
RESOLVE_WITHIN_S = 5.0
"""Longest look-up of the addresses, in seconds."""


class Runners(Protocol):
    """The runners of one backend, wherever they are."""

    async def addresses(self) -> Collection[str]:
        """Return the addresses of all of them. Raises OSError."""
        ...

    def connect(self, address: str) -> Link:
        """Return a link to the runner at an address; connects at the first call."""
        ...

    async def close(self, link: Link) -> None:
        """Close a link."""
        ...


class Replicas:
    """The replicas of one backend. Used on one event loop."""

    is_fleet = True
    """Whether the backend may have several replicas."""

    def __init__(
        self,
        name: str,
        runners: Runners,
        *,
        refresh_s: float,
        weights: Weights = model_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is that of the backend. The addresses of its `runners` are looked up every `refresh_s` seconds."""
        self.name = name
        self._runners = runners
        self._refresh_s = refresh_s
        self.weights = weights
        self._clock = clock
        self._members: dict[str, Replica] = {}
        self._resolving = asyncio.Lock()
        self._resolved_at = float("-inf")
        self._is_resolved = True
        self._asked_at: dict[str, float] = {}
        self._past_restarts = 0
        self._tasks = Tasks()

    @property
    def members(self) -> list[Replica]:
        """The replicas that there are now."""
        return list(self._members.values())

    @property
    def working(self) -> int:
        """Number of replicas that take calls; at least 1."""
        return max(1, sum(not replica.is_failing for replica in self._members.values()))

    @property
    def restarts(self) -> int:
        """Number of times that a replica, one of now or of the past, was found to be a new process."""
        return self._past_restarts + sum(replica.restarts for replica in self._members.values())

    async def known(self) -> None:
        """Wait for the first look-up of the addresses. Raises RunnerGone if there are none."""
        if not self._members:
            async with self._resolving:
                if not self._members:
                    await self._refresh()
        if not self._members:
            raise RunnerGone("no address")

    def choose(self, trial: Trial) -> tuple[Replica, Replica | None]:
        """Return the replica for the next attempt of a call, and one at which the model should be loaded meanwhile, if any.

        Raises UnknownReplica if the only one that may answer is not there any more.
        """
        if trial.at is not None:
            return self.at(trial.at), None
        choice = choose({address: replica.candidate(trial.call) for address, replica in self._members.items()}, trial.lost_at)
        return self._members[choice.replica], self._members[choice.warm] if choice.warm else None

    def at(self, address: str) -> Replica:
        """Return the replica at an address. Raises UnknownReplica."""
        if not self.is_fleet:
            raise UnknownReplica(f"The backend {self.name} has no replicas; omit the field.", param="replica")
        if address not in self._members:
            known = ", ".join(f"`{known}`" for known in self._members) or "none"
            raise UnknownReplica(f"The backend {self.name} has no replica at this address; it has {known}.", param="replica")
        return self._members[address]

    def has_another(self, trial: Trial) -> bool:
        """Return whether a lost call can be sent to another replica at once."""
        return trial.at is None and any(not replica.is_failing and replica.address not in trial.lost_at for replica in self.members)

    async def states(self, *, within_s: float) -> list[ReplicaState]:
        """Return the state of every replica; takes at most `within_s` seconds."""
        members = self.members
        answers = await asyncio.gather(*(replica.status(within_s=within_s) for replica in members))
        return [
            ReplicaState(replica.address, not replica.is_failing, answer, round(replica.work_s, 1), replica.calls, replica.lost)
            for replica, answer in zip(members, answers, strict=True)
        ]

    async def watch(self) -> None:
        """Look up the addresses and query the status of every replica, again and again until cancelled; then close the connections."""
        try:
            while True:
                now = self._clock()
                if now - self._resolved_at >= self._refresh_s and not self._resolving.locked():
                    self._tasks.begin(self._refresh_alone())
                for replica in self.members:
                    if now - self._asked_at.get(replica.address, float("-inf")) >= (PROBE_S if replica.is_failing else self._refresh_s):
                        self._asked_at[replica.address] = float("inf")
                        self._tasks.begin(self._probe(replica))
                await asyncio.sleep(PROBE_S)
        finally:
            await self._tasks.end()
            await asyncio.gather(*(self._runners.close(replica.link) for replica in self.members))

    async def _probe(self, replica: Replica) -> None:
        was_failing = replica.is_failing
        await replica.probe()
        if replica.address in self._members:
            self._asked_at[replica.address] = self._clock()
        if replica.is_failing and not was_failing:
            log.warning("%s: the replica at %s does not answer, and is left out", self.name, replica.address)
        elif was_failing and not replica.is_failing:
            log.info("%s: the replica at %s is used again", self.name, replica.address)

    async def _refresh_alone(self) -> None:
        async with self._resolving:
            await self._refresh()

    async def _refresh(self) -> None:
        """Look up the addresses. If that fails or finds none, the replicas stay as they are: the name server may be down, and not they."""
        self._resolved_at = self._clock()
        try:
            async with asyncio.timeout(RESOLVE_WITHIN_S):
                found = await self._runners.addresses()
        except (OSError, TimeoutError) as error:
            found = ()
            reason = str(error) or type(error).__name__
        else:
            reason = "there are none"
        if found:
            self._update(found)
        elif self._is_resolved:
            log.warning("%s: the addresses of its replicas cannot be looked up: %s", self.name, reason)
        self._is_resolved = bool(found)

    def _update(self, addresses: Collection[str]) -> None:
        for address in [known for known in self._members if known not in addresses]:
            gone = self._members.pop(address)
            self._asked_at.pop(address, None)
            self._past_restarts += gone.restarts
            log.info("%s: the replica at %s is gone", self.name, address)
            self._tasks.begin(self._close_when_idle(gone))
        for address in addresses:
            if address not in self._members:
                self._members[address] = Replica(address, self._runners.connect(address), weights=self.weights, clock=self._clock)
                log.info("%s: there is a replica at %s", self.name, address)

    async def _close_when_idle(self, replica: Replica) -> None:
        """Close the connections of a replica when its last call has ended: a pod that is stopped finishes the calls that it has."""
        try:
            while replica.trials:
                await asyncio.sleep(PROBE_S)
        finally:
            await self._runners.close(replica.link)


class _Only(Runners):
    def __init__(self, link: Link) -> None:
        self._link = link

    async def addresses(self) -> Collection[str]:
        return ("",)

    def connect(self, address: str) -> Link:
        return self._link

    async def close(self, link: Link) -> None:
        return


class OneRunner(Replicas):
    """The only runner of a backend: it is always chosen, whether it answers or not, and is not queried in the background."""

    is_fleet = False

    def __init__(self, name: str, link: Link, *, sleeper: Sleeper | None = None) -> None:
        """`sleeper` answers for the runner while it has no process; None is a runner that always has one."""
        super().__init__(name, _Only(link), refresh_s=float("inf"))
        self._members[""] = Replica("", link, sleeper=sleeper)

    async def watch(self) -> None:
        """Return at once."""
