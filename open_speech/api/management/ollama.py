"""`/api/ps` and `/api/pull`: model management with the paths and bodies of Ollama."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, StreamingResponse

from open_speech.api.management.operations import Operation
from open_speech.api.management.service import ManagementDep, ModelManagement
from open_speech.api.management.states import ModelState
from open_speech.api.openai.schemas import ERRORS
from open_speech.errors import SpeechError
from open_speech.http.dependencies import SettingsDep
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(prefix="/api", tags=["model management"], responses=ERRORS, route_class=JsonRoute)

LINES = "application/x-ndjson"
_STEPS = {"checking": "verifying sha256 digest", "unpacking": "unpacking", "loading": "loading"}


class Success(BaseModel):
    """The request succeeded."""

    status: Literal["success"] = "success"


class PullRequest(BaseModel):
    """Body of a pull. All fields are optional."""

    stream: bool = Field(False, description="Return one line of JSON for each step.")


class RunningModel(BaseModel):
    """One loaded model as Ollama shows it."""

    name: str
    model: str
    size: int
    """Size of the model's files in bytes."""
    size_vram: int
    """0 on a CPU. On a GPU the memory of one model is unknown, so it is `size`."""
    expires_at: str | None
    """When the model is unloaded if it is not used, in ISO 8601; None: never."""
    details: dict[str, Any]


class RunningModels(BaseModel):
    """The loaded models."""

    models: tuple[RunningModel, ...]


@router.get("/ps")
async def list_running(management: ManagementDep, settings: SettingsDep) -> RunningModels:
    """List the loaded models."""
    loaded = [state for state in await management.states() if state.state == "loaded"]
    return RunningModels(models=tuple(running(state, settings.os_model_ttl, datetime.now(UTC)) for state in loaded))


@router.post("/ps/{model:path}")
async def load(model: str, management: ManagementDep) -> Success:
    """Load a model. Missing files are downloaded first."""
    await management.start("load", model).done()
    return Success()


@router.delete("/ps/{model:path}")
async def unload(model: str, management: ManagementDep) -> Success:
    """Unload a model. Its files stay."""
    await management.unload(model)
    return Success()


@router.post("/pull/{model:path}", response_model=Success)
async def pull(
    model: str, management: ManagementDep, body: PullRequest | None = None, stream: Annotated[bool, Query()] = False
) -> Response:
    """Download a model's files. With `stream`, as a query parameter or in the body, returns a line of JSON for each step."""
    operation = management.start("download", model)
    if stream or (body is not None and body.stream):
        return StreamingResponse(lines(management, operation), media_type=LINES)
    await operation.done()
    return JSONResponse(Success().model_dump())


def running(state: ModelState, ttl_s: float, now: datetime) -> RunningModel:
    """Return a loaded model in Ollama's format; with a `ttl_s` of 0 it never expires."""
    left = timedelta(seconds=ttl_s - (state.last_use_s or 0.0))
    return RunningModel(
        name=state.id,
        model=state.id,
        size=state.size_bytes or 0,
        size_vram=(state.size_bytes or 0) if (state.device or "").startswith("cuda") else 0,
        expires_at=(now + left).isoformat(timespec="seconds") if ttl_s else None,
        details={"family": state.backend, "task": state.task, "memory_bytes": state.memory_bytes, "device": state.device},
    )


async def lines(management: ModelManagement, operation: Operation) -> AsyncGenerator[bytes, None]:
    """Yield the progress and the outcome of a pull in Ollama's format."""
    yield _line({"status": "pulling manifest"})
    try:
        async for state in management.follow(operation.model, operation):
            if (step := step_of(state)) is not None:
                yield _line(step)
    except SpeechError as error:
        yield _line({"error": error.message})
    else:
        yield _line(Success().model_dump())


def step_of(state: dict[str, Any]) -> dict[str, Any] | None:
    """Return one step of a pull, given the state of its model; None if there is no progress to report."""
    progress = state["progress"]
    if progress is None or not progress["file"]:
        return None
    status = _STEPS.get(progress["state"], f"pulling {progress['file']}")
    return {"status": status, "digest": progress["file"], "total": progress["total_bytes"], "completed": progress["done_bytes"]}


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"
