"""Composition of the engine: BentoML dependencies of the front service, and an engine over them or over backends in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import bentoml  # noqa: TID251 - the composition of services

from open_speech.backends import BackendEntry, Task
from open_speech.config import Settings
from open_speech.dispatch.client import Link, RunnerClient
from open_speech.dispatch.fallback import NO_FALLBACK
from open_speech.engine import Engine
from open_speech.metrics.meter import Meter
from open_speech.recognition.denoise import Cleaning
from open_speech.recognition.request import RecognitionDefaults
from open_speech.synthesis.plan import SynthesisDefaults
from open_speech.synthesis.postprocess import Finish
from runners.catalog.placement import Placement, plan
from runners.host.host import Host
from runners.host.request_ids import send_along
from runners.host.service_link import ServiceLink
from runners.wiring.factories import (
    fallback_models,
    host_options,
    pronunciation,
    pull_guard,
    registry,
    served_store,
    speech_cache,
    speech_model,
    voice_resolver,
)


def service_of(entry: BackendEntry) -> Any:
    """Import and return the BentoML service in a backend's module."""
    module = importlib.import_module(entry.module)
    return next(s for s in vars(module).values() if isinstance(s, bentoml.Service) and s.name == entry.service)


def dependencies(placements: Iterable[Placement]) -> dict[str, Any]:
    """Return the front service's class attributes: one BentoML dependency per backend in another process."""
    found = {}
    for placement in placements:
        if placement.where == "process":
            found[placement.attribute] = bentoml.depends(service_of(placement.backend))
        elif placement.where != "inproc":
            found[placement.attribute] = bentoml.depends(service_of(placement.backend), url=placement.where)
    return found


def engine_of(front: Any, settings: Settings, placements: Iterable[Placement], meter: Meter | None = None) -> Engine:
    """Build the engine over the dependencies of a running front service; `inproc` backends run in this process."""
    send_along()
    placements = tuple(placements)
    links = {
        p.backend.name: _host(p.backend, settings) if p.where == "inproc" else ServiceLink(getattr(front, p.attribute), batching=p.batching)
        for p in placements
    }
    return _engine(settings, links, {p.backend.name: p.where for p in placements}, meter)


def local_engine(settings: Settings) -> Engine:
    """Build an engine with every backend in this process: for the command line and for tests."""
    entries = [placement.backend for placement in plan(settings)]
    return _engine(settings, {e.name: _host(e, settings) for e in entries}, {e.name: "inproc" for e in entries})


def _host(entry: BackendEntry, settings: Settings) -> Host:
    backend = getattr(importlib.import_module(entry.module), entry.target.partition(":")[2])
    served = registry(settings, {entry.name: "inproc"})
    files = served_store(settings, served)
    return Host(backend, served, files, host_options(settings, entry.name), threads=entry.calls, batch=entry.batch)


def _engine(settings: Settings, links: Mapping[str, Link], served: Mapping[str, str], meter: Meter | None = None) -> Engine:
    deadline_s = settings.os_request_timeout_s
    known = registry(settings, served)
    pulls = pull_guard(settings, known)
    clients = {name: RunnerClient(name, link, deadline_s=deadline_s, pulls=pulls) for name, link in links.items()}
    return Engine(
        known,
        clients,
        detector=speech_model(settings),
        recognition=RecognitionDefaults(
            max_audio_s=settings.os_max_audio_s,
            vad=settings.vad if settings.stt_vad_enabled else None,
            cleaning=Cleaning(noise_reduce=settings.stt_noise_reduce, normalize=settings.stt_normalize),
        ),
        synthesis=SynthesisDefaults(
            max_text_chars=settings.tts_max_input_length,
            speed=settings.tts_speed,
            finish=Finish(trim=settings.tts_trim_silence, normalize=settings.tts_normalize_output),
            other_scripts=settings.tts_other_scripts,
        ),
        max_queue=settings.os_max_queue,
        patience_s=settings.os_queue_timeout_s,
        voices=voice_resolver(settings, known),
        cache=speech_cache(settings),
        pronunciation=pronunciation(settings),
        meter=meter,
        stt_fallback=fallback_models(settings, Task.STT, known),
        tts_fallback=fallback_models(settings, Task.TTS, known) if settings.tts_enabled else NO_FALLBACK,
    )
