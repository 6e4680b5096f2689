"""The Wyoming API over an engine of this server: its offer, its rules, and the server in the Wyoming process.

The BentoML service of that process is in `wyoming_gateway.py`, which every process of the server imports.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, suppress
from typing import Any

from open_speech.api.metrics import of_process
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.server import serving
from open_speech.api.wyoming.service import Rules, Service
from open_speech.backends import ModelEntry, TranscribeOptions
from open_speech.concurrency.graceful_shutdown import held_back
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.metrics.exposition import dumped
from runners.catalog.placement import is_remote, plan
from runners.host.memory import TIDYING, exempt_what_is_loaded
from runners.wiring import engine as topology
from runners.wiring.discovery import ask, watch
from runners.wiring.factories import decoding, store
from runners.wiring.wyoming_settings import admission_of as admission_of
from runners.wiring.wyoming_settings import server_of as server_of

log = logging.getLogger("open_speech.wyoming")

RETRY_S = 5.0
"""Seconds before the next attempt to listen on an address in use: a process that ended instead would only be restarted."""
ACQUAINT_S = 10.0
"""Seconds to wait for the models of other servers before clients may connect: a client would receive and store an empty list."""
PEERS = ("upstream", "wyoming")
"""Backends that call another server, which may limit or bill requests."""


def service_of(engine: Engine, settings: Settings, options: TranscribeOptions | None = None, instructions: str | None = None) -> Service:
    """Build the service for Wyoming connections."""
    models = store(settings)

    def is_here(entry: ModelEntry) -> bool:
        elsewhere = is_remote(engine.registry.served[entry.backend])
        return elsewhere or models.is_complete(entry.part_for(None))

    def streams(entry: ModelEntry) -> bool:
        if entry.backend not in PEERS:
            return True
        named = settings.stt_upstream_streaming_models
        return "*" in named or (entry.peer_name or entry.id.partition("/")[2]) in named

    rules = Rules(
        idle_s=settings.os_stream_idle_timeout_s,
        longest_s=settings.os_max_audio_s,
        vad_threshold=settings.stt_vad_threshold if settings.stt_vad_enabled else None,
        semantic=settings.os_wyoming_turn_detection == "semantic",
        silence_ms=settings.stt_vad_silence_ms if "stt_vad_silence_ms" in settings.model_fields_set else None,
        options=options or TranscribeOptions(),
        instructions=instructions,
    )
    return Service(engine, Offer(engine.voices, is_here=is_here, streams=streams, languages=settings.os_wyoming_languages), rules)


async def acquaint(engine: Engine, settings: Settings) -> None:
    """Query the models of the servers behind some backends once; `watch` updates those that do not respond in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ACQUAINT_S):
            await asyncio.to_thread(ask, engine.registry, settings)


class Gateway:
    """The Wyoming server of the Wyoming process."""

    def __init__(self, service: Any, settings: Settings) -> None:
        """`service` is the running BentoML service, which has the connections to the runners."""
        self._settings = settings
        self._engine = topology.engine_of(service, settings, plan(settings))
        self._tasks: list[asyncio.Task[None]] = []
        self._held = ExitStack()
        self.is_listening = False

    def start(self) -> None:
        """Start to listen; the dependencies are connected when the first client connects."""
        engine = self._engine
        self._held.enter_context(decoding(self._settings, at_once=False))
        self._held.enter_context(held_back(until=lambda: engine.pool.admission.finish(self._settings.os_stop_timeout_s)))
        exempt_what_is_loaded()
        work = (self._listen(engine), engine.pool.watch(), watch(engine.registry, self._settings))
        self._tasks = [asyncio.create_task(one) for one in work]

    async def stop(self) -> None:
        """Stop listening, after all accepted requests are finished."""
        self._held.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def figures(self) -> list[dict[str, Any]]:
        """Return what this process has counted."""
        return dumped(of_process(self._engine.meter, self._engine))

    async def _listen(self, engine: Engine) -> None:
        service, door, admission = service_of(engine, self._settings), server_of(self._settings), admission_of(self._settings)
        await acquaint(engine, self._settings)
        while True:
            try:
                async with serving(door, admission, service, after=TIDYING.soon):
                    self.is_listening = True
                    await asyncio.Event().wait()
            except OSError as error:
                log.error("cannot listen on %s: %s; retrying in %g s", door.uri, error.strerror or error, RETRY_S)
            await asyncio.sleep(RETRY_S)
