"""What runs inside a runner process, whatever the backend: load on first use, answer in frames, stop when nobody listens.

No BentoML and no HTTP here: the same object serves a child process, this process and a remote machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any

from open_speech.audio import Audio
from open_speech.backends import (
    BatchSynthesizer,
    Diarizer,
    Heard,
    Setup,
    SpeechOptions,
    Synthesizer,
    Transcriber,
    Utterance,
    Window,
    WindowTranscriber,
)
from open_speech.errors import BackendFailed, SpeechError
from open_speech.registry import Registry
from open_speech.residency import Lease, Residency
from open_speech.threads import at_a_stretch, step_by_step
from open_speech.weights import Progress, Store
from open_speech.wire import (
    END,
    DiarizeCall,
    Frame,
    HearCall,
    Kind,
    SpeakCall,
    TranscribeCall,
    audio_frame,
    error_frame,
    heard_frame,
    turns_frame,
    window_frame,
)
from runners._batches import Ask, Batches

log = logging.getLogger("open_speech.runner")

Backend = Transcriber | Synthesizer | Diarizer
_SECONDS_PER_CHAR = 0.06
"""By which it is guessed whether two pieces of text are alike enough to be spoken together."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How one runner process works, from the settings."""

    device: str = "auto"
    compute_type: str = "auto"
    model_threads: int = 0
    ttl_s: float = 300.0
    limit: int = 0
    own: Mapping[str, Any] = field(default_factory=dict)
    """The settings that are for this backend alone."""
    heartbeat_s: float = 1.0
    """Seconds between progress frames while a model is fetched and loaded: the caller's deadline counts from frame to frame."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What windows, or utterances, of one batch have in common: the loaded model, and nothing else of it is looked at."""

    backend: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kind) and other.backend is self.backend

    def __hash__(self) -> int:
        return id(self.backend)


def _decode(kind: Hashable, windows: Sequence[Window]) -> Sequence[Heard | SpeechError]:
    assert isinstance(kind, _Kind)
    backend: WindowTranscriber = kind.backend
    return backend.hear(windows)


def _speak(kind: Hashable, utterances: Sequence[Utterance]) -> Sequence[Audio | SpeechError]:
    assert isinstance(kind, _Kind)
    backend: BatchSynthesizer = kind.backend
    return backend.speak(utterances)


async def _nothing(_: object) -> AsyncGenerator[Frame, None]:
    return
    yield


