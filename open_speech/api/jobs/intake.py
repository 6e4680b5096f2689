"""A request that creates jobs -> NewJob values for the store."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field

from open_speech.api.jobs.job import Delivery, Job, Kind
from open_speech.api.jobs.ssrf_guard import Guard
from open_speech.api.jobs.store import NewJob
from open_speech.api.openai.recognition_request import recognition_request
from open_speech.api.openai.schemas import SpeechRequest
from open_speech.api.openai.synthesis_request import synthesis_request
from open_speech.api.openai.transcription_request import TranscriptionRequest, TranslationRequest
from open_speech.api.openai.voice_options import voice_options_of
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import InvalidRequest, InvalidValue, UnsupportedValue
from open_speech.http.errors import validated
from open_speech.http.json_bodies import json_body
from open_speech.http.uploads import Media, read_uploads
from open_speech.synthesis.plan import SynthesisRequest

_KEY_CHARS = _NAME_CHARS = 255

_FIELDS = {
    "transcription": TranscriptionRequest.model_fields,
    "translation": TranslationRequest.model_fields,
    "speech": SpeechRequest.model_fields,
}
"""The fields of a request that are stored. Unknown fields are dropped."""


class JobRequest(BaseModel):
    """The fields of a request about the job itself. All others are those of the corresponding synchronous endpoint."""

    type: Kind = Field(description="Type of the job. Default: `transcription` for a form, `speech` for JSON.")
    webhook_url: str | None = Field(None, max_length=2048, description="URL that receives a webhook when the job has ended.")
    webhook_include: Literal["result"] | None = Field(None, description="`result` includes the transcript in the webhook.")


@asynccontextmanager
async def read_job_request(request: Request, limit: int) -> AsyncIterator[tuple[dict[str, Any], list[Media]]]:
    """Read the fields and the files of a request: a form with at most `limit` files, or JSON with none.

    Raises subclasses of InvalidRequest.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        async with json_body(request) as (body, audio):
            if audio is not None:  # stored with the job in its original encoding
                body["reference_audio"] = await asyncio.to_thread(_encoded, audio)
            yield {"type": "speech", **body}, []
        return
    async with read_uploads(request, limit) as (fields, files):
        yield {"type": "transcription", **fields}, files


@dataclass(frozen=True, slots=True)
class JobIntake:
    """Validates job requests in the same way as the corresponding synchronous endpoints."""

    engine: Engine
    settings: Settings
    guard: Guard

    async def new_jobs(self, fields: dict[str, Any], files: Sequence[Media], owner: str, key: str | None) -> list[NewJob]:
        """Return the jobs of a request; `key` is the result of `key_of`. Raises subclasses of SpeechError."""
        options = validated(JobRequest, fields)
        fields = {name: value for name, value in fields.items() if name not in JobRequest.model_fields}
        fingerprint = await asyncio.to_thread(_fingerprint, options, fields)
        if (options.type == "speech") is bool(files):
            raise InvalidRequest("Send speech jobs as JSON, and others as `multipart/form-data` with `file`.", param="type")
        fields = {name: value for name, value in fields.items() if name in _FIELDS[options.type]}
        model, form = await self._checked(options.type, fields)
        webhook = None
        if options.webhook_url:
            await self.guard.check(options.webhook_url, param="webhook_url")
            webhook = Delivery(url=options.webhook_url, with_result=options.webhook_include == "result")
        batch = f"batch_{(key or secrets.token_hex(16))[:32]}" if len(files) > 1 else None
        job = Job(
            id="", created_at=0, type=options.type, model=model, response_format=form, owner=owner, batch_id=batch, webhook=webhook,
            idempotency=key, fingerprint=fingerprint,
        )  # fmt: skip
        if not files:
            return [NewJob(job, fields)]
        return [
            NewJob(job.model_copy(update={"filename": _shown(file.filename), "batch_index": index}), fields, file.source)
            for index, file in enumerate(files)
        ]

    async def _checked(self, kind: Kind, fields: dict[str, Any]) -> tuple[str, str]:
        """Validate the fields of a job and return its model and the format of its result."""
        if kind == "speech":
            body = speech_body(fields)
            await self.engine.synthesis.plan(await job_speech(body))
            return body.model, body.response_format or self.settings.tts_default_format
        recognition = recognition_body(kind, fields)
        await recognition_request(recognition, self.engine.pool, self.settings)
        return recognition.model, recognition.response_format


def _fingerprint(options: JobRequest, fields: dict[str, Any]) -> str:
    """Return a digest of a request. Raises InvalidRequest for text that UTF-8 cannot encode: half of a surrogate pair."""
    try:
        return hashlib.sha256(json.dumps([options.model_dump(), fields], sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    except UnicodeEncodeError:
        raise InvalidRequest("The request contains text that is not valid Unicode.") from None


def _shown(filename: str) -> str:
    return filename.encode(errors="replace").decode()[:_NAME_CHARS]


def recognition_body(kind: Kind, fields: dict[str, Any]) -> TranscriptionRequest | TranslationRequest:
    """Parse the fields of a transcription or translation job. Raises subclasses of InvalidRequest naming the field."""
    if kind == "translation":
        return validated(TranslationRequest, fields)
    body = validated(TranscriptionRequest, fields)
    if body.streams:
        raise UnsupportedValue("Jobs do not support `stream`: read their progress from `/v1/audio/jobs/{job_id}/events`.", param="stream")
    return body


def speech_body(fields: dict[str, Any]) -> SpeechRequest:
    """Parse the fields of a speech job. Raises subclasses of InvalidRequest naming the field."""
    body = validated(SpeechRequest, fields)
    if body.stream_format in ("sse", "json"):
        raise UnsupportedValue("A speech job returns audio only: leave out `stream_format`.", param="stream_format")
    for name in ("timestamps", "captions"):
        if getattr(body, name) is not None:
            raise UnsupportedValue(f"A speech job returns audio only: leave out `{name}`.", param=name)
    return body


async def job_speech(body: SpeechRequest) -> SynthesisRequest:
    """Convert the body of a speech job. Raises subclasses of InvalidRequest naming the field."""
    return synthesis_request(body, await voice_options_of(body), is_long=True)


def key_of(request: Request, owner: str) -> str | None:
    """Return a digest of the owner and the `Idempotency-Key` of a request; None without that header. Raises InvalidValue."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not key.strip() or len(key) > _KEY_CHARS:
        raise InvalidValue(f"`Idempotency-Key` must have 1 to {_KEY_CHARS} characters.", param="Idempotency-Key")
    return hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()


def _encoded(audio: bytes | Path) -> str:
    return base64.b64encode(audio if isinstance(audio, bytes) else audio.read_bytes()).decode("ascii")
