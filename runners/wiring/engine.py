"""Composition of the engine: over the BentoML dependencies of the front service, or over backends in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from open_speech.backends import BackendEntry, Task
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.fallback import NO_FALLBACK
from open_speech.dispatch.link import Link
from open_speech.dispatch.replicas import OneRunner, Replicas
from open_speech.engine import Engine
from open_speech.metrics.meter import Meter
from open_speech.recognition.denoise import Cleaning
from open_speech.recognition.request import RecognitionDefaults
from open_speech.registry import Registry
from open_speech.synthesis.plan import SynthesisDefaults
from open_speech.synthesis.postprocess import Finish
from runners.catalog.placement import Placement, plan
from runners.host.asleep import Asleep
from runners.host.host import Host
from runners.host.own_service import runners_start_on_demand
from runners.host.request_ids import send_along
from runners.host.service_link import ServiceLink
from runners.host.weights import Files
from runners.wiring.factories import (
    fallback_models,
    host_options,
    pronunciation,
    pull_guard,
    registry,
    served_store,
    speech_cache,
    speech_model,
    store,
    voice_resolver,
)
from runners.wiring.fleet import replicas_of
from runners.wiring.services import service_of
from runners.wiring.turn_detection import turn_decider


def engine_of(front: Any, settings: Settings, placements: Iterable[Placement], meter: Meter | None = None) -> Engine:
    """Build the engine over the dependencies of a running front service; `inproc` backends run in this process."""
    send_along()
    placements = tuple(placements)
    known = registry(settings, {placement.backend.name: placement.where for placement in placements})
    return _engine(settings, {placement.backend.name: _link(front, placement, settings, known) for placement in placements}, known, meter)


def _link(front: Any, placement: Placement, settings: Settings, known: Registry) -> Link | Replicas:
    if placement.where == "inproc":
        return _host(placement.backend, settings)
    if placement.is_fleet:
        return replicas_of(placement, service_of(placement.backend), known, refresh_s=settings.os_replica_refresh_s)
    link = ServiceLink(getattr(front, placement.attribute), batching=placement.batching)
    return OneRunner(placement.backend.name, link, sleeper=_sleeper(placement, settings))


def _sleeper(placement: Placement, settings: Settings) -> Asleep | None:
    """Return what answers for a runner while it has no process; None if it always has one, or is not a process of this server."""
    entry = placement.backend
    if placement.where != "process" or not runners_start_on_demand():
        return None
    url = service_of(entry).url or ""
    if not url.startswith("file:"):
        return None  # `bentoml serve --development` runs it in this process, and `--depends` names one elsewhere
    served = registry(settings, {entry.name: "process"})
    return Asleep(url, Files(served, served_store(settings, served)), host_options(settings, entry.name).device)


def local_engine(settings: Settings) -> Engine:
    """Build an engine with every backend in this process: for the command line and for tests."""
    entries = [placement.backend for placement in plan(settings)]
    return _engine(settings, {e.name: _host(e, settings) for e in entries}, registry(settings, {e.name: "inproc" for e in entries}))


def _host(entry: BackendEntry, settings: Settings) -> Host:
    backend = getattr(importlib.import_module(entry.module), entry.target.partition(":")[2])
    served = registry(settings, {entry.name: "inproc"})
    files = served_store(settings, served)
    threads = settings.llm_parallel if entry.task is Task.LLM else entry.calls
    return Host(backend, served, files, host_options(settings, entry.name), threads=threads, batch=entry.batch)


def _engine(settings: Settings, links: Mapping[str, Link | Replicas], known: Registry, meter: Meter | None = None) -> Engine:
    deadline_s = settings.os_request_timeout_s
    pulls = pull_guard(settings, known)
    clients = {name: RunnerClient(name, link, deadline_s=deadline_s, pulls=pulls) for name, link in links.items()}
    meter = meter or Meter()
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
        turns=turn_decider(settings, store(settings), meter),
    )
