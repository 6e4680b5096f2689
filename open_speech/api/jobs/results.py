"""What a job has made -> the answer in the format that is asked for. Blocking."""

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
"""Bytes of a result up to which it is sent along with a webhook."""


def answer(store: JobStore, job: Job, form: str | None = None) -> Response:
    """Answer with the result of a job, in the format it asked for or another.

    Raises NotNow for a job that has none yet, what it failed of, or InvalidRequest's children naming `response_format`.
    """
    if job.status == "failed" and job.error is not None:
        raise from_wire(job.error)
    if job.result is None:
        raise NotNow(f"The job has no result: its status is `{job.status}`.", param="job_id")
    path = store.path(job.id, job.result.file)
    if job.type != "speech":
        return _written(store, job, form or job.response_format)
    if form not in (None, job.response_format):
        raise UnsupportedValue(f"The audio of this job is available as `{job.response_format}` only.", param="response_format")
    kind = cast(AudioFormat, job.response_format)
    return FileResponse(path, media_type=MEDIA_TYPES[kind], filename=f"{job.id}.{kind}", headers=warned(job.result.warnings))


def sent_along(store: JobStore, job: Job) -> Any:
    """Give the result for a webhook: an object for a format that is JSON, else text; None for sound, or what is too large."""
    if job.result is None or job.type == "speech" or job.result.size > SENT_BYTES:
        return None
    written = bytes(answer(store, job).body).decode()
    return json.loads(written) if job.response_format.endswith("json") else written


def _written(store: JobStore, job: Job, form: str) -> Response:
    if form not in _FORMS:
        raise InvalidValue(f"`{form[:32]}` is not a transcript format.", param="response_format")
    body = recognition_body(job.type, store.order(job.id).fields)
    own = body if isinstance(body, TranscriptionRequest) else None
    if form == "diarized_json" and not (own and own.diarizes):
        raise UnsupportedValue("The job has no speaker labels: create it with `diarize=true`.", param="response_format")
    granularities = own.timestamp_granularities if own else ("segment",)
    transcript = transcript_of(store.path(job.id, job.result.file if job.result else ""))
    return responses.answer(transcript, cast(AnswerFormat, form), granularities, extras_of(body))
