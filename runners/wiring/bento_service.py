"""BentoML services for backend classes: `Runner = tts_service("kokoro", Kokoro, Resources(...))` at the end of a backend's file."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

import bentoml  # noqa: TID251 - the home of the runner services

from open_speech import config
from open_speech.backends import Diarizer, Synthesizer, Task, TextGenerator, Transcriber, VoiceprintExtractor
from open_speech.dispatch.frames import OPERATIONS, Operation, Question
from open_speech.sandbox import hide_memory
from runners.catalog import BACKENDS
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_batching import BATCHABLE, MAX_LATENCY_MS, Answer, answers, batch_api
from runners.host.bentoml_patches import RUNNER_CONNECTION, quiet, share_log
from runners.host.host import Host
from runners.host.memory import bound_arenas
from runners.host.own_service import fall_asleep
from runners.host.parent_watch import end_with_parent
from runners.host.request_ids import Receiver
from runners.host.service_link import answer_type, parameters, rebuilt
from runners.wiring.resources import Resources as Resources
from runners.wiring.runner_parts import host_options, isolate_decoding, registry, served_store

CALL_TIMEOUT_S = 86_400
"""BentoML's limit on a whole response of a runner, in seconds; our own deadlines, from frame to frame, are far shorter."""


class _Runner:
    """The service class of a runner process. `__init__` must not raise: BentoML would restart the process endlessly."""

    backend_name: ClassVar[str]
    make_host: ClassVar[Callable[[], Host]]

    def __init__(self) -> None:
        settings = config.load()
        if not settings.os_dumpable:  # `bentoml serve runners.NAME:Runner` does not import service.py
            hide_memory()
        share_log(settings)
        bound_arenas()
        end_with_parent()
        seal()
        debugger.listen(type(self).backend_name, settings)
        isolate_decoding(settings)
        self.host = type(self).make_host()


def stt_service(name: str, backend: type[Transcriber], resources: Resources) -> Any:
    """Make the BentoML service of a recognizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.STT)


def tts_service(name: str, backend: type[Synthesizer], resources: Resources) -> Any:
    """Make the BentoML service of a synthesizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.TTS)


def diarize_service(name: str, backend: type[Diarizer] | type[VoiceprintExtractor], resources: Resources) -> Any:
    """Make the BentoML service of a diarizer, or of a backend that only computes voiceprints; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.DIARIZE)


def llm_service(name: str, backend: type[TextGenerator], resources: Resources) -> Any:
    """Make the BentoML service of a language model; `name` is its name in the catalog."""
    return _service(name, backend, resources, Task.LLM)


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


def _batch_api(operation: Operation, size: int) -> Any:
    """Make the BentoML API that takes the calls of one operation in batches of up to `size`."""

    async def answer(self: _Runner, calls: list[Any]) -> list[Answer]:
        return await answers(self.host, calls)

    answer.__name__, answer.__doc__ = batch_api(operation), f"{operation.__doc__} BentoML forms batches of the calls."
    own, calls = inspect.signature(answer).parameters.values()
    parameters = [own, calls.replace(annotation=list[operation])]  # type: ignore[valid-type]
    vars(answer)["__signature__"] = inspect.Signature(parameters, return_annotation=list[Answer])
    return bentoml.api(batchable=True, max_batch_size=size, max_latency_ms=MAX_LATENCY_MS)(answer)


def _service(name: str, backend: type[Any], resources: Resources, task: Task) -> Any:
    def make_host() -> Host:
        settings = config.load()
        served = registry(settings, {name: "process"})
        batch = served.backends[name].batch
        options = host_options(settings, name)
        if not resources.gpu:
            options = replace(options, device="cpu")
        threads = settings.llm_parallel if task is Task.LLM else resources.threads
        return Host(backend, served, served_store(settings, served), options, threads=threads, batch=batch, leave=_leave)

    with quiet():
        apis = {operation.api: _api(operation) for operation in OPERATIONS[task]}
        # Of our backends only: what a plugin adds to the catalog is unknown while its modules are imported.
        size = next((entry.batch for entry in BACKENDS if entry.name == name), 0)
        if size > 1:
            apis |= {batch_api(operation): _batch_api(operation, size) for operation in OPERATIONS[task] if operation in BATCHABLE}
        # BentoML finds a served class again by its module and name.
        runner = type(
            "Runner", (_Runner,), {**apis, "backend_name": name, "make_host": staticmethod(make_host), "__module__": backend.__module__}
        )
        service = bentoml.service(
            name=name.replace("-", "_"),
            workers=resources.workers,
            threads=resources.threads,
            # For deployments. On this machine runners share the GPUs: bentoml_patches.py switches BentoML's allocator off.
            resources=resources.declared(),
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
    fall_asleep()
    os.kill(os.getpid(), signal.SIGTERM)
