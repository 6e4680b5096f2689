"""The model files on the machine of one runner: download without loading, deletion, sizes, and the progress of a download."""

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
    """The download is no longer needed."""


class Files:
    """The files of the models of one backend. Its async methods belong to one event loop."""

    def __init__(self, registry: Registry, store: Store) -> None:
        """`registry` serves one backend, and so determines the models of this instance."""
        self.progress: dict[str, dict[str, Any]] = {}
        """Model -> progress of its download as plain data, or a `state` of `loading`; only for models in progress."""
        self.fetched = 0
        """Number of models whose missing files were downloaded by this process."""
        self._registry = registry
        self._store = store

    def bring(self, entry: ModelEntry, *, still_wanted: Callable[[], bool] = lambda: True) -> Path:
        """Download the missing files of a model. Blocks; raises what Store.pull raises. Stops soon after `still_wanted` is False."""

        def note(progress: Progress) -> None:
            if not still_wanted():
                raise _CalledOff
            # A call that waits for a download in this process must not overwrite the progress of that download.
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
        """Download a model with all its parts; yields every `heartbeat_s` seconds. Closing stops the download; received data is kept."""
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
            called_off.set()  # the thread stops at its next bytes; for all callers the download ends now
            for part in entry.whole:
                self.progress.pop(part.id, None)

    async def remove(self, model: str) -> int:
        """Delete the files of a model with all its parts; return the freed bytes."""
        entry = self._registry.find(model)
        return sum([await asyncio.to_thread(self._store.remove, part) for part in entry.whole])

    def kept(self) -> dict[str, int]:
        """Return the size in bytes of each model whose files are complete; parts are included in their model. Blocks."""
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
    """Retrieve the exception of a future, so that none is logged as never retrieved if its caller has disconnected."""
    if not done.cancelled():
        done.exception()
