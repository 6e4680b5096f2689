"""The Wyoming API over an engine of this server: its offer, its rules, and its BentoML service beside the front.

The service is a dependency of the front, so `bentoml serve` starts it, and restarts it when it ends. It shares the runners of the front.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any

import bentoml  # noqa: TID251 - the home of the Wyoming service

from open_speech import config
from open_speech.api.metrics import Elsewhere, of_process
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.server import PIPE, WyomingServer, serving
from open_speech.api.wyoming.service import Rules, Service
from open_speech.backends import ModelEntry, TranscribeOptions
from open_speech.concurrency.graceful_shutdown import held_back
from open_speech.config import Settings, SettingsError
from open_speech.engine import Engine
from open_speech.metrics.exposition import dumped
from open_speech.security.network import networks
from runners.catalog.placement import Placement, plan
from runners.host import debugger
from runners.host.arbiter import seal
from runners.host.bentoml_patches import RUNNER_CONNECTION, quiet, share_log
from runners.host.memory import TIDYING, exempt_what_is_loaded, return_large_blocks
from runners.host.parent_watch import end_with_parent
from runners.wiring import engine as topology
from runners.wiring.discovery import ask, watch
from runners.wiring.factories import decoding, store
from runners.wiring.resources import WYOMING

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
        elsewhere = engine.registry.served[entry.backend].startswith("http")
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


def server_of(settings: Settings) -> WyomingServer:
    """Return the Wyoming server for the address in the settings. Raises SettingsError."""
    host = f"[{settings.os_wyoming_host}]" if ":" in settings.os_wyoming_host else settings.os_wyoming_host
    uri = settings.os_wyoming_uri or f"tcp://{host}:{settings.os_wyoming_port}"
    return WyomingServer(uri, settings.os_wyoming_zeroconf_name if settings.os_wyoming_zeroconf else None)


def admission_of(settings: Settings) -> ConnectionLimit:
    """Return the limits on Wyoming connections: allowed addresses and number. Raises SettingsError."""
    try:
        return ConnectionLimit(networks(settings.os_wyoming_allowed_hosts), slots=settings.os_wyoming_max_connections)
    except ValueError as error:
        raise SettingsError(f"OS_WYOMING_ALLOWED_HOSTS: {error}") from None


class Gateway:
    """The service class of the Wyoming process. `__init__` must not raise: BentoML would restart the process endlessly."""

    is_listening = False

    def __init__(self) -> None:
        self._settings = config.load()
        return_large_blocks()
        share_log(self._settings)
        end_with_parent()
        seal()
        debugger.listen(debugger.WYOMING, self._settings)
        self._engine: Engine | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._held = ExitStack()

    async def start(self) -> None:
        """Start to listen; the dependencies are connected when the first client connects."""
        self._engine = engine = topology.engine_of(self, self._settings, plan(self._settings))
        self._held.enter_context(decoding(self._settings, at_once=False))
        self._held.enter_context(held_back(until=lambda: engine.pool.admission.finish(self._settings.os_stop_timeout_s)))
        exempt_what_is_loaded()
        self._tasks = [asyncio.create_task(self._listen(engine)), asyncio.create_task(watch(engine.registry, self._settings))]

    async def stop(self) -> None:
        """Stop listening, after all accepted requests are finished."""
        self._held.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __is_ready__(self) -> bool:
        """Return whether the server listens."""
        return self.is_listening

    async def figures(self) -> list[dict[str, Any]]:
        """Tell what this process has counted."""
        return [] if self._engine is None else dumped(of_process(self._engine.meter, self._engine))

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


def dependency(settings: Settings, placements: Iterable[Placement]) -> dict[str, Any]:
    """Return the front's dependency on the Wyoming service; empty if Wyoming is disabled. Raises SettingsError for invalid settings."""
    if not settings.os_wyoming_enabled:
        return {}
    admission_of(settings)
    if settings.keys and settings.wyoming_is_exposed and not settings.os_wyoming_allowed_hosts:
        raise SettingsError(
            "OS_WYOMING_ALLOWED_HOSTS: set the addresses that may connect. Wyoming has no API keys, so every machine in the network "
            "could bypass OS_API_KEY; `0.0.0.0/0,::/0` allows all addresses."
        )
    if server_of(settings).uri == PIPE:
        raise SettingsError(f"OS_WYOMING_URI: the server cannot use {PIPE}; run `open-speech wyoming --uri {PIPE}` instead")
    return {"wyoming_door": bentoml.depends(gateway(topology.dependencies(placements)))}


def figures_of(front: Any) -> dict[str, Elsewhere]:
    """Return the call for the metrics of the Wyoming process beside a running front; empty if there is none."""
    return {"wyoming": front.wyoming_door.to_async.figures} if hasattr(front, "wyoming_door") else {}


def gateway(dependencies: dict[str, Any]) -> Any:
    """Make the BentoML service of the Wyoming process, with these dependencies on runners."""
    with quiet():
        hooks = {"start": bentoml.on_startup(Gateway.start), "stop": bentoml.on_shutdown(Gateway.stop)}
        hooks["figures"] = bentoml.api(Gateway.figures)
        # BentoML finds a served class again by its module and name.
        shape = type("WyomingDoor", (Gateway,), {**hooks, **dependencies, "__module__": __name__})
        return bentoml.service(
            name="wyoming_door",
            workers=1,
            resources=WYOMING.declared(),
            runner_connection=RUNNER_CONNECTION,
            runner_probe={"enabled": False},
            logging={"access": {"enabled": False}},
            metrics={"enabled": False},
        )(shape)
