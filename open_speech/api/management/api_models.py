"""`/api/models`: list, download, load, unload and delete models. Ids may contain slashes, as they are or as %2F."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from open_speech.api.management.operations import Operation
from open_speech.api.management.service import ManagementDep, ModelManagement
from open_speech.api.management.states import ModelState, ModelStates, answering_model
from open_speech.api.openai.schemas import ERRORS
from open_speech.dialogue.language_models import language_models
from open_speech.dispatch.client import ALL
from open_speech.http import sse
from open_speech.http.dependencies import SettingsDep
from open_speech.http.disconnect import LiveResponse, resumed

router = APIRouter(prefix="/api/models", tags=["model management"], responses=ERRORS)

Stream = Annotated[bool, Query(description="Return server-sent events, as with `Accept: text/event-stream`.")]
Replica = Annotated[str, Query(description="Address of one replica of the backend, as `replicas` lists it; `all`: every replica.")]
Wait = Annotated[bool, Query(description="`false` returns 202 at once; `/status` reports the progress.")]


class DeletedModel(BaseModel):
    """A model whose files were deleted."""

    id: str
    object: Literal["model.deleted"] = "model.deleted"
    deleted: bool
    """False if there was nothing to delete."""
    freed_bytes: int


@router.get("")
async def list_models(management: ManagementDep, request: Request, settings: SettingsDep) -> ModelStates:
    """List every model of the backends of this server, with its files on disk, its loaded state and its download progress.

    `language_model` is the one that answers in conversations.
    """
    answering = await answering_model(language_models(request.app), settings.llm_model)
    return ModelStates(models=tuple(await management.states()), language_model=answering)


@router.get("/{name:path}/status", response_model=ModelState)
async def get_status(
    name: str,
    management: ManagementDep,
    request: Request,
    stream: Stream = False,
    until: Annotated[Literal["settled"] | None, Query(description="End the events when nothing is being downloaded or loaded.")] = None,
) -> Response:
    """Return the state of a model. As events: now and at every change."""
    state = await management.state(name)
    if not _as_events(request, stream):
        return JSONResponse(state.model_dump(mode="json"))
    return await _events(management.follow(name, until_settled=until == "settled"))


@router.post("/{name:path}/load", response_model=ModelState)
async def load(
    name: str, management: ManagementDep, request: Request, wait: Wait = True, stream: Stream = False, replica: Replica = ALL
) -> Response:
    """Load a model. Missing files are downloaded first. The work continues if the client disconnects."""
    return await _start(management.start("load", name, replica), management, wait=wait, stream=_as_events(request, stream))


@router.post("/{name:path}/download", response_model=ModelState)
async def download(name: str, management: ManagementDep, request: Request, wait: Wait = True, stream: Stream = False) -> Response:
    """Download a model's files. A second request joins the first. The work continues if the client disconnects."""
    return await _start(management.start("download", name), management, wait=wait, stream=_as_events(request, stream))


@router.delete("/{name:path}/download")
async def cancel_download(name: str, management: ManagementDep) -> ModelState:
    """Cancel the download of a model. Downloaded data is kept, and the next download continues from there."""
    return await management.cancel(name)


@router.post("/{name:path}/unload")
async def unload(name: str, management: ManagementDep, replica: Replica = ALL) -> ModelState:
    """Unload a model after the requests that use it have finished. A model that is not loaded is left as it is."""
    return await management.unload(name, replica)


@router.delete("/{name:path}/artifacts")
async def delete_files(name: str, management: ManagementDep) -> DeletedModel:
    """Unload a model and delete its files."""
    entry, freed = await management.delete(name)
    return DeletedModel(id=entry.id, deleted=freed > 0, freed_bytes=freed)


@router.delete("/{name:path}")
async def unload_by_delete(name: str, management: ManagementDep, replica: Replica = ALL) -> ModelState:
    """Unload a model, as `/unload` does. Its files stay."""
    return await management.unload(name, replica)


@router.get("/{name:path}")
async def get_model(name: str, management: ManagementDep) -> ModelState:
    """Return the state of one model."""
    return await management.state(name)


async def _start(operation: Operation, management: ModelManagement, *, wait: bool, stream: bool) -> Response:
    if stream:
        return await _events(management.follow(operation.model, operation))
    if wait:
        await operation.done()
    state = await management.state(operation.model)
    return JSONResponse(state.model_dump(mode="json"), status_code=200 if wait else 202)


def _as_events(request: Request, stream: bool) -> bool:
    return stream or sse.MEDIA_TYPE in request.headers.get("accept", "")


async def _events(states: AsyncGenerator[dict[str, Any], None]) -> Response:
    """Return a stream of events. The response begins with the first event; an error before that has its own status."""
    stream = sse.stream(states)
    return LiveResponse(resumed(await anext(stream), stream), sse.MEDIA_TYPE)
