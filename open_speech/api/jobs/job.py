"""A job as a value, and what may become of it. Pure: the time is passed in, in Unix seconds."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, field_validator

from open_speech.errors import SpeechError
from open_speech.security.api_keys import OWNER_DIGITS

MOST_RUNS = 5
"""Times a job is begun: one that takes the server down each time must not do so for ever."""
RUN_AGAIN_S = (2.0, 10.0, 30.0, 60.0)
"""Seconds after which a job is tried again whose backend was not there, after the first time, the second, and so on."""
DELIVER_AGAIN_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0)
"""Seconds after which a webhook is sent again; when they are used up, it is not."""
_NOTE_CHARS = 200
_DIGEST = re.compile(rf"[0-9a-f]{{{OWNER_DIGITS}}}")

Kind = Literal["transcription", "translation", "speech"]
Status = Literal["queued", "running", "completed", "failed", "cancelled"]


class Delivery(BaseModel, frozen=True):
    """A webhook that is to be sent when the job has ended."""

    url: str
    with_result: bool = False
    status: Literal["waiting", "pending", "delivered", "failed"] = "waiting"
    attempts: int = 0
    due_at: float | None = None
    note: str | None = None
    """What came of the last attempt."""


class Result(BaseModel, frozen=True):
    """What a job has made."""

    file: str
    """Name of its file in the job's folder."""
    size: int
    """Bytes."""
    audio_s: float
    """Seconds of sound that were heard, or spoken."""
    warnings: tuple[str, ...] = ()
    """What was left out of a text that was spoken."""


class Job(BaseModel, frozen=True):
    """What is known of one job. What it was asked is in its `JobInput`."""

    id: str
    type: Kind
    model: str
    response_format: str
    owner: str = ""
    """Identity of the holder of the key that it came with (`Key.owner`); empty where there are no keys."""
    batch_id: str | None = None
    batch_index: int = 0
    filename: str = ""
    size: int = 0
    """Bytes of the upload."""
    idempotency: str | None = None
    """Digest of the key under which it was handed in."""
    fingerprint: str = ""
    """Digest of what was handed in."""
    created_at: int
    status: Status = "queued"
    started_at: int | None = None
    finished_at: int | None = None
    runs: int = 0
    not_before: float = 0.0
    progress: float = 0.0
    """In [0, 1]."""
    audio_s: float = 0.0
    """Seconds of sound that are done."""
    total_s: float | None = None
    """Seconds of the whole; None while that is not known."""
    error: dict[str, Any] | None = None
    """As errors.py writes it for a wire."""
    result: Result | None = None
    webhook: Delivery | None = None

    @field_validator("owner")
    @classmethod
    def _has_a_prefix(cls, owner: str) -> str:
        """Read the identities that earlier servers wrote: names, and digests of keys, without a prefix that tells which it is."""
        if not owner or ":" in owner:
            return owner
        return f"key:{owner}" if _DIGEST.fullmatch(owner) else f"name:{owner}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done, but for the webhook."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def bytes_kept(self) -> int:
        """What it takes on disk: the upload while it is needed, then the result."""
        return (0 if self.is_over else self.size) + (self.result.size if self.result else 0)

    def wants_work(self, now: float) -> bool:
        """Whether it is to be begun. One that is `running` is, too: who asks holds its lock, so whoever ran it is gone."""
        return not self.is_over and self.not_before <= now

    def wants_delivery(self, now: float) -> bool:
        """Whether its webhook is to be sent."""
        return self.webhook is not None and self.webhook.status == "pending" and (self.webhook.due_at or 0.0) <= now

    @property
    def next_at(self) -> float | None:
        """When something is to be done for it; None if never."""
        if not self.is_over:
            return self.not_before
        return self.webhook.due_at if self.webhook is not None and self.webhook.status == "pending" else None

    def is_expired(self, now: float, retain_s: float) -> bool:
        """Whether it ended more than `retain_s` seconds ago."""
        return self.is_over and self.finished_at is not None and self.finished_at + retain_s < now

    def begun(self, now: float) -> Self:
        """Begin it, or, if that was tried too often, give it up."""
        if self.is_over:
            return self
        if self.runs >= MOST_RUNS:
            return self.failed(now, SpeechError(f"The job was started {self.runs} times and never finished."))
        return self._with(status="running", runs=self.runs + 1, started_at=self.started_at or int(now))

    def advanced(self, audio_s: float, total_s: float | None, progress: float) -> Self:
        """Note how far it is; never further back than it was."""
        if self.status != "running":
            return self
        return self._with(audio_s=audio_s, total_s=total_s, progress=max(self.progress, min(1.0, progress)))

    def put_back(self, due_at: float, *, counts: bool) -> Self:
        """Let it wait again. A run that `counts` was one of those that it has; one that was only interrupted does not."""
        if self.status != "running":
            return self
        return self._with(status="queued", not_before=due_at, runs=self.runs if counts else self.runs - 1)

    def completed(self, now: float, result: Result) -> Self:
        """End it well. The first end of a job stands, here and below."""
        if self.is_over:
            return self
        done = {"result": result, "audio_s": result.audio_s, "total_s": result.audio_s, "progress": 1.0, "error": None}
        return self._ended("completed", now, **done)

    def failed(self, now: float, error: SpeechError) -> Self:
        """End it with an error."""
        return self if self.is_over else self._ended("failed", now, error=error.to_wire())

    def cancelled(self, now: float) -> Self:
        """End it because its owner wants it so; nobody is told by webhook."""
        return self if self.is_over else self._with(status="cancelled", finished_at=int(now), webhook=None)

    def delivered(self) -> Self:
        """Note that the webhook has arrived."""
        return self._delivery(status="delivered", due_at=None, note=None, attempts=1)

    def undelivered(self, now: float, note: str, *, again: bool = True) -> Self:
        """Note that the webhook has not arrived, and when to send it `again`, if it is to be."""
        if self.webhook is None:
            return self
        note = note[:_NOTE_CHARS]
        if not again or self.webhook.attempts >= len(DELIVER_AGAIN_S):
            return self._delivery(status="failed", due_at=None, note=note, attempts=1)
        return self._delivery(due_at=now + DELIVER_AGAIN_S[self.webhook.attempts], note=note, attempts=1)

    def _ended(self, status: Status, now: float, **found: Any) -> Self:
        pending = {"status": "pending", "due_at": now}
        webhook = self.webhook.model_copy(update=pending) if self.webhook is not None else None
        return self._with(status=status, finished_at=int(now), webhook=webhook, **found)

    def _delivery(self, *, attempts: int, **found: Any) -> Self:
        if self.webhook is None:
            return self
        return self._with(webhook=self.webhook.model_copy(update={**found, "attempts": self.webhook.attempts + attempts}))

    def _with(self, **found: Any) -> Self:
        return self.model_copy(update=found)


class JobInput(BaseModel, frozen=True):
    """A job as it was accepted, with the fields of its request."""

    job: Job
    fields: dict[str, Any]
