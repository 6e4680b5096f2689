"""Discovery of the models on the servers behind some backends: queried repeatedly in the background, without delaying requests."""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import Any

from open_speech import config
from open_speech.backends import BackendEntry, ModelEntry
from open_speech.config import Settings
from open_speech.errors import BackendFailed, SpeechError
from open_speech.registry import Registry

log = logging.getLogger("open_speech.peer")

FIRST_PAUSE_S = 2.0
"""Seconds before a server that did not respond is queried again, doubled with each failure up to OS_PEER_REFRESH_S."""


def given(entry: BackendEntry, settings: Settings) -> list[ModelEntry]:
    """List the models in the settings of a backend with an external server; none if the listing fails."""
    try:
        return _offers(entry, settings, ask=False)
    except SpeechError as error:
        log.warning("%s: %s", entry.name, error.message)
        return []


def ask(registry: Registry, settings: Settings) -> bool:
    """Query every server once, and update the registry; return False if a server did not respond. Blocks."""
    return all([_learn(registry, entry, settings) for entry in _asked(registry)])


async def watch(registry: Registry, settings: Settings) -> None:
    """Keep the registry up to date until cancelled."""
    await asyncio.gather(*(_watch(registry, entry, settings) for entry in _asked(registry)))


def _asked(registry: Registry) -> list[BackendEntry]:
    return [entry for entry in registry.backends.values() if entry.offers and entry.name in registry.served]


async def _watch(registry: Registry, entry: BackendEntry, settings: Settings) -> None:
    pause = FIRST_PAUSE_S
    while True:
        if await asyncio.to_thread(_learn, registry, entry, settings):
            pause = FIRST_PAUSE_S
            await asyncio.sleep(settings.os_peer_refresh_s)
        else:
            await asyncio.sleep(min(pause, settings.os_peer_refresh_s))
            pause *= 2


def _learn(registry: Registry, entry: BackendEntry, settings: Settings) -> bool:
    """Query one server and update the registry; return False, and keep its previous models, if the server does not respond."""
    try:
        models = _offers(entry, settings, ask=True)
    except SpeechError as error:
        log.warning("%s: %s", entry.name, error.message)
        return False
    registry.learn(entry.name, models)
    return True


def _offers(entry: BackendEntry, settings: Settings, *, ask: bool) -> list[ModelEntry]:
    module, _, function = entry.offers.partition(":")
    offers = getattr(importlib.import_module(module), function)
    try:
        found: list[ModelEntry] = offers(own_values(entry, settings), ask=ask)
    except SpeechError:
        raise
    except Exception as error:
        if not entry.package:
            raise
        raise BackendFailed(f"The plugin cannot list its models: {type(error).__name__}: {error}") from error
    return found


def own_values(entry: BackendEntry, settings: Settings) -> dict[str, Any]:
    """Return the configuration of a backend: the values of its settings, and of those of its variables that are set."""
    return {name: getattr(settings, name) for name in entry.settings} | config.variables(entry.variables)
