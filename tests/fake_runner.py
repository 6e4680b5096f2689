"""A base for runners that tests write: an operation is answered by the method that has the name of its API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

from open_speech.dispatch.frames import END, Call, LoadModel, Question, T


class FakeRunner:
    """A `Link` that loads any model at once, has nothing loaded and no files; a subclass adds calls such as `transcribe`."""

    def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        return cast("AsyncGenerator[bytes, None]", getattr(self, call.api)(call))

    async def ask(self, question: Question[T]) -> T:
        return cast("T", await getattr(self, question.api)(question))

    async def load_model(self, call: LoadModel) -> AsyncGenerator[bytes, None]:
        yield END.encode()

    async def unload_model(self, question: object) -> bool:
        return False

    async def kept_models(self, question: object) -> dict[str, int]:
        return {}

    async def status(self, question: object) -> dict[str, Any]:
        return {"loaded": {}}
