"""Answers for a runner that has no process at the moment: its status and its files are known without starting it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from open_speech import __version__
from open_speech.dispatch.frames import KeptModels, Question, RunnerStatus, T, UnloadModel
from runners.host.device import name_of
from runners.host.own_service import AWAKE_SUFFIX
from runners.host.weights import Files


class Asleep:
    """What is known of the runner behind a socket while it has no process."""

    def __init__(self, url: str, files: Files, device: str) -> None:
        """`url` is that of the runner's socket; `files` are its models on this machine, `device` that of the settings."""
        self._marker = Path(unquote(urlsplit(url).path) + AWAKE_SUFFIX)
        self._files = files
        self._device = device

    def is_asleep(self) -> bool:
        """Return whether the runner has no process. It starts when somebody connects to its socket."""
        return not self._marker.exists()

    async def answer(self, question: Question[T]) -> T:
        """Answer a question to the runner. Raises TypeError if there is no such question."""
        answer: Any
        match question:
            case UnloadModel():
                answer = False
            case KeptModels():
                answer = await asyncio.to_thread(self._files.kept)
            case RunnerStatus():
                answer = self._status()
            case _:
                raise TypeError(f"not a question to a runner: {question!r}")
        return cast("T", answer)

    def _status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "asleep": True,
            "memory_bytes": 0,
            "device": name_of(self._device),
            "loaded": {},
            "in_flight": {},
            "progress": {},
            "batches": {},
        }
