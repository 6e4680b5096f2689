"""What a route needs of its server: the engine and the settings, both kept in the app's state."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable


async def _engine(request: Request) -> Engine:
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise BackendUnavailable("The server is still starting.", retry_after_s=1)
    return engine


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


# Both are `async def`: FastAPI would run a plain function in a thread, which costs more than the whole lookup.
EngineDep = Annotated[Engine, Depends(_engine)]
SettingsDep = Annotated[Settings, Depends(_settings)]
