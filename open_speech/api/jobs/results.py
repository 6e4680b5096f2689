"""The result of a job -> the response in the requested format. Blocking."""

from __future__ import annotations

import json
from typing import Any, cast, get_args

from starlette.responses import FileResponse, Response

from open_speech.api.jobs.intake import recognition_body
from open_speech.api.jobs.job import Job
from open_speech.api.jobs.store import JobStore
from open_speech.api.jobs.work import transcript_of
from open_speech.api.openai import responses
from open_speech.api.openai.schemas import AnswerFormat, TranscriptFormat
from open_speech.api.openai.speech import warned
from open_speech.api.openai.transcription_request import TranscriptionRequest
from open_speech.api.openai.transcriptions import extras_of
from open_speech.codecs import MEDIA_TYPES
from open_speech.config.types import AudioFormat
from open_speech.errors import InvalidValue, NotNow, UnsupportedValue, from_wire

_FORMS = [*get_args(TranscriptFormat), "diarized_json"]
SENT_BYTES = 4 << 20
"""Maximum size in bytes of a result that is included in a webhook."""


def answer(store: JobStore, job: Job, form: str | None = None) -> Response:
    """Return the response with the result of a job, in the format of its request or in another one.

    Raises NotNow for a job without a result, the error of a failed job, or subclasses of InvalidRequest naming `response_format`.
    """
    if job.status == "failed" and job.error is not None:
        raise from_wire(job.error)
    if job.result is None:
        raise NotNow(f"The job has no result: its status is `{job.status}`.", param="job_id")
    path = store.path(job.id, job.result.file)
    if job.type != "speech":
        return _transcript_response(store, job, form or job.response_format)
    if form not in (None, job.response_format):
        raise UnsupportedValue(f"The audio of this job is available as `{job.response_format}` only.", param="response_format")
    kind = cast(AudioFormat, job.response_format)
    return FileResponse(path, media_type=MEDIA_TYPES[kind], filename=f"{job.id}.{kind}", headers=warned(job.result.warnings))


def webhook_result(store: JobStore, job: Job) -> Any:
    """Return the result for a webhook: an object for a JSON format, text for others; None for audio or a result above SENT_BYTES."""
    if job.result is None or job.type == "speech" or job.result.size > SENT_BYTES:
        return None
    text = bytes(answer(store, job).body).decode()
    return json.loads(text) if job.response_format.endswith("json") else text


def _transcript_response(store: JobStore, job: Job, form: str) -> Response:
    if form not in _FORMS:
        raise InvalidValue(f"`{form[:32]}` is not a transcript format.", param="response_format")
    body = recognition_body(job.type, store.input_of(job.id).fields)
    transcription = body if isinstance(body, TranscriptionRequest) else None
    if form == "diarized_json" and not (transcription and transcription.diarizes):
        raise UnsupportedValue("The job has no speaker labels: create it with `diarize=true`.", param="response_format")
    granularities = transcription.timestamp_granularities if transcription else ("segment",)
    transcript = transcript_of(store.path(job.id, job.result.file if job.result else ""))
    return responses.answer(transcript, cast(AnswerFormat, form), granularities, extras_of(body))
