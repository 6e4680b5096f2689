"""What runs inside a runner process, whatever the backend: load on first use, answer in frames, stop when nobody listens.

No BentoML and no HTTP here: the same object serves a child process, this process and a remote machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from open_speech.backends import Setup, Synthesizer, Transcriber
from open_speech.errors import BackendFailed, SpeechError
from open_speech.registry import Registry
from open_speech.residency import Lease, Residency
from open_speech.weights import Progress, Store
from open_speech.wire import END, Frame, Kind, SpeakCall, TranscribeCall, audio_frame, error_frame, heard_frame
from runners._threads import at_a_stretch, step_by_step

log = logging.getLogger("open_speech.runner")



@dataclass(frozen=True, slots=True)
class HostOptions:
    """How one runner process works, from the settings."""

    device: str = "auto"
    compute_type: str = "auto"
    model_threads: int = 0
    ttl_s: float = 300.0
    limit: int = 0
    heartbeat_s: float = 1.0
    """Seconds between progress frames while a model is fetched and loaded: the caller's deadline counts from frame to frame."""


class Driver(Protocol):
    """One of the ways of `runners._threads` to run a blocking iterator."""

    def __call__(self, make: Callable[[], Iterator[Frame]], pool: ThreadPoolExecutor) -> AsyncGenerator[Frame, None]: ...


class Host:
    """One backend class and its loaded models. Every method answers in frames; nothing raises but cancellation."""

    def __init__(
        self, backend: type[Transcriber] | type[Synthesizer], registry: Registry, store: Store, options: HostOptions, *, threads: int
    ) -> None:
        """`threads` calls run at once; more wait their turn."""
        self._backend = backend
        self._registry = registry
        self._store = store
        self._options = options
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._progress: dict[str, Progress] = {}
        self._residency: Residency[Transcriber | Synthesizer] = Residency(
            self._load, ttl_s=options.ttl_s, limit=options.limit, clock=time.monotonic
        )

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Answer with JSON frames, as Transcriber.transcribe yields them."""
        audio, options = call.unpack()

        def work(backend: Transcriber) -> Iterator[Frame]:
            return map(heard_frame, backend.transcribe(audio, options))

        # A whole file: a short clip that comes meanwhile must not wait for its end.
        async with aclosing(self._answer(call.model, work, step_by_step)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        """Answer with AUDIO frames, as Synthesizer.synthesize yields them."""
        text, options = call.unpack()

        def work(backend: Synthesizer) -> Iterator[Frame]:
            return map(audio_frame, backend.synthesize(text, options))

        async with aclosing(self._answer(call.model, work)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def load(self, model: str) -> AsyncGenerator[bytes, None]:
        """Fetch and load a model, with PROGRESS frames on the way."""
        async with aclosing(self._answer(model, lambda _: iter(()))) as frames:
            async for frame in frames:
                yield frame.encode()

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded."""
        return await asyncio.to_thread(self._residency.unload, model)

    async def status(self) -> dict[str, Any]:
        """Tell the process id and, for each loaded model, the seconds since its last use."""
        return {"pid": os.getpid(), "loaded": self._residency.loaded()}

    async def _answer(
        self, model: str, work: Callable[[Any], Iterator[Frame]], drive: Driver = at_a_stretch
    ) -> AsyncGenerator[Frame, None]:
        loop = asyncio.get_running_loop()
        borrowing = loop.run_in_executor(None, self._residency.acquire, model)
        try:
            while not (await asyncio.wait({borrowing}, timeout=self._options.heartbeat_s))[0]:
                yield self._progress_frame(model)
            backend = borrowing.result().value
            async with aclosing(drive(lambda: work(backend), self._pool)) as frames:
                async for frame in frames:
                    yield frame
        except SpeechError as error:
            yield error_frame(error)
        except Exception:  # noqa: BLE001 - the process boundary: what a backend raises becomes data here
            log.exception("model %s failed", model)
            yield error_frame(BackendFailed(f"The model `{model}` failed on this request."))
        else:
            yield END
        finally:
            # Also when the caller left while the model was still loading: what was borrowed is given back in any case.
            borrowing.add_done_callback(self._give_back)

    def _give_back(self, borrowing: asyncio.Future[Lease[Transcriber | Synthesizer]]) -> None:
        if borrowing.cancelled() or borrowing.exception() is not None:
            return
        borrowing.result().release()
        if self._options.ttl_s:
            asyncio.get_running_loop().call_later(self._options.ttl_s + 0.1, self._residency.evict_idle)

    def _load(self, model: str) -> Transcriber | Synthesizer:
        entry = self._registry.find(model)
        folder = self._store.pull(entry, lambda progress: self._progress.__setitem__(model, progress))
        options = self._options
        setup = Setup(entry, folder, device=options.device, compute_type=options.compute_type, threads=options.model_threads)
        backend = self._backend(setup)
        started = time.monotonic()
        backend.load()
        self._progress.pop(model, None)
        log.info("loaded %s in %.1f s", model, time.monotonic() - started)
        return backend

    def _progress_frame(self, model: str) -> Frame:
        progress = self._progress.get(model)
        return Frame(Kind.PROGRESS, b"{}" if progress is None else json.dumps(asdict(progress)).encode())
