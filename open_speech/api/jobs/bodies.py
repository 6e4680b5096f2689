"""A job -> the JSON that clients receive. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel

from open_speech.api.jobs.job import Job, Kind, Status
from open_speech.api.openai.schemas import ErrorDetail
from open_speech.errors import from_wire
from open_speech.http.errors import envelope

PATH = "/v1/audio/jobs"


@dataclass(frozen=True, slots=True)
class View:
    """Values that the description of a job needs besides the job."""

    retain_s: float
    """Seconds for which a job is stored after its end."""
    root: str = ""
    """Prefix of the paths that clients request, as in `OS_ROOT_PATH`."""


class ResultBody(BaseModel):
    """Location of the result."""

    url: str
    response_format: str
    bytes: int
    models: list[str]
    """Models that did the work: that of the request, or fallback models. Empty for a job of an earlier version."""


class WebhookBody(BaseModel):
    """State of the webhook."""

    url: str
    status: Literal["waiting", "pending", "delivered", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: int | None
    """Unix seconds."""


class JobBody(BaseModel):
    """One job; times are Unix seconds."""

    id: str
    object: Literal["audio.job"] = "audio.job"
    type: Kind
    model: str
    status: Status
    progress: float
    """In [0, 1]."""
    audio_seconds: float
    """Seconds of audio that were transcribed or synthesized so far."""
    audio_seconds_total: float | None
    """Total seconds of audio; None if unknown."""
    filename: str | None
    batch_id: str | None
    batch_index: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    """When the job is deleted with its result; None until it has ended."""
    error: ErrorDetail | None
    result: ResultBody | None
    webhook: WebhookBody | None

    @classmethod
    def of(cls, job: Job, view: View) -> Self:
        """Return the description of a job."""
        return cls(
            id=job.id,
            type=job.type,
            model=job.model,
            status=job.status,
            progress=round(job.progress, 4),
            audio_seconds=round(job.audio_s, 3),
            audio_seconds_total=None if job.total_s is None else round(job.total_s, 3),
            filename=job.filename or None,
            batch_id=job.batch_id,
            batch_index=job.batch_index,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=None if job.finished_at is None else int(job.finished_at + view.retain_s),
            error=None if job.error is None else ErrorDetail(**envelope(from_wire(job.error))["error"]),
            result=_result(job, view.root),
            webhook=_webhook(job),
        )


class JobList(BaseModel):
    """A page of jobs, or the jobs of one request."""

    object: Literal["list"] = "list"
    batch_id: str | None = None
    data: list[JobBody]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, jobs: Iterable[Job], view: View, *, batch_id: str | None = None, has_more: bool = False) -> Self:
        """Return a list of jobs."""
        data = [JobBody.of(job, view) for job in jobs]
        ends = (data[0].id, data[-1].id) if data else (None, None)
        return cls(batch_id=batch_id, data=data, first_id=ends[0], last_id=ends[1], has_more=has_more)


class DeletedJobBody(BaseModel):
    """A deleted job; its upload and its result are deleted as well."""

    id: str
    object: Literal["audio.job.deleted"] = "audio.job.deleted"
    deleted: Literal[True] = True


def event_of(job: Job, view: View) -> dict[str, Any]:
    """Return the state of a job as an event."""
    return {"type": f"audio.job.{job.status}", "data": JobBody.of(job, view).model_dump()}


def message_of(job: Job, view: View, result: Any = None) -> dict[str, Any]:
    """Return the webhook for a job that has ended, with `result` if it is to be included."""
    event = event_of(job, view)
    if result is not None:
        event["data"]["output"] = result
    when = datetime.fromtimestamp(job.finished_at or 0, UTC).isoformat().replace("+00:00", "Z")
    return {"type": event["type"], "timestamp": when, "data": event["data"]}


def _result(job: Job, root: str) -> ResultBody | None:
    if job.result is None:
        return None
    url = f"{root}{PATH}/{job.id}/result"
    return ResultBody(url=url, response_format=job.response_format, bytes=job.result.size, models=list(job.result.models))


def _webhook(job: Job) -> WebhookBody | None:
    if job.webhook is None:
        return None
    return WebhookBody(
        url=job.webhook.url,
        status=job.webhook.status,
        attempts=job.webhook.attempts,
        last_error=job.webhook.note,
        next_attempt_at=None if job.webhook.due_at is None else int(job.webhook.due_at),
    )
