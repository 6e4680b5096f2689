"""One replica of a backend: a runner at one address, the calls in progress there, its loaded models, and whether it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from open_speech.dispatch.choice import Candidate, work_s
from open_speech.dispatch.crashes import Exit
from open_speech.dispatch.frames import Call, KeptModels, PullModel, RemoveModel, RunnerStatus, UnloadModel
from open_speech.dispatch.link import Link, RunnerGone
from open_speech.dispatch.questions import Questions, Sleeper
from open_speech.errors import BackendFailed

BACK_WITHIN_S = 15.0
"""Seconds in which a lost runner is expected back: calls wait for it, so it counts as ready."""
PROBE_WITHIN_S = 5.0
"""Seconds within which a replica must answer a probe: longer than for a page of states, because a busy runner answers late."""
UNANSWERED = 2
"""Probes in a row without an answer in time after which a replica counts as failing."""
FAILED_CALLS = 5
"""Calls in a row that a backend failed to process, after which a replica is left out: a replica whose every call fails at once is idle,
and would otherwise get all calls."""
LEFT_OUT_S = 10.0
"""Seconds for which it is left out then."""
WARM_AGAIN_S = 60.0
"""Seconds after which the load of a model in the background may be tried again at the same replica."""


Weights = Callable[[Call], str]
"""Returns the name under which a runner reports the model of a call as loaded: for a model in several parts, that of a part."""


def model_of(call: Call) -> str:
    """Return the model of a call: the name of its weights if no model has several parts."""
    return call.model


@dataclass(slots=True, eq=False)
class Trial:
    """The attempts of one call."""

    call: Call
    at: str | None = None
    """Address of the only replica that may answer the call; None: any."""
    attempts: int = 0
    """Attempts so far, with the current one."""
    replica: Replica | None = None
    """The replica of the last attempt; None while no address is known."""
    lost_at: list[str] = field(default_factory=list)
    """Addresses of the replicas at which an attempt was lost."""
    before: int | None = None
    """Process id of the last ended process of the replica that was known at the start of the last attempt."""
    is_shared: bool = False
    """Whether other calls were in progress at the replica when it died in the last attempt: one of them may be the cause."""
    exits: list[Exit] = field(default_factory=list)
    """The known ends of runners' processes during the attempts."""


