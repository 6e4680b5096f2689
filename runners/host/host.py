"""The host of a backend in a runner process: loads models on first use, returns results in frames, stops when the caller disconnects.

Independent of BentoML and HTTP: the same object serves a child process, this process and a remote machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, assert_never, cast

from open_speech import __version__
from open_speech.audio import Audio
from open_speech.backends import (
    BatchSynthesizer,
    Diarizer,
    Setup,
    Synthesizer,
    TextGenerator,
    Transcriber,
    Utterance,
    VoiceprintExtractor,
    Window,
    WindowResult,
    WindowTranscriber,
)
from open_speech.concurrency.blocking_iterators import at_a_stretch, step_by_step
from open_speech.dispatch.frames import (
    END,
    FILE,
    Call,
    DiarizeCall,
    Frame,
    GenerateCall,
    KeptModels,
    Kind,
    LoadModel,
    PullModel,
    Question,
    RemoveModel,
    RunnerStatus,
    SpeakCall,
    T,
    TranscribeCall,
    UnloadModel,
    VoiceprintsCall,
    WindowCall,
    audio_frame,
    chunk_frame,
    error_frame,
    progress_frame,
    transcript_frame,
    turns_frame,
    window_frame,
)
from open_speech.dispatch.voiceprints import voiceprints_frame
from open_speech.errors import BackendFailed, SpeechError
from open_speech.registry import Registry
from open_speech.weights import Store
from runners.host.batching import SECONDS_PER_CHAR, Ask, Batches, SameModel, synthesize_batch, transcribe_batch
from runners.host.call_queue import CallQueue, give_up_after
from runners.host.device import name_of
from runners.host.exits import process_state
from runners.host.memory import Aftercare, resident_bytes
from runners.host.model_cache import Residency
from runners.host.one_frame import one_frame
from runners.host.options import HostOptions as HostOptions
from runners.host.request_checks import check_call
from runners.host.weights import Files, seen

log = logging.getLogger("open_speech.runner")

Backend = Transcriber | Synthesizer | Diarizer | VoiceprintExtractor | TextGenerator
_CUT_S = 60.0
"""Seconds of audio in cancelled calls, or in all calls before a pause, after which memory is returned. The tracebacks of cancelled tasks
and their frames refer to each other and to the audio. Whisper returns 115 MB in a pause, which takes 0.09 CPU seconds."""
_LATER_S = 0.1
"""Seconds after the TTL of an idle model at which it is unloaded."""


async def _nothing(_: object) -> AsyncGenerator[Frame, None]:
    return
    yield


class Host:
    """A backend class and its loaded models: the `Link` of a backend in this process, and the object that a runner process serves.

    A response in frames raises nothing but cancellation.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing that differs from runner to runner
        self,
        backend: type[Backend],
        registry: Registry,
        store: Store,
        options: HostOptions,
        *,
        threads: int,
        batch: int = 0,
        leave: Callable[[], None] | None = None,
    ) -> None:
        """At most `threads` calls run at the same time, others wait; up to `batch` windows are decoded in one call, if it is not 0.

        `leave` ends this process gracefully; it is called when a library keeps memory of unloaded models.
        """
        self._backend = backend
        self.registry = registry
        self._files = Files(registry, store)
        self._options = options
        self._line = CallQueue(threads)
        self._batches: Batches[Window, WindowResult | SpeechError] = Batches(transcribe_batch, size=max(1, batch), workers=threads)
        self._utterances: Batches[Utterance, Audio | SpeechError] = Batches(synthesize_batch, size=max(1, batch), workers=threads)
        self._given: Counter[int] = Counter()
        self._many = batch > 0
        self._residency: Residency[Backend] = Residency(self._load, ttl_s=options.ttl_s, limit=options.limit, clock=time.monotonic)
        self._loads: dict[str, asyncio.Future[None]] = {}
        self._calls = 0
        self._aftercare = Aftercare(self._is_empty, leave, rest_s=options.rest_s)
        self._cut_s = self._worked_s = 0.0
        self._freed = 0
        self._timer: asyncio.TimerHandle | None = None

    def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Return the response to a call, as bytes of frames. Closing the generator stops the work after the current piece."""
        match call:
            case WindowCall():
                return self._hear(call)
            case TranscribeCall():
                return self._transcribe(call)
            case SpeakCall():
                return self._synthesize(call)
            case DiarizeCall():
                return self._diarize(call)
            case VoiceprintsCall():
                return self._voiceprints(call)
            case GenerateCall():
                return self._generate(call)
            case LoadModel():
                return self._load_model(call.model)
            case PullModel():
                return self._pull(call.model)
            case RemoveModel():
                return self._remove(call.model)
            case _:
                assert_never(call)

    async def ask(self, question: Question[T]) -> T:
        """Return the answer to a question. Raises TypeError if there is no such question."""
        answer: Any
        match question:
            case UnloadModel():
                answer = await self._unload(question.model)
            case KeptModels():
                answer = await asyncio.to_thread(self._files.kept)
            case RunnerStatus():
                answer = self._status()
            case _:
                raise TypeError(f"not a question to a runner: {question!r}")
        return cast("T", answer)

    def together(self, model: str, decode: Callable[[Any], Sequence[Frame]], *, size: int) -> AsyncGenerator[bytes, None]:
        """Yield the frames that `decode` returns for a loaded model. It is called once, in a thread, for a batch of `size` calls."""

        async def work(backend: Backend) -> AsyncGenerator[Frame, None]:
            self._given[size] += 1
            for frame in await asyncio.wrap_future(self._line.turn().submit(decode, backend)):
                yield frame

        return self._answer(model, self._borrowing(model, work))

    def _transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Yield JSON frames, one for each item of Transcriber.transcribe."""
        audio, options = call.unpack()

        def work(backend: Transcriber) -> AsyncGenerator[Frame, None]:
            # A whole file: a short clip that arrives meanwhile must not wait for its end.
            turn = self._line.turn(call.urgency, call.patience_s)
            return step_by_step(lambda: map(transcript_frame, backend.transcribe(audio, options)), turn)

        frames = self._borrowing(call.model, work, call)
        return self._answer(call.model, frames, audio.seconds)

    def _hear(self, call: WindowCall) -> AsyncGenerator[bytes, None]:
        """Yield one JSON frame with the transcript of the window, which is decoded together with other waiting windows."""
        audio, options = call.unpack()

        async def work(backend: WindowTranscriber) -> AsyncGenerator[Frame, None]:
            ask = Ask(Window(audio, options, call.speech), audio.seconds, SameModel(backend), call.asker, call.urgency)
            decoding = self._batches.submit(ask)
            give_up_after(call.patience_s, self._batches, decoding)
            heard = await asyncio.wrap_future(decoding)
            if isinstance(heard, SpeechError):
                raise heard
            yield window_frame(heard)

        frames = self._borrowing(call.model, work, call)
        return self._answer(call.model, frames, audio.seconds)

    def _synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        """Yield AUDIO frames, one for each part of Synthesizer.synthesize."""
        text, options = call.unpack()

        def work(backend: Synthesizer) -> AsyncGenerator[Frame, None]:
            turn = self._line.turn(call.urgency, call.patience_s)
            return at_a_stretch(lambda: map(audio_frame, backend.synthesize(text, options)), turn)

        async def together(backend: BatchSynthesizer) -> AsyncGenerator[Frame, None]:
            ask = Ask(Utterance(text, options), len(text) * SECONDS_PER_CHAR, SameModel(backend), "", call.urgency)
            speaking = self._utterances.submit(ask)
            give_up_after(call.patience_s, self._utterances, speaking)
            sound = await asyncio.wrap_future(speaking)
            if isinstance(sound, SpeechError):
                raise sound
            yield audio_frame(sound)

        model = self.registry.part(call.model, options)
        return self._answer(call.model, self._borrowing(model, together if self._many else work, call))

    def _diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        """Yield one JSON frame with the turns, after PROGRESS frames, because a long file takes minutes."""
        audio, options = call.unpack()
        return self._one_frame(call.model, audio, lambda backend: turns_frame(backend.diarize(audio, options)))

    def _voiceprints(self, call: VoiceprintsCall) -> AsyncGenerator[bytes, None]:
        """Yield one JSON frame with the voiceprints."""
        audio, windows = call.unpack()
        return self._one_frame(call.model, audio, lambda backend: voiceprints_frame(backend.voiceprints(audio, windows)), call.urgency)

    def _one_frame(self, model: str, audio: Audio, make: Callable[[Any], Frame], urgency: int = FILE) -> AsyncGenerator[bytes, None]:
        turn, heartbeat_s = self._line.turn(urgency), self._options.heartbeat_s
        frames = self._borrowing(model, lambda backend: one_frame(lambda: make(backend), turn, heartbeat_s))
        return self._answer(model, frames, audio.seconds)

    def _generate(self, call: GenerateCall) -> AsyncGenerator[bytes, None]:
        """Yield JSON frames, one for each chunk of TextGenerator.generate, and PROGRESS frames for empty ones."""
        request = call.unpack()

        def work(backend: TextGenerator) -> AsyncGenerator[Frame, None]:
            turn = self._line.turn(call.urgency, call.patience_s)
            return at_a_stretch(lambda: map(chunk_frame, backend.generate(request)), turn)

        return self._answer(call.model, self._borrowing(call.model, work))

    def _load_model(self, model: str) -> AsyncGenerator[bytes, None]:
        """Download and load a model, with PROGRESS frames; for a model in parts, the one that serves requests without special options."""
        return self._answer(model, self._borrowing(self.registry.part(model), _nothing))

    def _pull(self, model: str) -> AsyncGenerator[bytes, None]:
        """Download a model's files, with PROGRESS frames. Closing the generator stops the download; received data is kept."""

        async def work() -> AsyncGenerator[Frame, None]:
            async with aclosing(self._files.pull(model, heartbeat_s=self._options.heartbeat_s)) as beats:
                async for _ in beats:
                    yield progress_frame(self._files.progress.get(model, {}))

        return self._answer(model, work())

    def _remove(self, model: str) -> AsyncGenerator[bytes, None]:
        """Unload a model and delete its files; yields one JSON frame with `freed_bytes`."""

        async def work() -> AsyncGenerator[Frame, None]:
            await self._unload(model)
            yield Frame(Kind.JSON, json.dumps({"freed_bytes": await self._files.remove(model)}).encode())

        return self._answer(model, work())

    async def _unload(self, model: str) -> bool:
        """Unload a model with all its parts; False if none of them was loaded."""
        try:
            names = [part.id for part in self.registry.find(model).whole]
        except SpeechError:
            names = [model]
        let_go = any([await asyncio.to_thread(self._residency.unload, name) for name in names])
        self._settle()
        return let_go

    def _status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            **process_state(),
            "memory_bytes": resident_bytes(),
            "device": name_of(self._options.device),
            "loaded": self._residency.loaded(),
            "in_flight": self._residency.users(),
            "progress": dict(self._files.progress),
            "fetched_models": self._files.fetched,
            "batches": dict(self._batches.sizes + self._utterances.sizes + self._given),
        }

    async def _answer(self, model: str, frames: AsyncGenerator[Frame, None], given_s: float = 0.0) -> AsyncGenerator[bytes, None]:
        """Encode a response and its end; an exception becomes the last frame. `given_s` is the length of the call's audio in seconds."""
        self._calls += 1
        try:
            async with aclosing(frames):
                async for frame in frames:
                    yield frame.encode()
        except (asyncio.CancelledError, GeneratorExit):
            self._cut_s += given_s
            raise
        except SpeechError as error:
            log.log(logging.WARNING if error.status >= 500 else logging.DEBUG, "model %s: %s", model, type(error).__name__)
            yield error_frame(error).encode()
        except Exception:  # noqa: BLE001 - the process boundary: an exception of a backend becomes data here
            log.exception("model %s failed", model)
            yield error_frame(BackendFailed(f"The model `{model}` failed on this request.")).encode()
        else:
            yield END.encode()
        finally:
            self._calls -= 1
            self._worked_s += given_s
            self._settle()

    async def _borrowing(
        self,
        model: str,
        work: Callable[[Any], AsyncGenerator[Frame, None]],
        call: TranscribeCall | SpeakCall | None = None,
    ) -> AsyncGenerator[Frame, None]:
        """Yield the frames of `work` with a model; if the model must be loaded first, PROGRESS frames until then.

        `call` is checked against the entry of its model first: a request that the entry rules out loads no model.
        """
        if call is not None:
            check_call(self.registry, call)
        while (lease := self._residency.borrow(model)) is None:
            loading = self._loading(model)
            while not (await asyncio.wait({loading}, timeout=self._options.heartbeat_s))[0]:
                yield progress_frame(self._files.progress.get(model, {}))
            loading.result()
        try:
            async with aclosing(work(lease.value)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            lease.release()

    def _loading(self, model: str) -> asyncio.Future[None]:
        """Load a model in a thread, once for all callers: any number of them may wait without occupying threads."""
        if (loading := self._loads.get(model)) is None:
            loading = asyncio.get_running_loop().run_in_executor(None, self._residency.load, model)
            self._loads[model] = loading
            loading.add_done_callback(lambda done: self._loaded(model, done))
        return loading

    def _loaded(self, model: str, loading: asyncio.Future[None]) -> None:
        del self._loads[model]
        seen(loading)
        self._settle()

    def _settle(self) -> None:
        """Schedule the work that follows the end of a call: the return of memory, and the unloading of idle models."""
        if self._residency.freed != self._freed or (self._options.rest_s and self._is_empty()):
            self._freed = self._residency.freed
            self._aftercare.soon()
        if self._cut_s >= _CUT_S or (self._worked_s >= _CUT_S and not self._calls):
            self._cut_s = self._worked_s = 0.0
            self._aftercare.soon()
        if self._options.ttl_s and self._timer is None and (loaded := self._residency.loaded()):
            due_s = max(0.0, self._options.ttl_s - max(loaded.values()))
            self._timer = asyncio.get_running_loop().call_later(due_s + _LATER_S, self._look_for_idle)

    def _look_for_idle(self) -> None:
        # In a thread: freeing a large model takes time.
        looking = asyncio.get_running_loop().run_in_executor(None, self._residency.evict_idle)
        looking.add_done_callback(lambda _: self._looked())

    def _looked(self) -> None:
        self._timer = None
        self._settle()

    def _is_empty(self) -> bool:
        return not (self._calls or self._loads or self._residency.loaded())

    def _load(self, model: str) -> Backend:
        entry = self.registry.find(model)
        folder = self._files.bring(entry)
        options = self._options
        setup = Setup(
            entry,
            folder,
            device=options.device,
            compute_type=options.compute_type,
            threads=options.model_threads,
            settings=options.settings,
        )
        backend = self._backend(setup)
        started = time.monotonic()
        self._files.progress[model] = {"state": "loading"}
        try:
            backend.load()
        finally:
            self._files.progress.pop(model, None)
        log.info("loaded %s in %.1f s", model, time.monotonic() - started)
        return backend
