"""A runner as version 0.1.0 had it: one BentoML API for each operation, written by hand, and a `status` without a version.

It has no `remove_model`, as if that operation were newer than it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import bentoml

from open_speech import config
from open_speech.dispatch.frames import KeptModels, LoadModel, PullModel, RunnerStatus, SpeakCall, UnloadModel
from runners.host.bentoml_patches import quiet
from runners.host.host import Host
from runners.tones import TonesSynthesizer
from runners.wiring.factories import host_options, registry, served_store

NAME = "tones-tts"

with quiet():

    @bentoml.service(name="tones_tts", workers=1)
    class Runner:
        def __init__(self) -> None:
            settings = config.load()
            served = registry(settings, {NAME: "process"})
            self._host = Host(TonesSynthesizer, served, served_store(settings, served), host_options(settings, NAME), threads=1)

        @bentoml.api
        async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._host.call(call)) as frames:
                async for frame in frames:
                    yield frame

        @bentoml.api
        async def load_model(self, model: str) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._host.call(LoadModel(model))) as frames:
                async for frame in frames:
                    yield frame

        @bentoml.api
        async def pull_model(self, model: str) -> AsyncGenerator[bytes, None]:
            async with aclosing(self._host.call(PullModel(model))) as frames:
                async for frame in frames:
                    yield frame

        @bentoml.api
        async def unload_model(self, model: str) -> bool:
            return await self._host.ask(UnloadModel(model))

        @bentoml.api
        async def kept_models(self) -> dict[str, int]:
            return await self._host.ask(KeptModels())

        @bentoml.api
        async def status(self) -> dict[str, Any]:
            status = await self._host.ask(RunnerStatus())
            del status["version"]
            return status
