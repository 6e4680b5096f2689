"""The composition root: settings -> runners -> engine -> app, as one BentoML service. `bentoml serve service:OpenSpeech` runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bentoml
from fastapi import FastAPI

from open_speech import config
from open_speech.api.health import AppFirst
from open_speech.app import create_app
from open_speech.concurrency.graceful_shutdown import held_back
from open_speech.concurrency.task_group import Tasks
from open_speech.config.cautions import cautions
from open_speech.dispatch.pool import RunnerPool
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.http import tls
from open_speech.sandbox import hide_memory
from runners import catalog
from runners.catalog.placement import plan
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, prepare_log, share_log
from runners.host.memory import exempt_what_is_loaded, return_large_blocks
from runners.host.parent_watch import end_with_parent
from runners.wiring import engine as topology
from runners.wiring import factories as parts
from runners.wiring import wyoming_service as wyoming
from runners.wiring.bento_front import FrontService, settings_errors
from runners.wiring.discovery import watch
from runners.wiring.resources import FRONT

log = logging.getLogger("open_speech")
with settings_errors():
    settings = config.load()
    if not settings.os_dumpable:  # every process of the server imports this, the supervisor and the runners, too
        hide_memory()
    placements = plan(settings)
    # Only checked here: an invalid file must stop the start. In the worker it would stop one worker after the other.
    parts.presets(settings)
    needed = {**topology.dependencies(placements), **wyoming.dependency(settings, placements)}
    debugger.check(settings)
    address = parts.listening(settings)
prepare_log(settings)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Build the engine of the app. The dependencies are connected here, but not yet in BentoML's own start-up hooks."""
    front = bentoml.get_current_service()
    app.state.engine = front.engine = topology.engine_of(front, settings, placements, app.state.meter)
    app.state.scrape.sources |= wyoming.figures_of(front)
    await asyncio.to_thread(parts.make_folders_private, settings)
    for caution in cautions(settings):
        log.warning("%s", caution)
    joined = await asyncio.to_thread(parts.all_models, settings, front.engine.registry.served)
    for report in (*catalog.plugin_reports(), *joined.reports):
        log.warning("%s", report)
    background = Tasks()
    for work in (_preload(front.engine.pool), watch(front.engine.registry, settings), tls.renew_regularly(settings)):
        background.begin(work)
    try:
        with parts.decoding(settings) as fork_server:
            background.begin(parts.report_sandbox(fork_server))
            async with app.state.jobs.working(front.engine):
                exempt_what_is_loaded()
                with held_back(until=lambda: front.engine.pool.admission.finish(settings.os_stop_timeout_s)):
                    yield
    finally:
        await background.end()


async def _preload(pool: RunnerPool) -> None:
    for model in (*settings.stt_preload_models, *settings.tts_preload_models):
        try:
            await pool.load(model)
        except SpeechError as error:
            log.warning("preload of %s: %s", model, error)


class Front:
    """The front process, which serves the APIs. It imports no model library."""

    engine: Engine | None = None

    def __init__(self) -> None:
        return_large_blocks()
        share_log(settings)
        end_with_parent()
        seal()
        debugger.listen(debugger.FRONT, settings)

    async def __is_ready__(self) -> bool:
        """Return whether each served task has a runner that responds. A dead runner never makes this hang."""
        return self.engine is not None and await self.engine.pool.is_ready()


app = create_app(settings, lifespan=lifespan)
OpenSpeech = bentoml.asgi_app(app, path="/")(
    bentoml.service(
        service_class=FrontService,
        name="open_speech",
        workers=1,
        resources=FRONT.declared(),
        **address,
        runner_connection=RUNNER_CONNECTION,
        runner_probe={"enabled": False},
        logging={"access": {"enabled": False}},
        metrics={"enabled": False},
    )(type("OpenSpeech", (Front,), {"__module__": __name__, "__doc__": Front.__doc__, **needed}))
)
OpenSpeech.add_asgi_middleware(AppFirst, ours=app)
