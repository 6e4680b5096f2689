"""The model files of one runner, where it runs: fetched without being loaded, deleted, counted, and how far a fetch has come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from open_speech.backends import ModelEntry
from open_speech.errors import SpeechError
from open_speech.registry import Registry
from open_speech.weights import Progress, Store


class _CalledOff(Exception):
    """Nobody waits any more for the files that are being fetched."""


class Files:
    """The files of the models of one backend. Its async methods belong to one event loop."""

    def __init__(self, registry: Registry, store: Store) -> None:
        """`registry` serves one backend; which models are its own follows from that."""
        self.progress: dict[str, dict[str, Any]] = {}
        """By model, what is being fetched or loaded: Progress as plain data, or a `state` of `loading`."""
        self.fetched = 0
        """Models whose missing files were fetched by this process."""
        self._registry = registry
        self._store = store

    def bring(self, entry: ModelEntry, *, still_wanted: Callable[[], bool] = lambda: True) -> Path:
        """Fetch what is missing of a model; blocks, and raises as Store.pull. Stops soon after it is not wanted any more."""

        def note(progress: Progress) -> None:
            if not still_wanted():
                raise _CalledOff
            # Who waits for a fetch that runs in this process must not hide what that one tells.
            if progress.state != "waiting" or entry.id not in self.progress:
                self.progress[entry.id] = asdict(progress)

        try:
            missing = not self._store.is_complete(entry)
            folder = self._store.pull(entry, note)
            self.fetched += missing
            return folder
        finally:
            self.progress.pop(entry.id, None)

    async def pull(self, model: str, *, heartbeat_s: float) -> AsyncGenerator[None, None]:
        """Fetch a model in all its parts, with a beat every so often until it is done. Closing this stops it; what has come is kept."""
        entry = self._registry.find(model)
        called_off = threading.Event()

        def bring() -> None:
            for part in entry.whole:
                self.bring(part, still_wanted=lambda: not called_off.is_set())

        bringing = asyncio.get_running_loop().run_in_executor(None, bring)
        bringing.add_done_callback(seen)
        try:
            while not (await asyncio.wait({bringing}, timeout=heartbeat_s))[0]:
                yield
            bringing.result()
        finally:
            called_off.set()  # the thread notices at its next bytes; for everybody else it is over now
            for part in entry.whole:
                self.progress.pop(part.id, None)

    async def remove(self, model: str) -> int:
        """Delete a model's files, in all its parts; gives the bytes that were freed."""
        entry = self._registry.find(model)
        return sum([await asyncio.to_thread(self._store.remove, part) for part in entry.whole])

    def kept(self) -> dict[str, int]:
        """Tell the bytes of each model whose files are all here; a part is told with its model. Blocks."""
        here = self._store.by_hand() | {model.id: model.size_bytes for model in self._store.installed()}
        listed = self._registry.models()
        kept = {
            entry.id: sum(here.get(part.id, part.size_bytes or 0) for part in entry.whole)
            for entry in listed
            if all(self._store.is_complete(part) for part in entry.whole)
        }
        for name in here.keys() - {part.id for entry in listed for part in (entry, *entry.parts)}:
            with suppress(SpeechError):  # a model of another backend
                kept[self._registry.find(name).id] = here[name]
        return kept


def seen(done: asyncio.Future[None]) -> None:
    """Take note of how something ended, as whoever waited for it may have left."""
    if not done.cancelled():
        done.exception()
