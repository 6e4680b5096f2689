"""The attempts of the calls of one backend: where each is sent, what follows when its runner dies, and which calls are given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from open_speech.concurrency.task_group import Tasks
from open_speech.dispatch.crashes import Exit, FatalCalls
from open_speech.dispatch.frames import Call
from open_speech.dispatch.link import RunnerGone
from open_speech.dispatch.replica import BACK_WITHIN_S, Replica, Trial
from open_speech.dispatch.replicas import Replicas
from open_speech.errors import BackendCrashed, BackendUnavailable

log = logging.getLogger("open_speech.remote")

ATTEMPTS = 3
"""Maximum attempts of one call whose runner dies; this bounds the damage of a request that crashes every runner."""
RETRY_AFTER_S = 0.3
"""Seconds before a retry, and before the status of the new process is queried. A restarting runner keeps its socket: both wait there."""

Warm = Callable[[str, Replica], Coroutine[Any, Any, None]]
"""Loads a model at a replica; raises nothing."""


class Attempts:
    """The attempts of the calls of one backend."""

    def __init__(self, replicas: Replicas, *, deadline_s: float, warm: Warm) -> None:
        """`deadline_s` is the maximum wait, in seconds, for the status of a runner that is being restarted."""
        self.lost = 0
        """Calls whose runner died before the answer was complete."""
        self._replicas = replicas
        self._deadline_s = min(deadline_s, BACK_WITHIN_S) if replicas.is_fleet else deadline_s
        self._warm = warm
        self._fatal = FatalCalls(replicas.name)
        self._tasks = Tasks()

    async def trial(self, call: Call, at: str | None = None) -> Trial:
        """Return the record of the attempts of a call, `at` the only replica that may answer it. Raises BackendCrashed."""
        await self._fatal.check(call)
        return Trial(call, at)

    def forget(self, model: str) -> None:
        """Forget the calls of a model that were given up."""
        self._fatal.forget(model)

    @asynccontextmanager
    async def attempt(self, trial: Trial) -> AsyncGenerator[Replica, None]:
        """Choose a replica for the next attempt of a call, and count the attempt as in progress during the block.

        Raises RunnerGone if there is none, and UnknownReplica if the only one that may answer the call is not there any more.
        """
        trial.attempts, trial.replica = trial.attempts + 1, None
        await self._replicas.known()
        replica, spare = self._replicas.choose(trial)
        if spare is not None and spare.may_warm(weights := self._replicas.weights(trial.call)):
            self._tasks.begin(self._warm(weights, spare))
        try:
            with replica.attempt(trial):
                yield replica
        except RunnerGone:
            replica.lose(trial)
            raise

    def note_loss(self, trial: Trial, gone: RunnerGone) -> None:
        """Count and log a lost attempt."""
        self.lost += 1
        where = f" at {trial.replica.address}" if trial.replica is not None and trial.replica.address else ""
        log.warning("runner %s%s is not reachable (%s), attempt %d of %d", self._replicas.name, where, gone, trial.attempts, ATTEMPTS)

    async def before_retry(self, trial: Trial, gone: RunnerGone) -> None:
        """Return at once if another replica can take the call; else wait for the restarted runner, which reports how its process ended.

        Also wait when the call is lost for the second time: it may be the cause, and is not sent to one replica after the other. After the
        last attempt raise BackendUnavailable. Raises BackendCrashed when this call was the only one in progress at three deaths.
        """
        self.note_loss(trial, gone)
        replica = trial.replica
        if trial.attempts == 1 and replica is not None and self._replicas.has_another(trial):
            if not trial.is_shared:
                self._tasks.begin(self._record_later(trial.call, replica, trial.before))
            return
        await asyncio.sleep(RETRY_AFTER_S)
        if replica is not None and (ended := await self._end_of(replica, trial.before)) is not None:
            trial.exits.append(ended)
            if not trial.is_shared:
                await self._fatal.record(trial.call, ended)
        if trial.attempts >= ATTEMPTS:
            raise self.unavailable(trial.exits) from gone

    def unavailable(self, exits: Sequence[Exit] = ()) -> BackendUnavailable:
        """Return the error of a call that no runner has answered."""
        why = f"its process {exits[-1]} ({len(exits)} of {ATTEMPTS} attempts), and" if exits else "it"
        name = self._replicas.name
        return BackendUnavailable(f"The backend {name} is not available at the moment: {why} is being restarted.", retry_after_s=5)

    async def _record_later(self, call: Call, replica: Replica, before: int | None) -> None:
        """Record how the process ended once its successor answers: the call is not refused this time, but it counts."""
        await asyncio.sleep(RETRY_AFTER_S)
        if (ended := await self._end_of(replica, before)) is not None:
            with suppress(BackendCrashed):
                await self._fatal.record(call, ended)

    async def _end_of(self, replica: Replica, before: int | None) -> Exit | None:
        """Return how a replica's process ended; None if that is unknown, or if it did not end: only the connection broke.

        `before` is the process id of a process that ended earlier. The first question may meet a connection to the dead process.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                for _ in range(2):
                    if (answer := await replica.status(within_s=self._deadline_s, wake=True)) is not None:
                        ended = Exit.of(answer)
                        return None if ended is None or ended.pid == before else ended
                    await asyncio.sleep(RETRY_AFTER_S)
        return None
