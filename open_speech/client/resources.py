"""Models and jobs of a server: `client.models` and `client.jobs`, blocking."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, Unpack, cast

from open_speech.client import calls
from open_speech.client.bodies import DeletedModel, Job, JobList, JobOutput, Model, ModelList
from open_speech.client.calls import Media
from open_speech.client.errors import ConnectionFailed, OpenSpeechError
from open_speech.client.http import HTTP
from open_speech.client.options import SpeechJobOptions, TranscriptionJobOptions
from open_speech.client.retry import Attempts, Retry

T = TypeVar("T")
ENDED = frozenset({"completed", "failed", "cancelled"})
"""The states of a job that no longer changes."""


class Models:
    """The models of a server. A model is named by its id or by one of OpenAI's names."""

    def __init__(self, http: HTTP) -> None:
        self._http = http

    def list(self) -> ModelList:
        """Return the state of every model."""
        return cast(ModelList, self._http.json(calls.Call("GET", calls.MODELS))["models"])

    def get(self, model: str) -> Model:
        """Return the state of one model. Raises NotFound."""
        return cast(Model, self._http.json(calls.model(model)))

    def load(self, model: str, on_progress: Callable[[Model], object] | None = None) -> Model:
        """Load a model, downloading its files first if they are missing, and wait for it. `on_progress` receives each change."""
        return self._follow(model, "load", on_progress)

    def pull(self, model: str, on_progress: Callable[[Model], object] | None = None) -> Model:
        """Download the files of a model and wait for them. `on_progress` receives each change: see `Model["progress"]`."""
        return self._follow(model, "download", on_progress)

    def unload(self, model: str) -> Model:
        """Unload a model after the requests that use it have finished."""
        return cast(Model, self._http.json(calls.model(model, "unload", method="POST")))

    def delete(self, model: str) -> DeletedModel:
        """Unload a model and delete its files."""
        return cast(DeletedModel, self._http.json(calls.model(model, "artifacts", method="DELETE")))

    def _follow(self, model: str, action: str, on_progress: Callable[[Model], object] | None) -> Model:
        state: Model | None = None
        for event in self._http.events(calls.model(model, action, method="POST", events=True)):
            state = cast(Model, event)
            if on_progress is not None:
                on_progress(state)
        return complete(state)


class Jobs:
    """The jobs of a server."""

    def __init__(self, http: HTTP, retry: Retry) -> None:
        self._http = http
        self._retry = retry

    def submit(self, media: Media, *, model: str = calls.DEFAULT_STT, **options: Unpack[TranscriptionJobOptions]) -> Job:
        """Submit a file to transcribe, or with `type="translation"` to translate."""
        return cast(Job, self._http.json(calls.transcription_job([media], {"model": model, **options})))

    def submit_files(
        self, media: Sequence[Media], *, model: str = calls.DEFAULT_STT, **options: Unpack[TranscriptionJobOptions]
    ) -> JobList:
        """Submit several files, one job each, in one request: either all are accepted or none."""
        return jobs_of(self._http.json(calls.transcription_job(media, {"model": model, **options})))

    def submit_speech(
        self, text: str, *, voice: str | None = None, model: str = calls.DEFAULT_TTS, **options: Unpack[SpeechJobOptions]
    ) -> Job:
        """Submit a text to speak, of up to a million characters."""
        return cast(Job, self._http.json(calls.speech_job(text, {"voice": voice, "model": model, **options})))

    def list(self, **filters: str | int) -> JobList:
        """Return jobs, newest first. Filters: `status`, `type`, `batch_id`, `limit` and `after`."""
        return jobs_of(self._http.json(calls.jobs(filters)))

    def get(self, job_id: str) -> Job:
        """Return the state of a job. Raises NotFound."""
        return cast(Job, self._http.json(calls.job(job_id)))

    def follow(self, job_id: str) -> Iterator[Job]:
        """Yield the state of a job, now and at every change, until it has ended. A lost connection is opened again."""
        attempts = Attempts(self._retry, repeatable=True)
        while True:
            try:
                for event in self._http.events(calls.job(job_id, "events")):
                    attempts.succeeded()
                    job = cast(Job, event["data"])
                    yield job
                    if job["status"] in ENDED:
                        return
                raise ConnectionFailed("The events of the job ended before the job did.")
            except OpenSpeechError as error:
                delay = attempts.delay_after(error)
            time.sleep(delay)

    def wait(self, job_id: str, on_progress: Callable[[Job], object] | None = None) -> Job:
        """Wait until a job has ended and return it; its `status` and `error` say how. `on_progress` receives each change."""
        state: Job | None = None
        for state in self.follow(job_id):
            if on_progress is not None:
                on_progress(state)
        return complete(state)

    def result(self, job_id: str, response_format: str | None = None) -> JobOutput:
        """Return the result: an object, text or audio. Raises the job's error if it failed, and Conflict before its end."""
        query = {"response_format": response_format} if response_format else {}
        return cast(JobOutput, self._http.json(calls.job(job_id, "result", query=query)))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return cast(Job, self._http.json(calls.job(job_id, "cancel", method="POST")))

    def delete(self, job_id: str) -> None:
        """Delete a job with its file and its result."""
        self._http.json(calls.job(job_id, method="DELETE"))


def jobs_of(body: object) -> JobList:
    """Return the jobs of a response: a list of them, or one."""
    return cast(JobList, body["data"] if isinstance(body, dict) and body.get("object") == "list" else [body])


def complete(state: T | None) -> T:
    """Return the last state of a stream. Raises ConnectionFailed if it had none."""
    if state is None:
        raise ConnectionFailed("The server sent no state.")
    return state
