"""The composition root: settings -> runners -> engine -> app, as one BentoML service. `bentoml serve service:OpenSpeech` runs it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bentoml
from fastapi import FastAPI

from open_speech import config, tls
from open_speech.app import create_app
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.health import Before
from open_speech.stopping import held_back
from open_speech.tasks import Tasks
from runners import _parts as parts
from runners import _topology as topology
from runners import _wyoming as wyoming
from runners._bentoml import RUNNER_CONNECTION, prepare_log, share_log
from runners._orphans import end_with_parent
from runners._peers import watch
from runners._plan import plan

log = logging.getLogger("open_speech")
settings = config.load()
placements = plan(settings)
# Only looked at here: a wrong file has to end the start, where in the worker it would end one worker after the other.
parts.presets(settings)
prepare_log(settings)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Give the app its engine: here the dependencies are connected, in BentoML's own start-up hooks they are not."""
    front = bentoml.get_current_service()
    app.state.engine = front.engine = topology.engine_of(front, settings, placements, app.state.meter)
    app.state.scrape.elsewhere |= wyoming.figures_of(front)
    beside = Tasks()
    for work in (_preload(front.engine), watch(front.engine.registry, settings), tls.keep(settings)):
        beside.begin(work)
    try:
        with parts.decoding(settings):
            async with app.state.jobs.working(front.engine):
                with held_back(until=lambda: front.engine.admission.finish(settings.os_stop_timeout_s)):
                    yield
    finally:
        await beside.end()


async def _preload(engine: Engine) -> None:
    for model in (*settings.stt_preload_models, *settings.tts_preload_models):
        try:
            await engine.load(model)
        except SpeechError as error:
            log.warning("preload of %s: %s", model, error)


class Front:
    """The process that holds the doors. It imports no model library."""

    engine: Engine | None = None

    def __init__(self) -> None:
        share_log(settings)
        end_with_parent()

    async def __is_ready__(self) -> bool:
        """Ready when every task that is served has a runner that answers; a dead runner never makes this hang."""
        return self.engine is not None and await self.engine.is_ready()


needed = {**topology.dependencies(placements), **wyoming.dependency(settings, placements)}
doors = create_app(settings, lifespan=lifespan)
OpenSpeech = bentoml.asgi_app(doors, path="/")(
    bentoml.service(
        name="open_speech",
        workers=1,
        **parts.listening(settings),
        runner_connection=RUNNER_CONNECTION,
        runner_probe={"enabled": False},
        logging={"access": {"enabled": False}},
        metrics={"enabled": False},
    )(type("OpenSpeech", (Front,), {"__module__": __name__, "__doc__": Front.__doc__, **needed}))
)
OpenSpeech.add_asgi_middleware(Before, ours=doors)
