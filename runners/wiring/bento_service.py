"""A BentoML process around one plain backend class: `Runner = tts_service("kokoro", Kokoro, Resources(...))` at the foot of its file."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import bentoml  # noqa: TID251 - the home of the runner services

from open_speech import config
from open_speech.backends import Diarizer, Synthesizer, Transcriber
from open_speech.dispatch.frames import DiarizeCall, HearCall, SpeakCall, TranscribeCall
from open_speech.sandbox import hide_memory
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, quiet, share_log
from runners.host.host import Host
from runners.host.parent_watch import end_with_parent
from runners.host.request_ids import Receiver
from runners.wiring.factories import decoding, host_options, registry, served_store

CALL_TIMEOUT_S = 86_400
"""BentoML's limit on a whole answer of a runner, in seconds; our own deadlines, from frame to frame, are far shorter."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one runner takes of the machine."""

    gpu: float = 0.0
    """Share of a GPU it needs when it runs on one; 0 for a backend that never does."""
    workers: int = 1
    """Processes. Each loads its own copy of the model."""
    threads: int = 1
    """Calls that run at once in one process."""


class _Runner:
    """The methods every runner has. `__init__` must not raise: BentoML would start the process again for ever."""

    apis: ClassVar[tuple[str, ...]] = ("load_model", "unload_model", "pull_model", "remove_model", "kept_models", "status")
    make_host: ClassVar[Callable[[], Host]]

    def __init__(self) -> None:
        settings = config.load()
        if not settings.os_dumpable:  # `bentoml serve runners.NAME:Runner` does not import service.py
            hide_memory()
        share_log(settings)
        end_with_parent()
        seal()
        self._held = ExitStack()
        self._held.enter_context(decoding(settings, at_once=False))
        self._host = type(self).make_host()

    async def load_model(self, model: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.load(model)) as frames:
            async for frame in frames:
                yield frame

    async def unload_model(self, model: str) -> bool:
        return await self._host.unload(model)

    async def pull_model(self, model: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.pull(model)) as frames:
            async for frame in frames:
                yield frame

    async def remove_model(self, model: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.remove(model)) as frames:
            async for frame in frames:
                yield frame

    async def kept_models(self) -> dict[str, int]:
        return await self._host.kept()

    async def status(self) -> dict[str, Any]:
        return await self._host.status()


class _Listener(_Runner):
    apis = (*_Runner.apis, "transcribe", "hear")

    async def hear(self, call: HearCall) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.hear(call)) as frames:
            async for frame in frames:
                yield frame

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.transcribe(call)) as frames:
            async for frame in frames:
                yield frame


class _Speaker(_Runner):
    apis = (*_Runner.apis, "synthesize")

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.synthesize(call)) as frames:
            async for frame in frames:
                yield frame


class _Diarizer(_Runner):
    apis = (*_Runner.apis, "diarize")

    async def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.diarize(call)) as frames:
            async for frame in frames:
                yield frame


def stt_service(name: str, backend: type[Transcriber], resources: Resources) -> Any:
    """Make the BentoML service of a recogniser; `name` is its name in the catalog."""
    return _service(name, backend, resources, _Listener)


def tts_service(name: str, backend: type[Synthesizer], resources: Resources) -> Any:
    """Make the BentoML service of a synthesiser; `name` is its name in the catalog."""
    return _service(name, backend, resources, _Speaker)


def diarize_service(name: str, backend: type[Diarizer], resources: Resources) -> Any:
    """Make the BentoML service of a diarizer; `name` is its name in the catalog."""
    return _service(name, backend, resources, _Diarizer)


def _service(name: str, backend: type[Any], resources: Resources, shape: type[_Runner]) -> Any:
    def make_host() -> Host:
        settings = config.load()
        served = registry(settings, {name: "process"})
        batch = served.backends[name].batch
        options = host_options(settings, name)
        if not resources.gpu:
            options = replace(options, device="cpu")
        return Host(backend, served, served_store(settings, served), options, threads=resources.threads, batch=batch, leave=_leave)

    with quiet():
        apis = {method: bentoml.api(getattr(shape, method)) for method in shape.apis}
        # BentoML finds a served class again by its module and name.
        runner = type("Runner", (shape,), {**apis, "make_host": staticmethod(make_host), "__module__": backend.__module__})
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
    """End this process as its supervisor would: what is under way is finished, what comes waits for the next process on the same socket."""
    os.kill(os.getpid(), signal.SIGTERM)
