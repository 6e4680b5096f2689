"""The async client of one runner: frames in, values out; deadlines, repeats and error mapping live here and nowhere else."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, Heard, SpeechOptions, TranscribeOptions, Turn, Window
from open_speech.dispatch.frames import (
    FILE,
    BrokenStream,
    Decoder,
    DiarizeCall,
    Frame,
    HearCall,
    Kind,
    SpeakCall,
    TranscribeCall,
    audio_of,
    error_of,
    heard_of,
    turns_of,
    window_of,
)
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable
from open_speech.security.pull_policy import PullGuard, refusal
from open_speech.transcript import Segment, TranscriptInfo

log = logging.getLogger("open_speech.remote")

ATTEMPTS = 3
"""Times one call is tried when its runner dies under it; a request that kills every runner it meets stops here."""
PAUSE_S = 0.3
"""Seconds before a repeat; a restarting runner keeps its socket, so the repeat waits there until it is up."""
BACK_WITHIN_S = 15.0
"""Seconds in which a runner that was there is expected back: calls wait for it, so it counts as there."""
SAY_S = 5.0
"""Seconds between two lines in the log about a model that is being fetched."""


class RunnerGone(Exception):
    """The runner's process died, or the connection to it broke, before its answer was complete."""


class Link(Protocol):
    """Something that takes calls for one runner: a process, a remote server, or this process. Answers are bytes of frames.

    Raises RunnerGone when the runner is not there any more; every other failure comes as an ERROR frame.
    """

    def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Transcribe."""
        ...

    def hear(self, call: HearCall) -> AsyncGenerator[bytes, None]:
        """Transcribe one window."""
        ...

    def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        """Tell who spoke when."""
        ...

    def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        """Speak one piece of text."""
        ...

    def load(self, model: str) -> AsyncGenerator[bytes, None]:
        """Fetch and load a model."""
        ...

    async def unload(self, model: str) -> bool:
        """Let go of a model."""
        ...

    async def status(self) -> dict[str, Any]:
        """Tell what is loaded."""
        ...


class Weights(Protocol):
    """Something that looks after the model files of one runner, where that runner is. Raises RunnerGone as a Link does."""

    def pull(self, model: str) -> AsyncGenerator[bytes, None]:
        """Fetch a model's files; closing this stops that."""
        ...

    def remove(self, model: str) -> AsyncGenerator[bytes, None]:
        """Let go of a model and delete its files; one JSON frame tells the bytes that were freed."""
        ...

    async def kept(self) -> dict[str, int]:
        """Tell the bytes of each model that is here in whole."""
        ...