class Replica:
    """A runner at one address. Used on one event loop."""

    def __init__(
        self,
        address: str,
        link: Link,
        *,
        weights: Weights = model_of,
        clock: Callable[[], float] = time.monotonic,
        sleeper: Sleeper | None = None,
    ) -> None:
        """`address` is the URL; empty for a backend whose only runner has none.

        `sleeper` answers for a runner that has no process; None is a runner that always has one.
        """
        self.address = address
        self.link = link
        self.questions = Questions(link, sleeper)
        self.trials: set[Trial] = set()
        """The calls in progress."""
        self.work_s = 0.0
        """Their work, in seconds of audio (`choice.work_s`)."""
        self.calls = 0
        """Calls so far, with those in progress."""
        self.lost = 0
        """Calls whose runner died before the answer was complete."""
        self.restarts = 0
        """Number of times that `status` was answered by a new process."""
        self.ended: int | None = None
        """Process id of the last process that is known to have ended."""
        self.kept: dict[str, int] = {}
        """Size in bytes of each completely downloaded model, as last reported."""
        self.loaded: set[str] = set()
        """Loaded models, or parts of models, as far as is known."""
        self._weights = weights
        self._clock = clock
        self._pid: int | None = None
        self._seen = False
        self._missing_since: float | None = None
        self._is_gone = False
        self._unanswered = 0
        self._failed = 0
        self._left_out_until = float("-inf")
        self._warmed: dict[str, float] = {}

    @property
    def is_failing(self) -> bool:
        """Whether it lost a call or its last status queries and has not answered since, or recently failed FAILED_CALLS calls in a row."""
        return self._is_gone or self._clock() < self._left_out_until

    @property
    def is_coming_back(self) -> bool:
        """Whether the runner has answered before, does not answer now, and was lost less than BACK_WITHIN_S seconds ago."""
        return self._missing_since is not None and self._clock() - self._missing_since < BACK_WITHIN_S

    def candidate(self, call: Call) -> Candidate:
        """Return what the choice of a replica for a call needs."""
        return Candidate(self.work_s, self._weights(call) in self.loaded, self.is_failing)

    @contextmanager
    def attempt(self, trial: Trial) -> Iterator[None]:
        """Count an attempt as in progress during the block."""
        work = work_s(trial.call)
        trial.replica, trial.before, trial.is_shared = self, self.ended, False
        self.calls += 1
        self.work_s += work
        self.trials.add(trial)
        try:
            yield
        finally:
            self.trials.remove(trial)
            # No rest of rounding: an idle replica has exactly no work.
            self.work_s = self.work_s - work if self.trials else 0.0

    def succeeded(self, call: Call) -> None:
        """Record that a call was answered."""
        self._failed = 0
        if isinstance(call, RemoveModel):
            self.loaded.discard(self._weights(call))
        elif not isinstance(call, PullModel):
            self.loaded.add(self._weights(call))

    def failed(self) -> None:
        """Record that the backend failed to process a call."""
        self._failed += 1
        if self._failed >= FAILED_CALLS:
            self._failed = 0
            self._left_out_until = self._clock() + LEFT_OUT_S

    def lose(self, trial: Trial) -> None:
        """Record that a call was lost: the process died, or cannot be reached. The other calls in progress are lost with it."""
        self.lost += 1
        self._is_gone = True
        self._forget_models()
        trial.lost_at.append(self.address)
        for other in self.trials - {trial}:
            other.is_shared = trial.is_shared = True

    def may_warm(self, model: str) -> bool:
        """Return whether a model should be loaded in the background; True at most once in WARM_AGAIN_S seconds."""
        now = self._clock()
        if now - self._warmed.get(model, float("-inf")) < WARM_AGAIN_S:
            return False
        self._warmed[model] = now
        return True

    async def status(self, *, within_s: float, wake: bool = False) -> dict[str, Any] | None:
        """Return the status of the runner; None if there is no answer within `within_s` seconds. With `wake`, it starts if it sleeps."""
        try:
            async with asyncio.timeout(within_s):
                answer = await self.questions.ask(RunnerStatus(), wake=wake)
        except (RunnerGone, BackendFailed, TimeoutError) as error:
            self._is_gone |= isinstance(error, RunnerGone)
            if self._seen and self._missing_since is None:
                self._missing_since = self._clock()
            return None
        self._observe(answer)
        return answer

    async def probe(self) -> None:
        """Query the status, and find out whether the replica works."""
        if await self.status(within_s=PROBE_WITHIN_S) is None:
            self._unanswered += 1
            self._is_gone |= self._unanswered >= UNANSWERED

    async def ask_kept(self) -> None:
        """Update `kept`. Raises what the link raises."""
        kept = await self.questions.ask(KeptModels())
        self.kept = dict(kept)

    async def unload(self, model: str) -> bool:
        """Unload a model; return False if it was not loaded. Raises what the link raises."""
        self.loaded.discard(model)
        return await self.questions.ask(UnloadModel(model))

    def _forget_models(self) -> None:
        self.loaded.clear()
        self._warmed.clear()

    def _observe(self, answer: dict[str, Any]) -> None:
        self._seen, self._missing_since, self._is_gone, self._unanswered = True, None, False, 0
        self.loaded = set(answer.get("loaded", {}))
        pid = answer.get("pid")
        if self._pid != pid:
            self._warmed.clear()
        self.restarts += None not in (pid, self._pid) and pid != self._pid
        self._pid = pid
        if (ended := Exit.of(answer)) is not None:
            self.ended = ended.pid
