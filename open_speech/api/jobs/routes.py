"""/v1/audio/jobs: create, list, get, follow, cancel and delete jobs, and download results."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from open_speech.api.jobs import results
from open_speech.api.jobs.bodies import PATH, DeletedJobBody, JobBody, JobList
from open_speech.api.jobs.intake import JobIntake, JobRequest, key_of, read_job_request
from open_speech.api.jobs.job import Kind, Status
from open_speech.api.jobs.owners import OwnerDep
from open_speech.api.jobs.service import JobFilter, JobsDep
from open_speech.api.openai.schemas import ERRORS, AnswerFormat, AnyCase, SpeechRequest
from open_speech.api.openai.transcription_request import TranscriptionRequest
from open_speech.config.types import AudioFormat
from open_speech.http import sse
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.disconnect import LiveResponse, resumed

router = APIRouter(prefix=PATH, tags=["jobs"], responses=ERRORS)


def _body_schema() -> dict[str, Any]:
    """Return the OpenAPI description of both kinds of body."""
    job = JobRequest.model_json_schema()["properties"]
    transcription = TranscriptionRequest.model_json_schema()
    file = {"type": "array", "items": {"type": "string", "format": "binary"}}
    properties = {"file": file, **job, **transcription["properties"]}
    form = {**transcription, "properties": properties, "required": ["file", *transcription.get("required", [])]}
    # Referenced by name: the definitions that the schema needs can only be at the root of the document.
    json = {"allOf": [{"$ref": f"#/components/schemas/{SpeechRequest.__name__}"}, {"type": "object", "properties": job}]}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": json}}
    return {"requestBody": {"required": True, "content": content}}


@router.post("", status_code=202, openapi_extra=_body_schema(), response_model=JobBody | JobList)
async def create_job(request: Request, engine: EngineDep, settings: SettingsDep, jobs: JobsDep, owner: OwnerDep) -> Response:
    """Create jobs that transcribe or translate long files, or synthesize a text. All input is stored on disk before the response is sent.

    With an `Idempotency-Key`, the same request can be repeated and returns the jobs that it created.
    """
    key = key_of(request, owner)
    async with read_job_request(request, settings.os_batch_max_pending) as (fields, files):
        made = await jobs.accept(await JobIntake(engine, settings, jobs.guard).new_jobs(fields, files, owner, key))
    if len(made) == 1:
        body = JobBody.of(made[0], jobs.view)
        return JSONResponse(body.model_dump(), 202, {"Location": f"{PATH}/{body.id}"})
    batch = made[0].batch_id
    return JSONResponse(JobList.of(made, jobs.view, batch_id=batch).model_dump(), 202, {"Location": f"{PATH}?batch_id={batch}"})


@router.get("")
async def list_jobs(  # noqa: PLR0913 - the route's parameters
    jobs: JobsDep,
    owner: OwnerDep,
    status: Status | None = None,
    type: Kind | None = None,
    batch_id: str | None = None,
    after: Annotated[str | None, Query(description="Id of the last job of the previous page.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobList:
    """List your jobs, newest first."""
    page, more = await jobs.page(owner, JobFilter(status, type, batch_id), after=after, limit=limit)
    return JobList.of(page, jobs.view, batch_id=batch_id, has_more=more)


@router.get("/{job_id}")
async def get_job(job_id: str, jobs: JobsDep, owner: OwnerDep) -> JobBody:
    """Return the state of a job."""
    return JobBody.of(await jobs.find(owner, job_id), jobs.view)


@router.get("/{job_id}/events", response_class=Response, responses={200: {"content": {sse.MEDIA_TYPE: {}}}})
async def follow_job(job_id: str, jobs: JobsDep, owner: OwnerDep, engine: EngineDep) -> Response:
    """Return the state of a job, now and at every change, as server-sent events until it has finished."""
    stream = sse.stream(jobs.follow(owner, job_id, engine))
    return LiveResponse(resumed(await anext(stream), stream), sse.MEDIA_TYPE)


@router.get("/{job_id}/result", response_class=Response, responses={200: {"description": "The text or the audio, in `response_format`."}})
async def get_result(
    job_id: str, jobs: JobsDep, owner: OwnerDep, response_format: Annotated[AnswerFormat | AudioFormat | None, AnyCase] = None
) -> Response:
    """Return the result of a job; a transcript in any format. A failed job returns its error."""
    return await asyncio.to_thread(results.answer, jobs.store, await jobs.find(owner, job_id), response_format)


@router.post("/{job_id}/cancel")
async def cancel_job(job_id: str, jobs: JobsDep, owner: OwnerDep) -> JobBody:
    """Cancel a job, whether it is queued or in progress."""
    return JobBody.of(await jobs.cancel(owner, job_id), jobs.view)


@router.delete("/{job_id}")
async def delete_job(job_id: str, jobs: JobsDep, owner: OwnerDep) -> DeletedJobBody:
    """Delete a job with its file and its result. A job in progress is stopped."""
    return DeletedJobBody(id=await jobs.delete(owner, job_id))
