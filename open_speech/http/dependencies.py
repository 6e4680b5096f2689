"""FastAPI dependencies for routes: the parts of the engine, and the settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from open_speech.config import Settings
from open_speech.dispatch.pool import RunnerPool
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable
from open_speech.recognition.service import Recognition
from open_speech.registry import Registry
from open_speech.synthesis.service import Synthesis
from open_speech.voices import VoiceResolver


async def _whole_engine(request: Request) -> Engine:
    return _engine(request)


def _engine(request: Request) -> Engine:
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise BackendUnavailable("The server is still starting.", retry_after_s=1)
    return engine


# All dependencies are `async def`: FastAPI would run a plain function in a thread, which costs more than the lookup.
async def _registry(request: Request) -> Registry:
    return _engine(request).registry


async def _pool(request: Request) -> RunnerPool:
    return _engine(request).pool


async def _voices(request: Request) -> VoiceResolver:
    return _engine(request).voices


async def _recognition(request: Request) -> Recognition:
    return _engine(request).recognition


async def _synthesis(request: Request) -> Synthesis:
    return _engine(request).synthesis


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


EngineDep = Annotated[Engine, Depends(_whole_engine)]
RegistryDep = Annotated[Registry, Depends(_registry)]
PoolDep = Annotated[RunnerPool, Depends(_pool)]
VoicesDep = Annotated[VoiceResolver, Depends(_voices)]
RecognitionDep = Annotated[Recognition, Depends(_recognition)]
SynthesisDep = Annotated[Synthesis, Depends(_synthesis)]
SettingsDep = Annotated[Settings, Depends(_settings)]
