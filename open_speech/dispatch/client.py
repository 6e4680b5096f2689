"""The async client of one backend: frames in, values out. The deadlines and the error mapping of calls are here."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, SpeechOptions, TranscribeOptions, Turn, Window, WindowResult
from open_speech.dispatch.attempts import Attempts
from open_speech.dispatch.frames import (
    FILE,
    BrokenStream,
    Call,
    Decoder,
    DiarizeCall,
    Frame,
    GenerateCall,
    Kind,
    LoadModel,
    PullModel,
    RemoveModel,
    SpeakCall,
    TranscribeCall,
    VoiceprintsCall,
    WindowCall,
    audio_of,
    chunk_of,
    error_of,
    transcript_item,
    turns_of,
    window_of,
)
from open_speech.dispatch.link import Link, RunnerGone
from open_speech.dispatch.merged_status import Report
from open_speech.dispatch.replica import Replica, Trial
from open_speech.dispatch.replicas import OneRunner, Replicas
from open_speech.dispatch.voiceprints import voiceprints_of
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable, SpeechError, UnknownReplica, WeightsUnavailable
from open_speech.security.pull_policy import PullGuard, refusal
from open_speech.transcript import Segment, TranscriptInfo

log = logging.getLogger("open_speech.remote")

A = TypeVar("A")
ALL = "all"
"""In place of the address of a replica: every replica."""
LOG_EVERY_S = 5.0
"""Minimum seconds between two log lines about a model that is being downloaded."""


class RunnerClient:
    """A client of one backend: of its only runner, or of the replicas of it."""

    def __init__(self, name: str, link: Link | Replicas, *, deadline_s: float, pulls: PullGuard | None = None) -> None:
        """`deadline_s` is the maximum wait, in seconds, for each next frame of an answer.

        `pulls` decides which models may be downloaded for a request; None allows all.
        """
        self.name = name
        self.beats = 0
        """PROGRESS frames so far: increases while a model is downloaded or loaded and calls wait for it."""
        self.replicas = link if isinstance(link, Replicas) else OneRunner(name, link)
        self._attempts = Attempts(self.replicas, deadline_s=deadline_s, warm=self._warm)
        self._deadline_s = deadline_s
        self._pulls = pulls
        self._installed: set[str] = set()
        """Installed models that requests may not download."""
        self._logged_at = float("-inf")

    @property
    def lost(self) -> int:
        """Calls whose runner died before the answer was complete."""
        return self._attempts.lost

    @property
    def restarts(self) -> int:
        """Number of times that `report` was answered by a new process."""
        return self.replicas.restarts

    @property
    def working(self) -> int:
        """Number of replicas that take calls; at least 1."""
        return self.replicas.working

    @property
    def is_coming_back(self) -> bool:
        """Whether a runner has answered before, does not answer now, and was lost a moment ago: calls wait for it."""
        return any(replica.is_coming_back for replica in self.replicas.members)

    async def require(self, model: str) -> None:
        """Check that a model is installed or may be downloaded for a request.

        Raises PullNotAllowed, BackendUnavailable if the runner does not answer.
        """
        if self._pulls is None or self._pulls.permits(model) or model in self._installed:
            for replica in self.replicas.members:
                replica.questions.wake_soon(within_s=self._deadline_s)
            return
        await self._ask(Replica.ask_kept)
        if not any(model in replica.kept for replica in self.replicas.members):
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
        trial = await self._attempts.trial(call)
        while True:
            seen = 0
            try:
                async with aclosing(self._frames(trial)) as frames:
                    async for frame in frames:
                        seen += 1
                        if seen > yielded:
                            yielded = seen
                            yield transcript_item(frame)
                break
            except RunnerGone as gone:
                await self._attempts.before_retry(trial, gone)
        if not yielded:
            raise BackendFailed(f"The backend {self.name} returned no result.")

    async def diarize(self, model: str, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Return who spoke when; retried if the runner died. Raises as `transcribe`."""
        await self.require(model)
        return turns_of(await self._result(DiarizeCall.of(model, audio, options)))

    async def voiceprints(
        self, model: str, audio: Audio, windows: Sequence[tuple[float, float]], *, urgency: int = FILE
    ) -> NDArray[np.float32]:
        """Return the voiceprint of each window (start and end in seconds) of an audio at STT_RATE, shape (windows, n).

        Retried if the runner died. `urgency` and the errors are as in `transcribe`.
        """
        await self.require(model)
        return voiceprints_of(await self._result(VoiceprintsCall.of(model, audio, windows, urgency)))

    async def synthesize(
        self, model: str, text: str, options: SpeechOptions, *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[Audio, None]:
        """Speak one piece of text. Retried if the runner died before the first audio; later it is an error, never truncated audio.

        `urgency`, `patience_s` and the errors are as in `transcribe`.
        """
        await self.require(model)
        call = SpeakCall.of(model, text, options, urgency=urgency, patience_s=patience_s)
        async with aclosing(self._until_begun(call)) as frames:
            async for frame in frames:
                yield audio_of(frame)

    async def generate(
        self, model: str, request: Mapping[str, Any], *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the chunks of a language model's answer. Retried if the runner died before the first chunk; later it is an error.

        `request` is as in TextGenerator; `urgency`, `patience_s` and the errors are as in `transcribe`.
        """
        await self.require(model)
        call = GenerateCall.of(model, request, urgency=urgency, patience_s=patience_s)
        async with aclosing(self._until_begun(call)) as frames:
            async for frame in frames:
                yield chunk_of(frame)

    async def load(self, model: str, *, at: str | None = None) -> None:
        """Load a model, and download it first if necessary; retried if the runner died. Raises SpeechError's children.

        `at` is the address of a replica, or ALL; None: the replica that a call of the model would be sent to. Calls of the model that were
        given up may be sent again.
        """
        await self.require(model)
        self._attempts.forget(model)
        await self._each(LoadModel(model), at)

    async def pull(self, model: str) -> None:
        """Download a model's files at every replica; cancelling this stops the download. Retried and raises as `load`."""
        await self.require(model)
        await self._each(PullModel(model), ALL)

    async def remove(self, model: str) -> int:
        """Unload a model and delete its files at every replica; return the bytes that were freed. Retried and raises as `load`."""
        self._installed.discard(model)
        for replica in self.replicas.members:
            replica.kept.pop(model, None)
        answers = await self._each(RemoveModel(model), ALL)
        return sum(int(json.loads(_only(self.name, frames).payload)["freed_bytes"]) for frames in answers)

    async def kept(self, *, within_s: float = 2.0) -> dict[str, int]:
        """Return the size in bytes of each completely downloaded model, at any replica.

        The last answer counts for a replica that does not answer within `within_s` seconds.
        """

        async def ask(replica: Replica) -> None:
            try:
                async with asyncio.timeout(within_s):
                    await replica.ask_kept()
            except (RunnerGone, BackendFailed, TimeoutError):
                log.warning("%s does not say which models it has", f"{self.name} {replica.address}".strip())

        await asyncio.gather(*map(ask, self.replicas.members))
        return {model: size for replica in self.replicas.members for model, size in replica.kept.items()}

    async def unload(self, model: str, *, at: str | None = None) -> bool:
        """Unload a model at one replica, or at all by default; return False if it was not loaded.

        Its calls that were given up may be sent again. Raises BackendUnavailable, or UnknownReplica if there is none at this address.
        """
        self._attempts.forget(model)
        return any(await self._ask(lambda replica: replica.unload(model), at))

    async def report(self, *, within_s: float = 2.0) -> Report:
        """Return the status of the backend, and the state of each of several replicas. Takes at most `within_s` seconds."""
        return Report.of(await self.replicas.states(within_s=within_s), is_fleet=self.replicas.is_fleet)

    async def status(self, *, within_s: float = 2.0) -> dict[str, Any] | None:
        """Return the status of the backend; None if no runner answers within `within_s` seconds."""
        return (await self.report(within_s=within_s)).status

    async def _until_begun(self, call: Call) -> AsyncGenerator[Frame, None]:
        """Make a call, and yield its payload frames as they arrive; retried if the runner died before the first of them."""
        trial = await self._attempts.trial(call)
        while True:
            has_begun = False
            try:
                async with aclosing(self._frames(trial)) as frames:
                    async for frame in frames:
                        has_begun = True
                        yield frame
                return
            except RunnerGone as gone:
                if has_begun:
                    self._attempts.note_loss(trial, gone)
                    raise self._attempts.unavailable() from gone
                await self._attempts.before_retry(trial, gone)

    async def _result(self, call: Call) -> Frame:
        """Make a call that is answered by one payload frame; retried if the runner died. Raises BackendFailed if there is none."""
        return _only(self.name, await self._done(call))

    async def _done(self, call: Call, at: str | None = None) -> list[Frame]:
        """Make a call, with retries if the runner died; return its payload frames when the answer is complete."""
        trial = await self._attempts.trial(call, at)
        while True:
            try:
                async with aclosing(self._frames(trial)) as frames:
                    return [frame async for frame in frames]
            except RunnerGone as gone:
                await self._attempts.before_retry(trial, gone)

    async def _each(self, call: Call, at: str | None) -> list[list[Frame]]:
        """Make a call at one replica, or with ALL at every replica that answers. Raises the first error that is not a loss."""
        if at != ALL or not self.replicas.is_fleet:
            return [await self._done(call, None if at == ALL else at)]
        targets = await self._targets(None)
        answers = await asyncio.gather(*(self._done(call, replica.address) for replica in targets), return_exceptions=True)
        return _answered(answers, (BackendUnavailable, UnknownReplica))

    async def _ask(self, ask: Callable[[Replica], Awaitable[A]], at: str | None = None) -> list[A]:
        """Ask one replica, or all by default; return the answers. Raises BackendUnavailable if there is none."""

        async def in_time(replica: Replica) -> A:
            async with asyncio.timeout(self._deadline_s):
                return await ask(replica)

        targets = await self._targets(at)
        try:
            return _answered(await asyncio.gather(*map(in_time, targets), return_exceptions=True), (RunnerGone, TimeoutError))
        except (RunnerGone, TimeoutError) as gone:
            raise self._attempts.unavailable() from gone

    async def _targets(self, at: str | None) -> list[Replica]:
        """Return one replica, or all that work, or all if none does. Raises BackendUnavailable or UnknownReplica."""
        try:
            await self.replicas.known()
        except RunnerGone as gone:
            raise self._attempts.unavailable() from gone
        if at not in (None, ALL):
            return [self.replicas.at(at)]
        return [replica for replica in self.replicas.members if not replica.is_failing] or self.replicas.members

    async def _warm(self, model: str, replica: Replica) -> None:
        """Load a model at a replica because those that have it are busy."""
        log.info("%s: loading %s at %s as well", self.name, model, replica.address)
        try:
            await self.load(model, at=replica.address)
        except SpeechError as error:
            log.warning("%s: loading %s at %s failed: %s", self.name, model, replica.address, error)

    async def _frames(self, trial: Trial) -> AsyncGenerator[Frame, None]:
        """Yield the payload frames of one attempt; return only after END. Raises what an ERROR frame holds, RunnerGone, BackendTimeout."""
        decoder = Decoder()
        async with self._attempts.attempt(trial) as replica, aclosing(replica.link.call(trial.call)) as chunks:
            try:
                while (chunk := await self._next(chunks)) is not None:
                    try:
                        arrived = list(decoder.feed(chunk))
                    except BrokenStream as broken:
                        raise BackendFailed(f"The backend {self.name} returned an invalid response.") from broken
                    for frame in arrived:
                        match frame.kind:
                            case Kind.END:
                                replica.succeeded(trial.call)
                                return
                            case Kind.ERROR:
                                raise error_of(frame)
                            case Kind.PROGRESS:
                                self._report_progress(frame)
                            case _:
                                yield frame
            except (BackendFailed, BackendTimeout, WeightsUnavailable):
                replica.failed()
                raise
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


def _only(name: str, frames: Sequence[Frame]) -> Frame:
    """Return the first payload frame of an answer. Raises BackendFailed if there is none."""
    if not frames:
        raise BackendFailed(f"The backend {name} returned no result.")
    return frames[0]


def _answered(answers: Sequence[A | BaseException], lost: tuple[type[Exception], ...]) -> list[A]:
    """Return the answers of the replicas that have answered. Raises the first error that is not `lost`, or any if there is no answer."""
    errors = sorted((answer for answer in answers if isinstance(answer, BaseException)), key=lambda error: isinstance(error, lost))
    found = [answer for answer in answers if not isinstance(answer, BaseException)]
    if errors and not (found and isinstance(errors[0], lost)):
        raise errors[0]
    return found