class Host:
    """One backend class and its loaded models. Every method answers in frames; nothing raises but cancellation."""

    def __init__(
        self, backend: type[Backend], registry: Registry, store: Store, options: HostOptions, *, threads: int, batch: int = 0
    ) -> None:
        """`threads` calls run at once, more wait their turn; `batch` windows are decoded in one call, for a backend that takes them."""
        self._backend = backend
        self._registry = registry
        self._store = store
        self._options = options
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._batches: Batches[Window, Heard | SpeechError] = Batches(_decode, size=max(1, batch), workers=threads)
        self._utterances: Batches[Utterance, Audio | SpeechError] = Batches(_speak, size=max(1, batch), workers=threads)
        self._many = batch > 0
        self._progress: dict[str, Progress] = {}
        self._residency: Residency[Backend] = Residency(
            self._load, ttl_s=options.ttl_s, limit=options.limit, clock=time.monotonic
        )

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Answer with JSON frames, as Transcriber.transcribe yields them."""
        audio, options = call.unpack()

        def work(backend: Transcriber) -> AsyncGenerator[Frame, None]:
            # A whole file: a short clip that comes meanwhile must not wait for its end.
            return step_by_step(lambda: map(heard_frame, backend.transcribe(audio, options)), self._pool)

        async with aclosing(self._answer(call.model, work)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def hear(self, call: HearCall) -> AsyncGenerator[bytes, None]:
        """Answer with one JSON frame: what was heard in the window, which is decoded together with others that wait."""
        audio, options = call.unpack()

        async def work(backend: WindowTranscriber) -> AsyncGenerator[Frame, None]:
            ask = Ask(Window(audio, options), audio.seconds, _Kind(backend), call.asker, call.urgent)
            heard = await asyncio.wrap_future(self._batches.submit(ask))
            if isinstance(heard, SpeechError):
                raise heard
            yield window_frame(heard)

        async with aclosing(self._answer(call.model, work)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        """Answer with AUDIO frames, as Synthesizer.synthesize yields them."""
        text, options = call.unpack()

        def work(backend: Synthesizer) -> AsyncGenerator[Frame, None]:
            return at_a_stretch(lambda: map(audio_frame, backend.synthesize(text, options)), self._pool)

        async def together(backend: BatchSynthesizer) -> AsyncGenerator[Frame, None]:
            ask = Ask(Utterance(text, options), len(text) * _SECONDS_PER_CHAR, _Kind(backend), "")
            sound = await asyncio.wrap_future(self._utterances.submit(ask))
            if isinstance(sound, SpeechError):
                raise sound
            yield audio_frame(sound)

        model = self._part(call.model, options)
        async with aclosing(self._answer(model, together if self._many else work)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        """Answer with one JSON frame, as Diarizer.diarize tells; PROGRESS frames come until then, for it takes minutes on a long file."""
        audio, options = call.unpack()

        async def work(backend: Diarizer) -> AsyncGenerator[Frame, None]:
            running = asyncio.get_running_loop().run_in_executor(self._pool, backend.diarize, audio, options)
            try:
                while not (await asyncio.wait({running}, timeout=self._options.heartbeat_s))[0]:
                    yield Frame(Kind.PROGRESS, b"{}")
                yield turns_frame(running.result())
            finally:
                running.cancel()  # one that waits for its turn never begins

        async with aclosing(self._answer(call.model, work)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def load(self, model: str) -> AsyncGenerator[bytes, None]:
        """Fetch and load a model, with PROGRESS frames on the way; of one in several parts that which speaks what asks for nothing else."""
        async with aclosing(self._answer(self._part(model), _nothing)) as frames:
            async for frame in frames:
                yield frame.encode()

    async def unload(self, model: str) -> bool:
        """Let go of a model, in all its parts; False if nothing of it was loaded."""
        try:
            names = [part.id for part in self._registry.find(model).whole]
        except SpeechError:
            names = [model]
        return any([await asyncio.to_thread(self._residency.unload, name) for name in names])

    async def status(self) -> dict[str, Any]:
        """Tell the process id and, for each loaded model, the seconds since its last use."""
        return {"pid": os.getpid(), "loaded": self._residency.loaded()}

    async def _answer(self, model: str, work: Callable[[Any], AsyncGenerator[Frame, None]]) -> AsyncGenerator[Frame, None]:
        loop = asyncio.get_running_loop()
        borrowing = loop.run_in_executor(None, self._residency.acquire, model)
        try:
            while not (await asyncio.wait({borrowing}, timeout=self._options.heartbeat_s))[0]:
                yield self._progress_frame(model)
            backend = borrowing.result().value
            async with aclosing(work(backend)) as frames:
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

    def _give_back(self, borrowing: asyncio.Future[Lease[Backend]]) -> None:
        if borrowing.cancelled() or borrowing.exception() is not None:
            return
        borrowing.result().release()
        if self._options.ttl_s:
            asyncio.get_running_loop().call_later(self._options.ttl_s + 0.1, self._residency.evict_idle)

    def _part(self, model: str, options: SpeechOptions | None = None) -> str:
        """Name the model that has the weights for a request. One that does not exist keeps its name: loading it will say so."""
        try:
            return self._registry.find(model).part_for(options).id
        except SpeechError:
            return model

    def _load(self, model: str) -> Backend:
        entry = self._registry.find(model)
        folder = self._store.pull(entry, lambda progress: self._progress.__setitem__(model, progress))
        options = self._options
        setup = Setup(
            entry, folder, device=options.device, compute_type=options.compute_type, threads=options.model_threads, own=options.own
        )
        backend = self._backend(setup)
        started = time.monotonic()
        backend.load()
        self._progress.pop(model, None)
        log.info("loaded %s in %.1f s", model, time.monotonic() - started)
        return backend

    def _progress_frame(self, model: str) -> Frame:
        progress = self._progress.get(model)
        return Frame(Kind.PROGRESS, b"{}" if progress is None else json.dumps(asdict(progress)).encode())
