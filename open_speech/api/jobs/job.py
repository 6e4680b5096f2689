"""A job as a value, and the changes of its state. Pure: the time is passed in, in Unix seconds."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, field_validator

from open_speech.errors import SpeechError
from open_speech.security.api_keys import OWNER_DIGITS

MOST_RUNS = 5
"""Maximum number of times a job is started: a job that crashes the server each time must not do so forever."""
RUN_AGAIN_S = (2.0, 10.0, 30.0, 60.0)
"""Delays in seconds before a job is retried whose backend was unavailable: after the first run, the second, and so on."""
DELIVER_AGAIN_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0)
"""Delays in seconds before a webhook is sent again; after the last one it has failed."""
_NOTE_CHARS = 200
_DIGEST = re.compile(rf"[0-9a-f]{{{OWNER_DIGITS}}}")

Kind = Literal["transcription", "translation", "speech"]
Status = Literal["queued", "running", "completed", "failed", "cancelled"]


class Delivery(BaseModel, frozen=True):
    """A webhook that is sent when the job has ended."""

    url: str
    with_result: bool = False
    status: Literal["waiting", "pending", "delivered", "failed"] = "waiting"
    attempts: int = 0
    due_at: float | None = None
    note: str | None = None
    """Error of the last attempt."""


class Result(BaseModel, frozen=True):
    """The result of a job."""

    file: str
    """Name of its file in the job's folder."""
    size: int
    """Bytes."""
    audio_s: float
    """Seconds of audio that were transcribed or synthesized."""
    warnings: tuple[str, ...] = ()
    """Warnings about text that was not spoken."""
    models: tuple[str, ...] = ()
    """Ids of the models that did the work: that of the request, or fallback models."""


class Job(BaseModel, frozen=True):
    """The state of one job. The fields of its request are in its `JobInput`."""

    id: str
    type: Kind
    model: str
    response_format: str
    owner: str = ""
    """Identity of the holder of the API key of the request (`Key.owner`); empty without keys."""
    batch_id: str | None = None
    batch_index: int = 0
    filename: str = ""
    size: int = 0
    """Bytes of the upload."""
    idempotency: str | None = None
    """Digest of the idempotency key of the request."""
    fingerprint: str = ""
    """Digest of the request and the upload."""
    created_at: int
    status: Status = "queued"
    started_at: int | None = None
    finished_at: int | None = None
    runs: int = 0
    not_before: float = 0.0
    progress: float = 0.0
    """In [0, 1]."""
    audio_s: float = 0.0
    """Seconds of audio that are done."""
    total_s: float | None = None
    """Total seconds of audio; None while unknown."""
    error: dict[str, Any] | None = None
    """The data of `SpeechError.to_wire`."""
    result: Result | None = None
    webhook: Delivery | None = None

    @field_validator("owner")
    @classmethod
    def _has_a_prefix(cls, owner: str) -> str:
        """Convert the identities that earlier versions stored: names and digests of keys, without a prefix that distinguishes them."""
        if not owner or ":" in owner:
            return owner
        return f"key:{owner}" if _DIGEST.fullmatch(owner) else f"name:{owner}"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended; only its webhook may still be pending."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def bytes_kept(self) -> int:
        """Bytes on disk: the upload while it is needed, then the result."""
        return (0 if self.is_over else self.size) + (self.result.size if self.result else 0)

    def wants_work(self, now: float) -> bool:
        """Return whether the job is to be started. This includes a `running` job whose lock is free: its process has died."""
        return not self.is_over and self.not_before <= now

    def wants_delivery(self, now: float) -> bool:
        """Return whether the webhook is to be sent."""
        return self.webhook is not None and self.webhook.status == "pending" and (self.webhook.due_at or 0.0) <= now

    @property
    def next_at(self) -> float | None:
        """When the job or its webhook is due; None if neither is."""
        if not self.is_over:
            return self.not_before
        return self.webhook.due_at if self.webhook is not None and self.webhook.status == "pending" else None

    def is_expired(self, now: float, retain_s: float) -> bool:
        """Return whether the job ended more than `retain_s` seconds ago."""
        return self.is_over and self.finished_at is not None and self.finished_at + retain_s < now

    def begun(self, now: float) -> Self:
        """Start the job, or fail it if it was started too often."""
        if self.is_over:
            return self
        if self.runs >= MOST_RUNS:
            return self.failed(now, SpeechError(f"The job was started {self.runs} times and never finished."))
        return self._with(status="running", runs=self.runs + 1, started_at=self.started_at or int(now))

    def advanced(self, audio_s: float, total_s: float | None, progress: float) -> Self:
        """Record the progress, which never decreases."""
        if self.status != "running":
            return self
        return self._with(audio_s=audio_s, total_s=total_s, progress=max(self.progress, min(1.0, progress)))

    def put_back(self, due_at: float, *, counts: bool) -> Self:
        """Queue the job again. With `counts`, the run counts towards MOST_RUNS; an interrupted run does not."""
        if self.status != "running":
            return self
        return self._with(status="queued", not_before=due_at, runs=self.runs if counts else self.runs - 1)

    def completed(self, now: float, result: Result) -> Self:
        """Complete the job. A job that has ended is not changed, here and below."""
        if self.is_over:
            return self
        done = {"result": result, "audio_s": result.audio_s, "total_s": result.audio_s, "progress": 1.0, "error": None}
        return self._ended("completed", now, **done)

    def failed(self, now: float, error: SpeechError) -> Self:
        """Fail the job with an error."""
        return self if self.is_over else self._ended("failed", now, error=error.to_wire())

    def cancelled(self, now: float) -> Self:
        """Cancel the job. No webhook is sent."""
        return self if self.is_over else self._with(status="cancelled", finished_at=int(now), webhook=None)

    def delivered(self) -> Self:
        """Record that the webhook was delivered."""
        return self._delivery(status="delivered", due_at=None, note=None, attempts=1)

    def undelivered(self, now: float, note: str, *, again: bool = True) -> Self:
        """Record that the webhook was not delivered, and schedule the next attempt unless `again` is False or none is left."""
        if self.webhook is None:
            return self
        note = note[:_NOTE_CHARS]
        if not again or self.webhook.attempts >= len(DELIVER_AGAIN_S):
            return self._delivery(status="failed", due_at=None, note=note, attempts=1)
        return self._delivery(due_at=now + DELIVER_AGAIN_S[self.webhook.attempts], note=note, attempts=1)

    def _ended(self, status: Status, now: float, **changes: Any) -> Self:
        pending = {"status": "pending", "due_at": now}
        webhook = self.webhook.model_copy(update=pending) if self.webhook is not None else None
        return self._with(status=status, finished_at=int(now), webhook=webhook, **changes)

    def _delivery(self, *, attempts: int, **changes: Any) -> Self:
        if self.webhook is None:
            return self
        return self._with(webhook=self.webhook.model_copy(update={**changes, "attempts": self.webhook.attempts + attempts}))

    def _with(self, **changes: Any) -> Self:
        return self.model_copy(update=changes)


class JobInput(BaseModel, frozen=True):
    """A job in its initial state, with the fields of its request."""

    job: Job
    fields: dict[str, Any]
