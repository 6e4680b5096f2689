"""Processing of one job: its input is passed to the engine, and the result is stored in the folder of the job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from open_speech import logs
from open_speech.api.jobs import checkpoints, disk
from open_speech.api.jobs.checkpoints import Checkpoint
from open_speech.api.jobs.intake import job_speech, recognition_body, speech_body
from open_speech.api.jobs.job import Job, JobInput, Result
from open_speech.api.jobs.owners import is_local_only
from open_speech.api.jobs.store import JobStore
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.audio import Audio
from open_speech.codecs import stated_seconds
from open_speech.codecs.wav import HEADER_BYTES, with_true_sizes
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.resume import moved
from open_speech.security import egress
from open_speech.security.private_files import open_private, settle
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.stream import SpeechStream
from open_speech.transcript import Segment, Transcript, TranscriptInfo

TRANSCRIPT, CHECKPOINTS = "result.json", "heard.jsonl"
_TRANSCRIPT = TypeAdapter(Transcript)

ReportProgress = Callable[[float, float | None, float], Awaitable[None]]
"""Receives the progress: processed seconds of audio, total seconds if known, and the fraction that is done, in [0, 1]."""


class Work:
    """Processes jobs with one engine."""

    def __init__(self, engine: Engine, settings: Settings, store: JobStore) -> None:
        self._engine = engine
        self._settings = settings
        self._store = store

    async def do(self, job: Job, report: ReportProgress) -> Result:
        """Process a job, from its last checkpoint if there is one. Raises subclasses of SpeechError. Cancellation stops the engine."""
        stored = await asyncio.to_thread(self._store.input_of, job.id)
        with egress.keeping(local_only=is_local_only(job.owner, self._settings)), logs.on(logs.RequestContext(job.id, "jobs")) as context:
            result = await (self._synthesize(stored, report) if job.type == "speech" else self._transcribe(job, stored, report))
        return result.model_copy(update={"models": context.answered_by})

    async def _transcribe(self, job: Job, stored: JobInput, report: ReportProgress) -> Result:
        request = await recognition_request(recognition_body(job.type, stored.fields), self._engine.pool, self._settings)
        upload, path = self._store.upload(job.id), self._store.path(job.id, CHECKPOINTS)
        total_s = await asyncio.to_thread(stated_seconds, upload)
        partial_transcript = PartialTranscript(path, await asyncio.to_thread(checkpoints.read, path))
        transcript = await self._recognize(request, upload, partial_transcript, partial(_report, report, total_s))
        data = _TRANSCRIPT.dump_json(transcript)
        with disk.storing():
            await asyncio.to_thread(disk.write, self._store.path(job.id, TRANSCRIPT), data)
            await asyncio.to_thread(checkpoints.forget, path)
        return Result(file=TRANSCRIPT, size=len(data), audio_s=transcript.info.duration)

    async def _recognize(
        self, request: RecognitionRequest, upload: Path, partial_transcript: PartialTranscript, report: Callable[[float], Awaitable[None]]
    ) -> Transcript:
        start_s = partial_transcript.until_s
        if request.channels == "mix":  # otherwise the channels may have different languages
            request = replace(request, options=replace(request.options, language=partial_transcript.language or request.options.language))
        transcription = await self._engine.recognition.stream(upload, replace(request, start_s=start_s))
        async with aclosing(transcription):
            async for segment in transcription:
                await partial_transcript.add(transcription.info, segment)
                await report(start_s + segment.end)
        return partial_transcript.whole(transcription.info)

    async def _synthesize(self, stored: JobInput, report: ReportProgress) -> Result:
        body = speech_body(stored.fields)
        form = body.response_format or self._settings.tts_default_format
        rendition = await self._engine.synthesis.render(
            await job_speech(body), form, lambda _: _Progress(len(body.input), report), reuse=False
        )
        path, size = self._store.path(stored.job.id, f"result.{form}"), 0
        async with aclosing(rendition.audio) as audio:
            with disk.storing(), await opened(path) as file:
                async for chunk in audio:
                    size += await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_complete_header, file, size)
                await asyncio.to_thread(settle, file)
        return Result(file=path.name, size=size, audio_s=rendition.monitor.seconds, warnings=tuple(rendition.plan.warnings))


async def opened(path: Path) -> BinaryIO:
    """Open a result for writing. A job that is stopped while its file is being opened leaves no open file."""
    opening = asyncio.ensure_future(asyncio.to_thread(open_private, path, "w+b"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(OSError):
            (await opening).close()
        raise


def _complete_header(file: BinaryIO, size: int) -> None:
    """Write the actual sizes into the header of a WAV file, which were unknown at its beginning. Blocking."""
    file.seek(0)
    head = with_true_sizes(file.read(HEADER_BYTES), size)
    file.seek(0)
    file.write(head)
    file.seek(0, SEEK_END)


class PartialTranscript:
    """The transcript of one file so far. A window is final, and is stored on disk, when the first segment of a later one arrives."""

    def __init__(self, path: Path, before: Sequence[Checkpoint]) -> None:
        """`before` are the checkpoints that an earlier run has stored at `path`."""
        self._path = path
        self._before = before[-1].info if before else None
        self._segments = [segment for checkpoint in before for segment in checkpoint.segments]
        self._window: list[Segment] = []
        self._info: TranscriptInfo | None = None

    @property
    def until_s(self) -> float:
        """Seconds of the file that an earlier run has transcribed."""
        return self._before.duration if self._before else 0.0

    @property
    def language(self) -> str | None:
        """The language that an earlier run detected; None if there is none."""
        return (self._before.language or None) if self._before else None

    async def add(self, info: TranscriptInfo, segment: Segment) -> None:
        """Add a segment of this run; the duration of `info` is the audio that this run has transcribed."""
        info, segment = self._of_file(info), moved(segment, self.until_s)
        if self._info is not None and self._info.duration < info.duration:
            await self._store(self._info)
        self._window.append(segment)
        self._info = info

    async def _store(self, info: TranscriptInfo) -> None:
        """Store the segments that end within the duration of `info`, unless another one extends beyond it: one channel may be ahead."""
        final = [segment for segment in self._window if segment.end <= info.duration]
        rest = [segment for segment in self._window if segment.end > info.duration]
        if final and all(segment.start >= info.duration for segment in rest):
            await asyncio.to_thread(checkpoints.add, self._path, Checkpoint(info, tuple(final)))
            self._segments += final
            self._window = rest

    def whole(self, info: TranscriptInfo) -> Transcript:
        """Return the complete transcript of this run and earlier ones."""
        return Transcript(self._of_file(info), (*self._segments, *self._window))

    def _of_file(self, info: TranscriptInfo) -> TranscriptInfo:
        """Convert the info of this run to that of the whole file."""
        probability = self._before.language_probability if self._before else info.language_probability
        return replace(info, duration=self.until_s + info.duration, language_probability=probability)


class _Progress:
    """Observes a speech: its duration, and how much of its text was spoken."""

    def __init__(self, characters: int, report: ReportProgress) -> None:
        self.seconds = 0.0
        self._characters = characters
        self._report = report

    async def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        done_chars = piece_chars = 0
        async for item in narrated(speech):
            if isinstance(item, Audio):
                self.seconds += item.seconds
                yield item
            elif not item.is_mark:
                done_chars, piece_chars = done_chars + piece_chars, len(item.text)
                await self._report(self.seconds, None, done_chars / self._characters)


async def _report(report: ReportProgress, total_s: float | None, done_s: float) -> None:
    await report(done_s, total_s, done_s / total_s if total_s else 0.0)


def transcript_of(path: Path) -> Transcript:
    """Read the transcript of a job. Blocking; raises StorageFailed."""
    with disk.storing():
        try:
            return _TRANSCRIPT.validate_json(path.read_bytes())
        except ValidationError as damaged:
            raise OSError(0, "its result is damaged") from damaged
