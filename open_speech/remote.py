"""The async client of one runner: frames in, values out; deadlines, repeats and error mapping live here and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, Heard, SpeechOptions, TranscribeOptions, Turn, Window
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable
from open_speech.transcript import Segment, TranscriptInfo
from open_speech.wire import (
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

log = logging.getLogger("open_speech.remote")

ATTEMPTS = 3
"""Times one call is tried when its runner dies under it; a request that kills every runner it meets stops here."""
PAUSE_S = 0.3
"""Seconds before a repeat; a restarting runner keeps its socket, so the repeat waits there until it is up."""


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


class RunnerClient:
    """One runner, seen from the engine."""

    def __init__(self, name: str, link: Link, *, deadline_s: float) -> None:
        """`deadline_s`: the longest wait, in seconds, for each next frame of an answer."""
        self.name = name
        self._link = link
        self._deadline_s = deadline_s

    async def hear(self, model: str, window: Window, *, asker: str, urgent: bool = False) -> Heard:
        """Transcribe one window; repeated if its runner died, so nothing is lost.

        `asker` names the request, for its fair share of the runner. Raises as `transcribe`.
        """
        call = HearCall.window(model, window, asker=asker, urgent=urgent)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._frames(lambda: self._link.hear(call))) as frames:
                    async for frame in frames:
                        return window_of(frame)
                break
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        raise BackendFailed(f"The backend {self.name} gave no result.")

    async def transcribe(
        self, model: str, audio: Audio, options: TranscribeOptions
    ) -> AsyncGenerator[TranscriptInfo | Segment, None]:
        """Transcribe a whole audio: one TranscriptInfo, then the segments in order, each as soon as it is final.

        A call whose runner died is repeated, without what was given already. Raises SpeechError's children: the backend's own,
        BackendTimeout, BackendUnavailable.
        """
        call = TranscribeCall.of(model, audio, options)
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
            raise BackendFailed(f"The backend {self.name} gave no result.")

    async def diarize(self, model: str, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Tell who spoke when; repeated if its runner died. Raises as `transcribe`."""
        call = DiarizeCall.of(model, audio, options)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._frames(lambda: self._link.diarize(call))) as frames:
                    async for frame in frames:
                        return turns_of(frame)
                break
            except RunnerGone as gone:
                await self._before_repeat(attempt, gone)
        raise BackendFailed(f"The backend {self.name} gave no result.")

    async def synthesize(self, model: str, text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        """Speak one piece of text; repeated if the runner died before any of it was heard, after that an error, never a short success.

        Raises SpeechError's children: the backend's own, BackendTimeout, BackendUnavailable.
        """
        call = SpeakCall.of(model, text, options)
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
        """Have a model fetched and loaded. Raises SpeechError's children."""
        try:
            async with aclosing(self._frames(lambda: self._link.load(model))) as frames:
                async for _ in frames:
                    pass
        except RunnerGone as gone:
            raise self._unavailable() from gone

    async def unload(self, model: str) -> bool:
        """Let go of a model; False if it was not loaded."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._link.unload(model)
        except (RunnerGone, TimeoutError) as gone:
            raise self._unavailable() from gone

    async def status(self, *, within_s: float = 2.0) -> dict[str, Any] | None:
        """Ask what is loaded; None if there is no answer within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                return await self._link.status()
        except (RunnerGone, BackendFailed, TimeoutError):
            return None

    async def _frames(self, start: Callable[[], AsyncGenerator[bytes, None]]) -> AsyncGenerator[Frame, None]:
        """Yield the payload frames of one answer; returns only after END. Raises what an ERROR frame holds, RunnerGone, BackendTimeout."""
        decoder = Decoder()
        async with aclosing(start()) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                try:
                    arrived = list(decoder.feed(chunk))
                except BrokenStream as broken:
                    raise BackendFailed(f"The backend {self.name} answered out of protocol.") from broken
                for frame in arrived:
                    match frame.kind:
                        case Kind.END:
                            return
                        case Kind.ERROR:
                            raise error_of(frame)
                        case Kind.PROGRESS:
                            log.debug("%s: %s", self.name, frame.payload)
                        case _:
                            yield frame
        raise RunnerGone("the answer was cut short")

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await anext(chunks, None)
        except TimeoutError as late:
            raise BackendTimeout(f"The backend {self.name} did not answer within {self._deadline_s:g} s.") from late

    async def _before_repeat(self, attempt: int, gone: RunnerGone) -> None:
        """Pause before a repeat; after the last attempt raise instead."""
        log.warning("runner %s is gone (%s), attempt %d of %d", self.name, gone, attempt, ATTEMPTS)
        if attempt >= ATTEMPTS:
            raise self._unavailable() from gone
        await asyncio.sleep(PAUSE_S)

    def _unavailable(self) -> BackendUnavailable:
        return BackendUnavailable(f"The backend {self.name} is not there at the moment; it is being started again.", retry_after_s=5)


