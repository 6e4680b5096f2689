"""One job, done: what was handed in goes through the engine, and what comes of it is put beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from open_speech.api.jobs import checkpoints, disk
from open_speech.api.jobs.checkpoints import Checkpoint
from open_speech.api.jobs.intake import heard_request, job_synthesis, speech_request
from open_speech.api.jobs.job import Job, Order, Result
from open_speech.api.jobs.store import JobStore
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.audio import Audio
from open_speech.codecs import stated_seconds
from open_speech.codecs.wav import HEADER_BYTES, with_true_sizes
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.resume import moved
from open_speech.security.private_files import open_private, settle
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.stream import SpeechStream
from open_speech.transcript import Segment, Transcript, TranscriptInfo

TRANSCRIPT, CHECKPOINTS = "result.json", "heard.jsonl"
_TRANSCRIPT = TypeAdapter(Transcript)

Tell = Callable[[float, float | None, float], Awaitable[None]]
"""Takes how far it is: seconds of sound that are done, seconds of the whole if that is known, and the share in [0, 1]."""


class Work:
    """How jobs are done by one engine."""

    def __init__(self, engine: Engine, settings: Settings, store: JobStore) -> None:
        self._engine = engine
        self._settings = settings
        self._store = store

    async def do(self, job: Job, tell: Tell) -> Result:
        """Do a job from where it was broken off, if it was. Raises SpeechError's children; cancelling it stops the engine."""
        order = await asyncio.to_thread(self._store.order, job.id)
        return await (self._spoken(order, tell) if job.type == "speech" else self._heard(job, order, tell))

    async def _heard(self, job: Job, order: Order, tell: Tell) -> Result:
        wanted = await recognition_request(heard_request(job.type, order.fields), self._engine.pool, self._settings)
        upload, path = self._store.upload(job.id), self._store.path(job.id, CHECKPOINTS)
        total_s = await asyncio.to_thread(stated_seconds, upload)
        memory = Memory(path, await asyncio.to_thread(checkpoints.read, path))
        transcript = await self._transcribed(wanted, upload, memory, partial(_tell_of, tell, total_s))
        data = _TRANSCRIPT.dump_json(transcript)
        with disk.storing():
            await asyncio.to_thread(disk.write, self._store.path(job.id, TRANSCRIPT), data)
            await asyncio.to_thread(checkpoints.forget, path)
        return Result(file=TRANSCRIPT, size=len(data), audio_s=transcript.info.duration)

    async def _transcribed(
        self, wanted: RecognitionRequest, upload: Path, memory: Memory, tell: Callable[[float], Awaitable[None]]
    ) -> Transcript:
        start_s = memory.until_s
        if wanted.channels == "mix":  # else the channels may have different languages
            wanted = replace(wanted, options=replace(wanted.options, language=memory.language or wanted.options.language))
        transcription = await self._engine.recognition.stream(upload, replace(wanted, start_s=start_s))
        async with aclosing(transcription):
            async for segment in transcription:
                await memory.add(transcription.info, segment)
                await tell(start_s + segment.end)
        return memory.whole(transcription.info)

    async def _spoken(self, order: Order, tell: Tell) -> Result:
        body = speech_request(order.fields)
        form = body.response_format or self._settings.tts_default_format
        rendition = await self._engine.synthesis.render(
            await job_synthesis(body), form, lambda _: _Progress(len(body.input), tell), reuse=False
        )
        path, size = self._store.path(order.job.id, f"result.{form}"), 0
        async with aclosing(rendition.audio) as audio:
            with disk.storing(), await asyncio.to_thread(open_private, path, "w+b") as file:
                async for chunk in audio:
                    size += await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_complete_header, file, size)
                await asyncio.to_thread(settle, file)
        return Result(file=path.name, size=size, audio_s=rendition.monitor.seconds, warnings=tuple(rendition.plan.warnings))


def _complete_header(file: BinaryIO, size: int) -> None:
    """Write the true sizes into the header of a WAV file: they were not known when it was begun. Blocking."""
    file.seek(0)
    head = with_true_sizes(file.read(HEADER_BYTES), size)
    file.seek(0)
    file.write(head)
    file.seek(0, SEEK_END)


class Memory:
    """What was heard of one file. A window is kept on disk when the first segment of a later one has come: then it is final."""

    def __init__(self, path: Path, before: Sequence[Checkpoint]) -> None:
        """`before` is what an earlier run has kept at `path`."""
        self._path = path
        self._before = before[-1].info if before else None
        self._segments = [segment for checkpoint in before for segment in checkpoint.segments]
        self._window: list[Segment] = []
        self._info: TranscriptInfo | None = None

    @property
    def until_s(self) -> float:
        """Seconds of the file that an earlier run has heard."""
        return self._before.duration if self._before else 0.0

    @property
    def language(self) -> str | None:
        """The language that it found; None without one."""
        return (self._before.language or None) if self._before else None

    async def add(self, info: TranscriptInfo, segment: Segment) -> None:
        """Take one more segment of this run; the duration of `info` is how far this run has heard."""
        info, segment = self._told(info), moved(segment, self.until_s)
        if self._info is not None and self._info.duration < info.duration:
            await self._keep(self._info)
        self._window.append(segment)
        self._info = info

    async def _keep(self, info: TranscriptInfo) -> None:
        """Keep what ends within the duration of `info`, unless a segment goes on beyond it; of several channels, one may be ahead."""
        final = [segment for segment in self._window if segment.end <= info.duration]
        rest = [segment for segment in self._window if segment.end > info.duration]
        if final and all(segment.start >= info.duration for segment in rest):
            await asyncio.to_thread(checkpoints.add, self._path, Checkpoint(info, tuple(final)))
            self._segments += final
            self._window = rest

    def whole(self, info: TranscriptInfo) -> Transcript:
        """Give all that was heard, by this run and by earlier ones."""
        return Transcript(self._told(info), (*self._segments, *self._window))

    def _told(self, info: TranscriptInfo) -> TranscriptInfo:
        sure = self._before.language_probability if self._before else info.language_probability
        return replace(info, duration=self.until_s + info.duration, language_probability=sure)


class _Progress:
    """Follows a speech: its duration, and how much of its text was spoken."""

    def __init__(self, characters: int, tell: Tell) -> None:
        self.seconds = 0.0
        self._characters = characters
        self._tell = tell

    async def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        said = saying = 0
        async for item in narrated(speech):
            if isinstance(item, Audio):
                self.seconds += item.seconds
                yield item
            elif not item.is_mark:
                said, saying = said + saying, len(item.text)
                await self._tell(self.seconds, None, said / self._characters)


async def _tell_of(tell: Tell, total_s: float | None, done_s: float) -> None:
    await tell(done_s, total_s, done_s / total_s if total_s else 0.0)


def transcript_of(path: Path) -> Transcript:
    """Read the transcript that a job has made. Blocking; raises StorageFailed."""
    with disk.storing():
        try:
            return _TRANSCRIPT.validate_json(path.read_bytes())
        except ValidationError as damaged:
            raise OSError(0, "its result is damaged") from damaged
