"""Models and jobs of a server: `client.models` and `client.jobs` of AsyncOpenSpeechClient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Unpack, cast

from open_speech.client import calls
from open_speech.client.bodies import DeletedModel, Job, JobList, JobOutput, Model, ModelList
from open_speech.client.calls import Media
from open_speech.client.errors import ConnectionFailed, OpenSpeechError
from open_speech.client.http import AsyncHTTP
from open_speech.client.options import SpeechJobOptions, TranscriptionJobOptions
from open_speech.client.resources import ENDED, complete, jobs_of
from open_speech.client.retry import Attempts, Retry


class AsyncModels:
    """The models of a server. A model is named by its id or by one of OpenAI's names."""

    def __init__(self, http: AsyncHTTP) -> None:
        self._http = http

    async def list(self) -> ModelList:
        """Return the state of every model."""
        return cast(ModelList, (await self._http.json(calls.Call("GET", calls.MODELS)))["models"])

    async def get(self, model: str) -> Model:
        """Return the state of one model. Raises NotFound."""
        return cast(Model, await self._http.json(calls.model(model)))

    async def load(self, model: str, on_progress: Callable[[Model], object] | None = None) -> Model:
        """Load a model, downloading its files first if they are missing, and wait for it. `on_progress` receives each change."""
        return await self._follow(model, "load", on_progress)

    async def pull(self, model: str, on_progress: Callable[[Model], object] | None = None) -> Model:
        """Download the files of a model and wait for them. `on_progress` receives each change: see `Model["progress"]`."""
        return await self._follow(model, "download", on_progress)

    async def unload(self, model: str) -> Model:
        """Unload a model after the requests that use it have finished."""
        return cast(Model, await self._http.json(calls.model(model, "unload", method="POST")))

    async def delete(self, model: str) -> DeletedModel:
        """Unload a model and delete its files."""
        return cast(DeletedModel, await self._http.json(calls.model(model, "artifacts", method="DELETE")))

    async def _follow(self, model: str, action: str, on_progress: Callable[[Model], object] | None) -> Model:
        state: Model | None = None
        async for event in self._http.events(calls.model(model, action, method="POST", events=True)):
            state = cast(Model, event)
            if on_progress is not None:
                on_progress(state)
        return complete(state)


class AsyncJobs:
    """The jobs of a server."""

    def __init__(self, http: AsyncHTTP, retry: Retry) -> None:
        self._http = http
        self._retry = retry

    async def submit(self, media: Media, *, model: str = calls.DEFAULT_STT, **options: Unpack[TranscriptionJobOptions]) -> Job:
        """Submit a file to transcribe, or with `type="translation"` to translate."""
        return cast(Job, await self._http.json(calls.transcription_job([media], {"model": model, **options})))

    async def submit_files(
        self, media: Sequence[Media], *, model: str = calls.DEFAULT_STT, **options: Unpack[TranscriptionJobOptions]
    ) -> JobList:
        """Submit several files, one job each, in one request: either all are accepted or none."""
        return jobs_of(await self._http.json(calls.transcription_job(media, {"model": model, **options})))

    async def submit_speech(
        self, text: str, *, voice: str | None = None, model: str = calls.DEFAULT_TTS, **options: Unpack[SpeechJobOptions]
    ) -> Job:
        """Submit a text to speak, of up to a million characters."""
        return cast(Job, await self._http.json(calls.speech_job(text, {"voice": voice, "model": model, **options})))

    async def list(self, **filters: str | int) -> JobList:
        """Return jobs, newest first. Filters: `status`, `type`, `batch_id`, `limit` and `after`."""
        return jobs_of(await self._http.json(calls.jobs(filters)))

    async def get(self, job_id: str) -> Job:
        """Return the state of a job. Raises NotFound."""
        return cast(Job, await self._http.json(calls.job(job_id)))

    async def follow(self, job_id: str) -> AsyncIterator[Job]:
        """Yield the state of a job, now and at every change, until it has ended. A lost connection is opened again."""
        attempts = Attempts(self._retry, repeatable=True)
        while True:
            try:
                async with aclosing(self._http.events(calls.job(job_id, "events"))) as events:
                    async for event in events:
                        attempts.succeeded()
                        job = cast(Job, event["data"])
                        yield job
                        if job["status"] in ENDED:
                            return
                raise ConnectionFailed("The events of the job ended before the job did.")
            except OpenSpeechError as error:
                delay = attempts.delay_after(error)
            await asyncio.sleep(delay)

    async def wait(self, job_id: str, on_progress: Callable[[Job], object] | None = None) -> Job:
        """Wait until a job has ended and return it; its `status` and `error` say how. `on_progress` receives each change."""
        state: Job | None = None
        async for state in self.follow(job_id):
            if on_progress is not None:
                on_progress(state)
        return complete(state)

    async def result(self, job_id: str, response_format: str | None = None) -> JobOutput:
        """Return the result: an object, text or audio. Raises the job's error if it failed, and Conflict before its end."""
        query = {"response_format": response_format} if response_format else {}
        return cast(JobOutput, await self._http.json(calls.job(job_id, "result", query=query)))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return cast(Job, await self._http.json(calls.job(job_id, "cancel", method="POST")))

    async def delete(self, job_id: str) -> None:
        """Delete a job with its file and its result."""
        await self._http.json(calls.job(job_id, method="DELETE"))
