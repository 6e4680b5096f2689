"""The async client of one runner: frames in, values out. All deadlines, retries and error mapping of calls are here."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, SpeechOptions, TranscribeOptions, Turn, Window, WindowResult
from open_speech.dispatch.crashes import Exit, FatalCalls, Trial
from open_speech.dispatch.frames import (
    FILE,
    BrokenStream,
    Call,
    Decoder,
    DiarizeCall,
    Frame,
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
    WindowCall,
    audio_of,
    error_of,
    transcript_item,
    turns_of,
    window_of,
)
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable
from open_speech.security.pull_policy import PullGuard, refusal
from open_speech.transcript import Segment, TranscriptInfo

log = logging.getLogger("open_speech.remote")

ATTEMPTS = 3
"""Maximum attempts of one call whose runner dies; this bounds the damage of a request that crashes every runner."""
RETRY_AFTER_S = 0.3
"""Seconds before a retry, and before the status of the new process is queried. A restarting runner keeps its socket: both wait there."""
BACK_WITHIN_S = 15.0
"""Seconds in which a lost runner is expected back: calls wait for it, so it counts as ready."""
LOG_EVERY_S = 5.0
"""Minimum seconds between two log lines about a model that is being downloaded."""


class RunnerGone(Exception):
    """The runner's process died, or the connection to it broke, before its answer was complete."""


