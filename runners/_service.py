"""A BentoML process around one plain backend class: `Runner = tts_service("kokoro", Kokoro, Resources(...))` at the foot of its file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import bentoml  # noqa: TID251 - the home of the runner services

from open_speech import config
from open_speech.backends import Synthesizer, Transcriber
from open_speech.wire import SpeakCall, TranscribeCall
from runners._bentoml import RUNNER_CONNECTION
from runners._host import Host
from runners._parts import host_options, registry, store

CALL_TIMEOUT_S = 3600
"""BentoML's limit on a whole answer, in seconds; our own deadlines, from frame to frame, are far shorter."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one runner takes of the machine."""

    gpu: float = 0.0
    """Share of a GPU it needs when it runs on one; 0 for a backend that never does."""
    workers: int = 1
    """Processes. Each loads its own copy of the model."""
    threads: int = 1
    """Calls that run at once in one process."""


def _host(name: str, backend: type[Any], resources: Resources) -> Host:
    settings = config.load()
    options = host_options(settings, name)
    return Host(backend, registry(settings, {name: "process"}), store(settings), options, threads=resources.threads)


def _service(name: str, resources: Resources) -> Any:
    # The GPU share is a label for deployments: BentoML's own allocator would hide the GPU from every second runner.
    return bentoml.service(
        name=name.replace("-", "_"),
        workers=resources.workers,
        threads=resources.threads,
        labels={"gpu": str(resources.gpu)},
        traffic={"timeout": CALL_TIMEOUT_S},
        runner_connection=RUNNER_CONNECTION,
        runner_probe={"enabled": False},
        logging={"access": {"enabled": False}},
        metrics={"enabled": False},
    )


class _Runner:
    """The methods every runner has. `__init__` must not raise: BentoML would start the process again for ever."""

    _host: Host

    @bentoml.api
    async def load_model(self, model: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._host.load(model)) as frames:
            async for frame in frames:
                yield frame

    @bentoml.api
    async def unload_model(self, model: str) -> bool:
        return await self._host.unload(model)

    @bentoml.api
    async def status(self) -> dict[str, Any]:
        return await self._host.status()


def stt_service(name: str, backend: type[Transcriber], resources: Resources) -> Any:
    """Make the BentoML service of a recogniser; `name` is its name in the catalog."""

    class Runner(_Runner):
        def __init__(self) -> None:
            self._host = _host(name, backend, resources)

        @bentoml.api
        async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._host.transcribe(call)) as frames:
                async for frame in frames:
                    yield frame

    return _finish(Runner, name, backend, resources)


def tts_service(name: str, backend: type[Synthesizer], resources: Resources) -> Any:
    """Make the BentoML service of a synthesiser; `name` is its name in the catalog."""

    class Runner(_Runner):
        def __init__(self) -> None:
            self._host = _host(name, backend, resources)

        @bentoml.api
        async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._host.synthesize(call)) as frames:
                async for frame in frames:
                    yield frame

    return _finish(Runner, name, backend, resources)


def _finish(runner: type[_Runner], name: str, backend: type[Any], resources: Resources) -> Any:
    # BentoML finds a served class again by module and name.
    runner.__module__ = backend.__module__
    return _service(name, resources)(runner)
