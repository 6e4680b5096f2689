"""GET /v1/models, /v1/models/{id} and /v1/audio/models: the models of this server and their capabilities."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.api.openai.chat_schemas import ChatFormat
from open_speech.api.openai.schemas import ERRORS, ModelBody, ModelList, NamedModel, TranscriptFormat
from open_speech.api.openai.voice_list import voice_of
from open_speech.backends import ModelEntry, Task
from open_speech.config.types import AudioFormat
from open_speech.errors import SpeechError
from open_speech.http.dependencies import RegistryDep, SettingsDep
from open_speech.http.rendered import Rendered
from open_speech.registry import Registry

router = APIRouter(prefix="/v1", tags=["models"], responses=ERRORS)


@router.get("/models", response_model=ModelList)
async def list_models(request: Request, registry: RegistryDep, settings: SettingsDep) -> Response:
    """List the models of this server, then OpenAI's names for them."""
    created: int = request.app.state.created
    rendered: Rendered = request.app.state.rendered

    def render() -> bytes:
        models = listed(registry, created, settings.os_root_path)
        whole = ModelList(data=models, models=[NamedModel(id=m.id, name=m.id, description=m.description) for m in models])
        return whole.model_dump_json(exclude_none=True).encode()

    return await rendered.json(("models", registry.revision, created), render)


@router.get("/models/{name:path}", response_model_exclude_none=True)
async def get_model(name: str, request: Request, registry: RegistryDep, settings: SettingsDep) -> ModelBody:
    """Describe one model, by its id (which may contain slashes) or by one of OpenAI's names."""
    return describe(registry.listed(name), name, request.app.state.created, settings.os_root_path)


@router.get("/audio/models")
async def list_audio_models(request: Request, registry: RegistryDep, settings: SettingsDep) -> dict[str, list[dict[str, str]]]:
    """List the models for speech in the format of Open WebUI, with synthesis first, because Open WebUI offers them for speech."""
    models = [model for model in listed(registry, request.app.state.created, settings.os_root_path) if model.task != Task.LLM]
    models.sort(key=lambda model: model.task != Task.TTS)
    return {"models": [{"id": model.id, "task": model.task} for model in models]}


def listed(registry: Registry, created: int, root: str = "") -> list[ModelBody]:
    """Describe every served model, then every alias whose model is served; `created` is in Unix seconds."""
    models = [describe(entry, entry.id, created, root) for entry in registry.models()]
    for alias in registry.aliases:
        try:
            models.append(describe(registry.find(alias), alias, created, root))
        except SpeechError:  # the backend of its model is not served
            continue
    return models


def describe(entry: ModelEntry, name: str, created: int, root: str = "") -> ModelBody:
    """Describe a model under the requested name."""
    speaks, generates = entry.task is Task.TTS, entry.task is Task.LLM
    return ModelBody(
        id=name,
        created=created,
        owned_by=entry.id.partition("/")[0],
        alias_of=None if name == entry.id else entry.id,
        task=entry.task,
        backend=entry.backend,
        description=entry.description,
        licence=entry.licence,
        language=entry.languages,
        languages=entry.languages,
        formats=get_args(ChatFormat if generates else AudioFormat if speaks else TranscriptFormat),
        sample_rate=entry.sample_rate,
        voices=tuple(voice_of(entry, voice, root) for voice in entry.voices) if speaks else None,
        default_voice=entry.default_voice or None,
        word_times=None if speaks or generates else entry.word_times,
        translates=None if speaks or generates else entry.translates,
        clones=entry.clones if speaks else None,
        designs=entry.designs if speaks else None,
        instructs=entry.instructs if speaks else None,
    )
