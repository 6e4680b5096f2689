"""The application of the front process: the HTTP application over an engine whose runners are BentoML dependencies.

Only the front imports this module. The supervisor and the runners need none of it: FastAPI, the routes and their schemas take a second
to import, and 60 MB.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import bentoml  # noqa: TID251 - the running service has the connections to the runners
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.concurrency.graceful_shutdown import held_back
from open_speech.concurrency.task_group import Tasks
from open_speech.config import Settings
from open_speech.config.cautions import cautions
from open_speech.dialogue.language_models import LanguageModels
from open_speech.dispatch.client import ALL
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import SpeechError
from open_speech.http import tls
from runners import catalog
from runners.catalog.placement import Placement
from runners.host.memory import exempt_what_is_loaded
from runners.wiring import engine as topology
from runners.wiring import factories as parts
from runners.wiring.discovery import watch
from runners.wiring.wyoming_gateway import figures_of

log = logging.getLogger("open_speech")


def front_app(settings: Settings, placements: Sequence[Placement]) -> FastAPI:
    """Build the application. Its engine is built when it starts, inside a running front service."""
    return create_app(settings, lifespan=functools.partial(_lifespan, settings=settings, placements=placements))


@asynccontextmanager
async def _lifespan(app: FastAPI, settings: Settings, placements: Sequence[Placement]) -> AsyncIterator[None]:
    """Build the engine of the app. The dependencies are connected here, but not yet in BentoML's own start-up hooks."""
    front = bentoml.get_current_service()
    app.state.engine = front.engine = topology.engine_of(front, settings, placements, app.state.meter)
    app.state.scrape.sources |= figures_of(front)
    await asyncio.to_thread(parts.make_folders_private, settings)
    for caution in cautions(settings):
        log.warning("%s", caution)
    joined = await asyncio.to_thread(parts.all_models, settings, front.engine.registry.served)
    if fault := LanguageModels(front.engine.pool, settings).fault():
        log.warning("%s", fault)
    for report in (*catalog.plugin_reports(), *joined.reports):
        log.warning("%s", report)
    background = Tasks()
    pool = front.engine.pool
    for work in (_preload(pool, settings), pool.watch(), watch(front.engine.registry, settings), tls.renew_regularly(settings)):
        background.begin(work)
    try:
        # With the server, the decoding process costs 0.5 CPU seconds and 40 MB; otherwise the first file that is not WAV waits for it.
        eager = settings.os_start_runners == "eager"
        with parts.decoding(settings, at_once=eager, report=None if eager else parts.log_sandbox) as fork_server:
            if eager or fork_server is None:
                background.begin(parts.report_sandbox(fork_server))
            async with app.state.jobs.working(front.engine):
                exempt_what_is_loaded()

                async def finished() -> None:
                    await front.engine.pool.admission.finish(settings.os_stop_timeout_s)
                    await app.state.live_sessions.expire()

                with held_back(until=finished):
                    yield
    finally:
        await background.end()


async def _preload(pool: RunnerPool, settings: Settings) -> None:
    for model in (*settings.stt_preload_models, *settings.tts_preload_models):
        try:
            await pool.load(model, at=ALL)
        except SpeechError as error:
            log.warning("preload of %s: %s", model, error)
