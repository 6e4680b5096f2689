"""Fallback models: a request whose model fails, is overloaded or takes too long is passed to the next model of a chain.

The chain is part of the engine, so all APIs have it. A request moves on only before its first output. Errors that are the caller's are
returned at once: another model would be sent the same invalid request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from open_speech import logs
from open_speech.backends import ModelEntry, Task
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    InvalidRequest,
    Overloaded,
    SpeechError,
    WeightsUnavailable,
)
from open_speech.registry import Registry
from open_speech.security.egress import is_local_only

log = logging.getLogger("open_speech.fallback")

FAILURES = (BackendFailed, BackendTimeout, BackendUnavailable, Overloaded, WeightsUnavailable)
"""Errors of a model or its runner, after which another model may succeed. Stopping is not one: the server refuses all work then."""

T = TypeVar("T")
Begun = TypeVar("Begun")
Done = TypeVar("Done")
Report = Callable[[Task, str, str, str], None]
"""Receives the task, the model that failed, the next model, and the code of the error."""


@dataclass(frozen=True, slots=True)
class FallbackModels:
    """The fallback models for one task."""

    models: tuple[str, ...] = ()
    """Names of models, in the order in which they are tried."""
    after_s: float = 0.0
    """Seconds for the first output of a model, unless it is the last of the chain; 0: no limit."""


NO_FALLBACK = FallbackModels()


class Deadline:
    """The time limit for the first output of one model. It may be paused while the model has nothing to do."""

    def __init__(self, limit_s: float | None) -> None:
        """`limit_s` None is no limit."""
        self.limit_s = limit_s
        self._timeout = asyncio.timeout(limit_s)
        self._is_over = False

    def pause(self) -> None:
        """Stop the clock: the model waits for text."""
        if not self._is_over:
            self._timeout.reschedule(None)

    def restart(self) -> None:
        """Start the clock anew. Without effect after the first output."""
        if not self._is_over and self.limit_s is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self.limit_s)

    async def run(self, begin: Awaitable[Begun], finish: Callable[[Begun], Awaitable[Done]]) -> Done:
        """Return `finish(await begin)`, where only `begin` has the time limit. Raises TimeoutError."""
        try:
            async with self._timeout:
                begun = await begin
                self._timeout.reschedule(None)
                self._is_over = True
                return await finish(begun)
        finally:
            self._is_over = True

    @property
    def has_expired(self) -> bool:
        """Whether the limit was exceeded."""
        return self._timeout.expired()


Begin = Callable[[ModelEntry, Deadline], Awaitable[T]]
"""Begins the work of a request with a model, and returns with the first output."""


class FallbackChain:
    """The fallback models of one task, for any number of requests."""

    def __init__(self, registry: Registry, task: Task, chosen: FallbackModels = NO_FALLBACK, report: Report | None = None) -> None:
        """`report` counts each time that a request moves on to another model.

        Raises UnknownModel, NotInstalled or WrongTask for a model that this server cannot use.
        """
        self._registry = registry
        self._after_s = chosen.after_s
        self._report = report
        self._models = tuple(registry.find(name, task) for name in chosen.models)
        self._task = task

    def __bool__(self) -> bool:
        return bool(self._models)

    def models_after(self, entry: ModelEntry) -> list[ModelEntry]:
        """List the models that may serve the current request after `entry`: without those of other servers if its key forbids them."""
        others = [model for model in self._models if model.id != entry.id]
        return [model for model in others if not (is_local_only() and self._registry.is_elsewhere(model))]

    async def first(self, entry: ModelEntry, begin: Begin[Done]) -> Done:
        """Return the result of `begin` for the first model that succeeds: `entry`, then the fallback models. Raises as `completed`."""
        return await self.completed(entry, begin, _unchanged)

    async def completed(self, entry: ModelEntry, begin: Begin[Begun], finish: Callable[[Begun], Awaitable[Done]]) -> Done:
        """Return the result of `finish(await begin(model, deadline))` for the first model that succeeds.

        The time limit is that of `begin`, which waits for the first output and must stop its work when it is cancelled. Raises the error
        of `entry` if every model fails: it is the one that the client named. A fallback model that does not support the request is passed
        over.
        """
        original: SpeechError | None = None
        models = [entry, *self.models_after(entry)]
        for model, following in zip(models, [*models[1:], None], strict=True):
            try:
                done = await self._attempt(model, begin, finish, limited=following is not None)
            except InvalidRequest as error:
                if original is None:
                    raise
                self.moved_on(model, following, error)
            except FAILURES as error:
                original = original or error
                self.moved_on(model, following, error)
            else:
                logs.note_answer(model.id)
                return done
        assert original is not None
        logs.note_model(entry.id)
        raise original

    async def _attempt(self, model: ModelEntry, begin: Begin[Begun], finish: Callable[[Begun], Awaitable[Done]], *, limited: bool) -> Done:
        deadline = Deadline(self._after_s if limited and self._after_s > 0 else None)
        try:
            return await deadline.run(begin(model, deadline), finish)
        except TimeoutError as late:
            if not deadline.has_expired:
                raise
            raise BackendTimeout(f"The model `{model.id}` returned nothing within {deadline.limit_s:g} s.") from late

    def moved_on(self, model: ModelEntry, following: ModelEntry | None, error: SpeechError) -> None:
        """Log and count that a request moves on from a model to the following one; None if there is none."""
        if following is None:
            if self._models:
                log.warning("`%s` failed (%s): no fallback model is left", model.id, error.code)
            return
        log.warning("`%s` failed (%s): falling back to `%s`", model.id, error.code, following.id)
        if self._report is not None:
            self._report(self._task, model.id, following.id, error.code or "")


async def _unchanged(value: Done) -> Done:
    return value