class RunnerClient:
    """One runner, seen from the engine."""

    def __init__(self, name: str, link: Link, *, deadline_s: float, weights: Weights | None = None, pulls: PullGuard | None = None) -> None:
        """`deadline_s`: the longest wait, in seconds, for each next frame of an answer. Without `weights` nobody here sees to its files.

        `pulls` decides which models may be downloaded for a request; None allows all.
        """
        self.name = name
        self.beats = 0
        """PROGRESS frames so far: it grows while a model is fetched or loaded and calls wait for that."""
        self.lost = 0
        """Calls whose runner died under them."""
        self.restarts = 0
        """Times that `status` was answered by another process than before."""
        self._pid: int | None = None
        self._link = link
        self._deadline_s = deadline_s
        self._weights = weights
        self._pulls = pulls
        self._here: set[str] = set()
        """Models that were found installed and that requests may not have downloaded."""
        self._seen = False
        self._missing_since: float | None = None
        self._said_at = float("-inf")

    @property
    def is_coming_back(self) -> bool:
        """Whether it was there, does not answer now, and is not away for long."""
        return self._missing_since is not None and time.monotonic() - self._missing_since < BACK_WITHIN_S

    async def require(self, model: str) -> None:
        """Check that a model is installed or may be downloaded for a request.

        Raises PullNotAllowed, BackendUnavailable if the runner cannot be asked.
        """
        if self._pulls is None or self._pulls.permits(model) or model in self._here:
            return
        weights = self._kept_weights()
        try:
            async with asyncio.timeout(self._deadline_s):
                kept = await weights.kept()
        except (RunnerGone, TimeoutError) as gone:
            raise self._unavailable() from gone
        if model not in kept:
            raise refusal(model)
        self._here.add(model)

    async def hear(self, model: str, window: Window, *, asker: str, urgency: int = FILE, patience_s: float = 0.0) -> Heard:
        """Transcribe one window; repeated if its runner died, so nothing is lost.

        `asker` names the request, for its fair share of the runner. Everything else is as in `transcribe`.
        """
        await self.require(model)
        call = HearCall.window(model, window, asker=asker, urgency=urgency, patience_s=patience_s)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._frames(lambda: self._link.hear(call))) as frames:
                    async for frame in frames:
                        return window_of(frame)
                break
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        raise BackendFailed(f"The backend {self.name} returned no result.")

    async def transcribe(
        self, model: str, audio: Audio, options: TranscribeOptions, *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[TranscriptInfo | Segment, None]:
        """Transcribe a whole audio: one TranscriptInfo, then the segments in order, each as soon as it is final.

        `urgency` is FILE, LIVE_PARTIAL or LIVE; what waits for its turn longer than `patience_s` seconds is given up (0: never). A call
        whose runner died is repeated, without what was given already. Raises SpeechError's children: the backend's own, Overloaded,
        BackendTimeout, BackendUnavailable.
        """
        await self.require(model)
        call = TranscribeCall.of(model, audio, options, urgency=urgency, patience_s=patience_s)
        given = 0
        for attempt in range(1, ATTEMPTS + 1):
            seen = 0
            try:
                async with aclosing(self._frames(lambda: self._link.transcribe(call))) as frames:
                    async for frame in frames:
                        seen += 1
                        if seen > given:
                            given = seen
                            yield heard_of(frame)
                break
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        if not given:
            raise BackendFailed(f"The backend {self.name} returned no result.")

    async def diarize(self, model: str, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Tell who spoke when; repeated if its runner died. Raises as `transcribe`."""
        await self.require(model)
        call = DiarizeCall.of(model, audio, options)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._frames(lambda: self._link.diarize(call))) as frames:
                    async for frame in frames:
                        return turns_of(frame)
                break
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        raise BackendFailed(f"The backend {self.name} returned no result.")

    async def synthesize(
        self, model: str, text: str, options: SpeechOptions, *, urgency: int = FILE, patience_s: float = 0.0
    ) -> AsyncGenerator[Audio, None]:
        """Speak one piece of text; repeated if the runner died before any of it was heard, after that an error, never a short success.

        `urgency`, `patience_s` and what is raised are as in `transcribe`.
        """
        await self.require(model)
        call = SpeakCall.of(model, text, options, urgency=urgency, patience_s=patience_s)
        for attempt in range(1, ATTEMPTS + 1):
            heard = False
            try:
                async with aclosing(self._frames(lambda: self._link.synthesize(call))) as frames:
                    async for frame in frames:
                        heard = True
                        yield audio_of(frame)
                return
            except RunnerGone as gone:
                await self._before_repeat(ATTEMPTS if heard else attempt, gone)

    async def load(self, model: str) -> None:
        """Have a model fetched and loaded; repeated if the runner died. Raises SpeechError's children."""
        await self.require(model)
        await self._done(lambda: self._link.load(model))

    async def pull(self, model: str) -> None:
        """Have a model's files fetched; cancelling this stops it. Repeated and raises as `load`."""
        await self.require(model)
        weights = self._kept_weights()
        await self._done(lambda: weights.pull(model))

    async def remove(self, model: str) -> int:
        """Have a model let go of and its files deleted; gives the bytes that were freed. Repeated and raises as `load`."""
        weights = self._kept_weights()
        self._here.discard(model)
        (told, *_) = await self._done(lambda: weights.remove(model))
        return int(json.loads(told.payload)["freed_bytes"])

    async def kept(self, *, within_s: float = 2.0) -> dict[str, int]:
        """Tell the bytes of each model that is there in whole; nothing if there is no answer within `within_s` seconds."""
        if self._weights is None:
            return {}
        try:
            async with asyncio.timeout(within_s):
                return await self._weights.kept()
        except (RunnerGone, BackendFailed, TimeoutError):
            return {}

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded. Raises BackendUnavailable."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._link.unload(model)
        except (RunnerGone, TimeoutError) as gone:
            raise self._unavailable() from gone

    async def status(self, *, within_s: float = 2.0) -> dict[str, Any] | None:
        """Ask what is loaded; None if there is no answer within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                answer = await self._link.status()
        except (RunnerGone, BackendFailed, TimeoutError):
            if self._seen and self._missing_since is None:
                self._missing_since = time.monotonic()
            return None
        self._seen, self._missing_since = True, None
        pid = answer.get("pid")
        self.restarts += self._pid not in (None, pid)
        self._pid = pid
        return answer

    async def _done(self, start: Callable[[], AsyncGenerator[bytes, None]]) -> list[Frame]:
        """Make a call that may be made again; gives its payload frames when it has ended."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._frames(start)) as frames:
                    return [frame async for frame in frames]
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        raise self._unavailable()

    def _kept_weights(self) -> Weights:
        if self._weights is None:
            raise BackendUnavailable(f"The files of the backend {self.name} are not managed by this server.")
        return self._weights

    async def _frames(self, start: Callable[[], AsyncGenerator[bytes, None]]) -> AsyncGenerator[Frame, None]:
        """Yield the payload frames of one answer; returns only after END. Raises what an ERROR frame holds, RunnerGone, BackendTimeout."""
        decoder = Decoder()
        async with aclosing(start()) as chunks:
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
                            self._beat(frame)
                        case _:
                            yield frame
        raise RunnerGone("the response was truncated")

    def _beat(self, frame: Frame) -> None:
        """Say now and then, in the log, why calls wait."""
        self.beats += 1
        now = time.monotonic()
        if len(frame.payload) > len(b"{}") and now - self._said_at >= SAY_S:
            self._said_at = now
            log.info("%s: %s", self.name, frame.payload.decode())

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await anext(chunks, None)
        except TimeoutError as late:
            raise BackendTimeout(f"The backend {self.name} did not answer within {self._deadline_s:g} s.") from late

    async def _before_repeat(self, attempt: int, gone: RunnerGone) -> None:
        """Pause before a repeat; after the last attempt raise instead."""
        self.lost += 1
        log.warning("runner %s is not reachable (%s), attempt %d of %d", self.name, gone, attempt, ATTEMPTS)
        if attempt >= ATTEMPTS:
            raise self._unavailable() from gone
        await asyncio.sleep(PAUSE_S)

    def _unavailable(self) -> BackendUnavailable:
        return BackendUnavailable(f"The backend {self.name} is not available at the moment; it is being restarted.", retry_after_s=5)
