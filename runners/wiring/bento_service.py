"""BentoML services for backend classes: `Runner = tts_service("kokoro", Kokoro, Resources(...))` at the end of a backend's file."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import bentoml  # noqa: TID251 - the home of the runner services

from open_speech import config
from open_speech.backends import Diarizer, Synthesizer, Task, Transcriber
from open_speech.dispatch.frames import OPERATIONS, Operation, Question
from open_speech.sandbox import hide_memory
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, quiet, share_log
from runners.host.host import Host
from runners.host.parent_watch import end_with_parent
from runners.host.request_ids import Receiver
from runners.host.service_link import answer_type, parameters, rebuilt
from runners.wiring.factories import decoding, host_options, registry, served_store

CALL_TIMEOUT_S = 86_400
"""BentoML's limit on a whole response of a runner, in seconds; our own deadlines, from frame to frame, are far shorter."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of one runner."""

    gpu: float = 0.0
    """Share of a GPU that the runner needs on a GPU; 0 for a backend that always runs on the CPU."""
    workers: int = 1
    """Number of processes. Each loads its own copy of the model."""
    threads: int = 1
    """Maximum concurrent calls in one process."""


class _Runner:
    """The service class of a runner process. `__init__` must not raise: BentoML would restart the process endlessly."""

    backend_name: ClassVar[str]
    make_host: ClassVar[Callable[[], Host]]

    def __init__(self) -> None:
        settings = config.load()
        if not settings.os_dumpable:  # `bentoml serve runners.NAME:Runner` does not import service.py
            hide_memory()
        share_log(settings)
        end_with_parent()
        seal()
        debugger.listen(type(self).backend_name, settings)
        self._held = ExitStack()
        self._held.enter_context(decoding(settings, at_once=False))
        self.host = type(self).make_host()


def stt_service(name: str, backend: type[Transcriber], resources: Resources) -> Any:
    """Make the BentoML service of a recognizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.STT)


def tts_service(name: str, backend: type[Synthesizer], resources: Resources) -> Any:
    """Make the BentoML service of a synthesizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.TTS)


def diarize_service(name: str, backend: type[Diarizer], resources: Resources) -> Any:
    """Make the BentoML service of a diarizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.DIARIZE)


def _api(operation: Operation) -> Any:
    """Make the BentoML API of one operation of a runner."""
    answer: Callable[..., Any]
    if issubclass(operation, Question):
        returns = answer_type(operation)

        async def answer(self: _Runner, **received: Any) -> Any:
            return await self.host.ask(rebuilt(operation, received))

    else:
        returns = AsyncGenerator[bytes, None]

        async def answer(self: _Runner, **received: Any) -> AsyncGenerator[bytes, None]:
            async with aclosing(self.host.call(rebuilt(operation, received))) as frames:
                async for frame in frames:
                    yield frame

    # BentoML reads the name, the parameters and their types of an API from its function.
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [inspect.Parameter(name, own.kind, annotation=kind) for name, kind in parameters(operation).items()]
    answer.__name__, answer.__doc__ = operation.api, operation.__doc__
    vars(answer)["__signature__"] = inspect.Signature([own, *named], return_annotation=returns)
    return bentoml.api(answer)


def _service(name: str, backend: type[Any], resources: Resources, task: Task) -> Any:
    def make_host() -> Host:
        settings = config.load()
        served = registry(settings, {name: "process"})
        batch = served.backends[name].batch
        options = host_options(settings, name)
        if not resources.gpu:
            options = replace(options, device="cpu")
        return Host(backend, served, served_store(settings, served), options, threads=resources.threads, batch=batch, leave=_leave)

    with quiet():
        apis = {operation.api: _api(operation) for operation in OPERATIONS[task]}
        # BentoML finds a served class again by its module and name.
        runner = type(
            "Runner", (_Runner,), {**apis, "backend_name": name, "make_host": staticmethod(make_host), "__module__": backend.__module__}
        )
        service = bentoml.service(
            name=name.replace("-", "_"),
            workers=resources.workers,
            threads=resources.threads,
            # A label, for deployments: BentoML's own allocator would hide the GPU from every second runner.
            labels={"gpu": str(resources.gpu)},
            traffic={"timeout": CALL_TIMEOUT_S},
            runner_connection=RUNNER_CONNECTION,
            runner_probe={"enabled": False},
            logging={"access": {"enabled": False}},
            metrics={"enabled": False},
        )(runner)
        service.add_asgi_middleware(Receiver)
        return service


def _leave() -> None:
    """Shut this process down gracefully: calls in progress finish, and new calls wait for the next process on the same socket."""
    os.kill(os.getpid(), signal.SIGTERM)
