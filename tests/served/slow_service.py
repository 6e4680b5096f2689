"""A BentoML service whose stream takes long and which tells how far it got: a stand-in for a runner in mid-sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import bentoml

from runners.host.bentoml_patches import quiet

PIECES = 400

with quiet():

    @bentoml.service(name="slow", workers=1, traffic={"timeout": 1})
    class Slow:
        def __init__(self) -> None:
            self.made = 0
            self.stopped = False

        @bentoml.api
        async def stream(self, size: int) -> AsyncGenerator[bytes, None]:
            self.made = 0
            self.stopped = False
            try:
                for _ in range(PIECES):
                    self.made += 1
                    yield b"x" * size
                    await asyncio.sleep(0.05)
            finally:
                self.stopped = True

        @bentoml.api
        async def late(self) -> str:
            await asyncio.sleep(1.5)
            return "late"

        @bentoml.api
        async def progress(self) -> tuple[int, bool]:
            return self.made, self.stopped