class Link(Protocol):
    """A transport of operations to one runner: in a child process, on a remote server, or in this process.

    Both methods raise RunnerGone if the runner is gone, and BackendFailed if it rejects the operation.
    """

    def call(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the frames of an answer. Errors of the runner are ERROR frames. Closing it stops the runner's work."""
        ...

    async def ask(self, question: Question[T]) -> T:
        """Return the answer."""
        ...


class RunnerClient:
    """A client of one runner."""

    def __init__(self, name: str, link: Link, *, deadline_s: float, pulls: PullGuard | None = None) -> None:
        """`deadline_s` is the maximum wait, in seconds, for each next frame of an answer.

        `pulls` decides which models may be downloaded for a request; None allows all.
        """
        self.name = name
        self.beats = 0
        """PROGRESS frames so far: increases while a model is downloaded or loaded and calls wait for it."""
        self.lost = 0
        """Calls whose runner died before the answer was complete."""
        self.restarts = 0
        """Number of times that `status` was answered by a new process."""
        self._pid: int | None = None
        self._ended: int | None = None
        """Process id of the last runner process that is known to have ended."""
        self._trials: set[Trial] = set()
        """The calls in progress."""
        self._fatal = FatalCalls(name)
        self._link = link
        self._deadline_s = deadline_s
        self._pulls = pulls
        self._installed: set[str] = set()
        """Installed models that requests may not download."""
        self._seen = False
        self._missing_since: float | None = None
        self._logged_at = float("-inf")

    @property
    def is_coming_back(self) -> bool:
        """Whether the runner has answered before, does not answer now, and was lost less than BACK_WITHIN_S seconds ago."""
        return self._missing_since is not None and time.monotonic() - self._missing_since < BACK_WITHIN_S

    async def require(self, model: str) -> None:
        """Check that a model is installed or may be downloaded for a request.

        Raises PullNotAllowed, BackendUnavailable if the runner does not answer.
        """
        if self._pulls is None or self._pulls.permits(model) or model in self._installed:
            return
        try:
            async with asyncio.timeout(self._deadline_s):
                installed = await self._link.ask(KeptModels())
        except (RunnerGone, TimeoutError) as gone:
            raise self._unavailable() from gone
        if model not in installed:
            raise refusal(model)
        self._installed.add(model)

    async def transcribe_window(
        self, model: str, window: Window, *, caller: str, urgency: int = FILE, patience_s: float = 0.0
    ) -> WindowResult:
        """Transcribe one window; retried if the runner died, so no window is lost.

        `caller` names the request, for its fair share of the runner. Other parameters and errors are as in `transcribe`.
        """
        await self.require(model)
        return window_of(await self._result(WindowCall.window(model, window, asker=caller, urgency=urgency, patience_s=patience_s)))

    async def transcribe(
        self, model: str, audio: Audio, options: TranscribeOptions, *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[TranscriptInfo | Segment, None]:
        """Transcribe a whole file: one TranscriptInfo, then the segments in order, each as soon as it is final.

        `urgency` is FILE, LIVE_PARTIAL or LIVE. A call that waits for its turn longer than `patience_s` seconds is refused (0: never). A
        call whose runner died is retried, without the items that were yielded already. Raises SpeechError's children: the backend's own,
        Overloaded, BackendTimeout, BackendUnavailable.
        """
        await self.require(model)
        call = TranscribeCall.of(model, audio, options, urgency=urgency, patience_s=patience_s)
        yielded = 0
        async with self._trial(call) as trial:
            for attempt in range(1, ATTEMPTS + 1):
                seen = 0
                try:
                    async with aclosing(self._frames(call)) as frames:
                        async for frame in frames:
                            seen += 1
                            if seen > yielded:
                                yielded = seen
                                yield transcript_item(frame)
                    break
                except RunnerGone as gone:
                    await self._before_retry(trial, attempt, gone)
        if not yielded:
            raise BackendFailed(f"The backend {self.name} returned no result.")

    async def diarize(self, model: str, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Return who spoke when; retried if the runner died. Raises as `transcribe`."""
        await self.require(model)
        return turns_of(await self._result(DiarizeCall.of(model, audio, options)))

    async def synthesize(
        self, model: str, text: str, options: SpeechOptions, *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[Audio, None]:
        """Speak one piece of text. Retried if the runner died before the first audio; later it is an error, never truncated audio.

        `urgency`, `patience_s` and the errors are as in `transcribe`.
        """
        await self.require(model)
        call = SpeakCall.of(model, text, options, urgency=urgency, patience_s=patience_s)
        async with self._trial(call) as trial:
            for attempt in range(1, ATTEMPTS + 1):
                has_audio = False
                try:
                    async with aclosing(self._frames(call)) as frames:
                        async for frame in frames:
                            has_audio = True
                            yield audio_of(frame)
                    return
                except RunnerGone as gone:
                    if has_audio:
                        self._note_loss(trial, attempt, gone)
                        raise self._unavailable() from gone
                    await self._before_retry(trial, attempt, gone)

    async def load(self, model: str) -> None:
        """Load a model, and download it first if necessary; retried if the runner died. Raises SpeechError's children.

        Calls of the model that were given up may be sent again.
        """
        await self.require(model)
        self._fatal.forget(model)
        await self._done(LoadModel(model))

    async def pull(self, model: str) -> None:
        """Download a model's files; cancelling this stops the download. Retried and raises as `load`."""
        await self.require(model)
        await self._done(PullModel(model))

    async def remove(self, model: str) -> int:
        """Unload a model and delete its files; return the bytes that were freed. Retried and raises as `load`."""
        self._installed.discard(model)
        return int(json.loads((await self._result(RemoveModel(model))).payload)["freed_bytes"])

    async def kept(self, *, within_s: float = 2.0) -> dict[str, int]:
        """Return the size in bytes of each completely downloaded model; empty if there is no answer within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                return await self._link.ask(KeptModels())
        except (RunnerGone, BackendFailed, TimeoutError):
            return {}

    async def unload(self, model: str) -> bool:
        """Unload a model; return False if it was not loaded. Its calls that were given up may be sent again. Raises BackendUnavailable."""
        self._fatal.forget(model)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._link.ask(UnloadModel(model))
        except (RunnerGone, TimeoutError) as gone:
            raise self._unavailable() from gone

    async def status(self, *, within_s: float = 2.0) -> dict[str, Any] | None:
        """Return the status of the runner; None if there is no answer within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                answer = await self._link.ask(RunnerStatus())
        except (RunnerGone, BackendFailed, TimeoutError):
            if self._seen and self._missing_since is None:
                self._missing_since = time.monotonic()
            return None
        self._seen, self._missing_since = True, None
        pid = answer.get("pid")
        self.restarts += self._pid not in (None, pid)
        self._pid = pid
        if (ended := Exit.of(answer)) is not None:
            self._ended = ended.pid
        return answer

    async def _result(self, call: Call) -> Frame:
        """Make a call that is answered by one payload frame; retried if the runner died. Raises BackendFailed if there is none."""
        if not (frames := await self._done(call)):
            raise BackendFailed(f"The backend {self.name} returned no result.")
        return frames[0]

    async def _done(self, call: Call) -> list[Frame]:
        """Make a call, with retries if the runner died; return its payload frames when the answer is complete."""
        async with self._trial(call) as trial:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    async with aclosing(self._frames(call)) as frames:
                        return [frame async for frame in frames]
                except RunnerGone as gone:
                    await self._before_retry(trial, attempt, gone)
        raise self._unavailable()

    @asynccontextmanager
    async def _trial(self, call: Call) -> AsyncGenerator[Trial, None]:
        """Count a call as in progress until the block ends. Raises BackendCrashed if the call was given up."""
        await self._fatal.check(call)
        trial = Trial(call, before=self._ended)
        self._trials.add(trial)
        try:
            yield trial
        finally:
            self._trials.remove(trial)

    async def _frames(self, call: Call) -> AsyncGenerator[Frame, None]:
        """Yield the payload frames of one answer; return only after END. Raises what an ERROR frame holds, RunnerGone, BackendTimeout."""
        decoder = Decoder()
        async with aclosing(self._link.call(call)) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                try:
                    arrived = list(decoder.feed(chunk))
                except BrokenStream as broken:
                    raise BackendFailed(f"The backend {self.name} returned an invalid response.") from broken
                for frame in arrived:
                    match frame.kind:
                        case Kind.END:
                            return
                        case Kind.ERROR:
                            raise error_of(frame)
                        case Kind.PROGRESS:
                            self._report_progress(frame)
                        case _:
                            yield frame
        raise RunnerGone("the response was truncated")

    def _report_progress(self, frame: Frame) -> None:
        """Log, at most every LOG_EVERY_S seconds, why calls wait."""
        self.beats += 1
        now = time.monotonic()
        if len(frame.payload) > len(b"{}") and now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            log.info("%s: %s", self.name, frame.payload.decode())

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await anext(chunks, None)
        except TimeoutError as late:
            raise BackendTimeout(f"The backend {self.name} did not answer within {self._deadline_s:g} s.") from late

    async def _before_retry(self, trial: Trial, attempt: int, gone: RunnerGone) -> None:
        """Wait for the restarted runner, which reports how its predecessor ended; after the last attempt raise BackendUnavailable instead.

        Raises BackendCrashed when this call was the only one in progress at three deaths.
        """
        self._note_loss(trial, attempt, gone)
        await asyncio.sleep(RETRY_AFTER_S)
        if (ended := await self._end_of_runner(trial.before)) is not None:
            trial.exits.append(ended)
            if not trial.is_shared:
                await self._fatal.record(trial.call, ended)
        if attempt >= ATTEMPTS:
            raise self._unavailable(trial.exits) from gone
        trial.before, trial.is_shared = self._ended, False

    def _note_loss(self, trial: Trial, attempt: int, gone: RunnerGone) -> None:
        self.lost += 1
        log.warning("runner %s is not reachable (%s), attempt %d of %d", self.name, gone, attempt, ATTEMPTS)
        for other in self._trials - {trial}:
            other.is_shared = trial.is_shared = True

    async def _end_of_runner(self, before: int | None) -> Exit | None:
        """Return how the runner's process ended; None if that is unknown, or if it did not end: only the connection broke.

        `before` is the process id of a process that ended earlier. The first question may meet a connection to the dead process.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                for _ in range(2):
                    if (answer := await self.status(within_s=self._deadline_s)) is not None:
                        ended = Exit.of(answer)
                        return None if ended is None or ended.pid == before else ended
                    await asyncio.sleep(RETRY_AFTER_S)
        return None

    def _unavailable(self, exits: Sequence[Exit] = ()) -> BackendUnavailable:
        why = f"its process {exits[-1]} ({len(exits)} of {ATTEMPTS} attempts), and" if exits else "it"
        return BackendUnavailable(f"The backend {self.name} is not available at the moment: {why} is being restarted.", retry_after_s=5)
