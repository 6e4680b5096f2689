"""GET /health/llm, /health/stt, /health/tts, /health/ready and /health/live: the state of each part of the server.

They need no key, as all health checks; clients without a valid key receive no names of backends.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from open_speech.api.gemmavoice.errors import ERRORS
from open_speech.backends import Task
from open_speech.dialogue.language_models import HOW, LanguageModels
from open_speech.dispatch.pool import RunnerPool
from open_speech.dispatch.readiness import States, is_enough
from open_speech.http.caller import is_unauthenticated
from open_speech.http.dependencies import PoolDep, SettingsDep

router = APIRouter(prefix="/health", tags=["gemmavoice"], responses=ERRORS)


class ComponentBody(BaseModel):
    """The state of one part of the server."""

    status: Literal["healthy", "degraded", "unhealthy"]
    message: str
    details: dict[str, Any] = {}


class ReadyBody(BaseModel):
    """Whether the server can serve requests, and which of its parts can."""

    ready: bool
    llm: bool
    stt: bool
    tts: bool


@router.get("/llm")
async def llm_health(pool: PoolDep, settings: SettingsDep) -> ComponentBody:
    """Report whether there is a language model, on this server or on another one. It is not called."""
    models = LanguageModels(pool, settings)
    if await models.has_default():
        return ComponentBody(status="healthy", message="There is a language model.")
    return ComponentBody(status="unhealthy", message=models.fault() or f"This server has no language model: {HOW}.")


@router.get("/stt")
async def stt_health(request: Request, pool: PoolDep) -> ComponentBody:
    """Report the state of the backends for transcription."""
    return component(pool, await pool.status(), Task.STT, is_detailed=not is_unauthenticated(request.scope))


@router.get("/tts")
async def tts_health(request: Request, pool: PoolDep) -> ComponentBody:
    """Report the state of the backends for synthesis."""
    return component(pool, await pool.status(), Task.TTS, is_detailed=not is_unauthenticated(request.scope))


@router.get("/ready", response_model=ReadyBody, responses={503: {"model": ReadyBody}})
async def ready(pool: PoolDep, settings: SettingsDep) -> JSONResponse:
    """Report readiness, as `/readyz` does: 503 until each task has a backend that responds. The language model is optional."""
    states = await pool.status()
    is_ready = not pool.admission.is_closed and is_enough(pool.registry, states)
    parts = {name: bool(_ready(pool, states, task)) for name, task in (("stt", Task.STT), ("tts", Task.TTS))}
    body = ReadyBody(ready=is_ready, llm=await LanguageModels(pool, settings).has_default(), **parts)
    return JSONResponse(body.model_dump(), 200 if is_ready else 503)


@router.get("/live")
async def live() -> dict[str, Literal["alive"]]:
    """Report that the process is alive. This endpoint waits for nothing."""
    return {"status": "alive"}


def component(pool: RunnerPool, states: States, task: Task, *, is_detailed: bool) -> ComponentBody:
    """Return the state of the backends for a task: `degraded` if some of them do not respond."""
    names = [name for name in states if pool.registry.backends[name].task is task]
    responding = _ready(pool, states, task)
    details = {"backends": {name: {"ready": name in responding} for name in names}} if is_detailed and names else {}
    if not names:
        return ComponentBody(status="unhealthy", message=f"The server has no backend for {task.value}.")
    message = f"{len(responding)} of {len(names)} backends for {task.value} respond."
    status: Literal["healthy", "degraded", "unhealthy"] = (
        "unhealthy" if not responding else "healthy" if len(responding) == len(names) else "degraded"
    )
    return ComponentBody(status=status, message=message, details=details)


def _ready(pool: RunnerPool, states: States, task: Task) -> list[str]:
    return [name for name, state in states.items() if state["ready"] and pool.registry.backends[name].task is task]
