"""Factories of the parts that a runner process needs. The parts of the front are in `factories.py`: a runner does not import them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from open_speech.backends import ModelEntry, Task
from open_speech.config import Settings
from open_speech.hub_names import local_id
from open_speech.model_indexes import JoinedModels, ModelIndexes, with_indexes
from open_speech.registry import Defaults, Registry
from open_speech.sandbox import decoding as decoding_place
from open_speech.sandbox.decoding import DecodingLimits
from open_speech.security.pull_policy import PullGuard
from open_speech.weights import Store
from runners import catalog
from runners.catalog.placement import is_remote
from runners.host.device import has_cuda
from runners.host.memory import REST_S
from runners.host.options import HostOptions
from runners.host.own_service import own_service, runners_start_on_demand
from runners.wiring import discovery

CPU_MODEL = "Systran/faster-whisper-base"
GPU_MODEL = "deepdml/faster-whisper-large-v3-turbo-ct2"


def store(settings: Settings) -> Store:
    """Open the models folder for the operator, without limits on downloads."""
    return Store(settings.models_dir, offline=settings.os_offline)


def pull_guard(settings: Settings, registry: Registry) -> PullGuard:
    """Build the check of which models a request may cause to be downloaded."""
    return PullGuard(settings.pulls, registry.is_unlisted)


def served_store(settings: Settings, registry: Registry) -> Store:
    """Open the models folder for requests, with downloads limited by OS_PULL_ALLOWED and OS_PULL_MAX_MB."""
    limit = settings.os_pull_max_mb << 20 or None
    return Store(settings.models_dir, offline=settings.os_offline, guard=pull_guard(settings, registry), max_bytes=limit)


def registry(settings: Settings, served: Mapping[str, str]) -> Registry:
    """Build the registry from the catalog, the served backends (name -> where it runs) and the default models in the settings."""
    stt_model = settings.stt_model
    if stt_model == "auto":
        stt_model = GPU_MODEL if _on_gpu(settings.stt_device) else CPU_MODEL
    aliases = {"qwen3-tts": f"qwen3-tts-{settings.tts_qwen3_size.lower()}"}
    here = {entry.name: entry for entry in catalog.backends() if served.get(entry.name) in ("process", "inproc")}
    known_models = all_models(settings, served).models
    known_models = (*known_models, *local_files(settings))
    models = [catalog.with_needs(model, here[model.backend]) if model.backend in here else model for model in known_models]
    defaults = Defaults(stt_model, settings.tts_model, settings.tts_voice, aliases)
    disabled = {} if settings.tts_enabled else {Task.TTS: "TTS_ENABLED is false"}
    known = Registry(catalog.backends(), models, served, defaults, disabled=disabled)
    for entry in catalog.backends():
        if entry.offers and entry.name in served:
            known.learn(entry.name, discovery.given(entry, settings))
    return known


def local_files(settings: Settings) -> tuple[ModelEntry, ...]:
    """Return the entry of the GGUF file that LLM_MODEL names by its path, if it does."""
    path = settings.llm_model
    if not (name := local_id(path)):
        return ()
    entry = ModelEntry(
        name, "llama", Task.LLM, "see the file", (), description=f"The file `{Path(path).name}`.", aliases=(path,), by_hand=True
    )
    return (entry,)


def all_models(settings: Settings, served: Mapping[str, str]) -> JoinedModels:
    """Return the models of the catalog, and after them the rows of the accepted model indexes.

    A row is added if its backend is installed, or runs on another machine (`served`: backend -> where it runs).
    """
    stored, reports = ModelIndexes(settings.models_dir).all()
    if not stored:
        return JoinedModels(catalog.models(), reports=tuple(reports))
    backends = catalog.backends()
    usable = {entry.name for entry in backends if is_remote(served.get(entry.name, "")) or catalog.installed(entry)}
    joined = with_indexes(stored, backends, catalog.models(), usable)
    return replace(joined, reports=(*reports, *joined.reports))


def isolate_decoding(settings: Settings) -> None:
    """Decode the files of this process in a sandboxed child process, which starts with the first file, if OS_DECODE_IN_CHILD is on.

    A runner decodes responses of other servers, which are as untrusted as uploads.
    """
    limits = DecodingLimits(settings.os_decode_memory_mb, settings.os_decode_timeout_s) if settings.os_decode_in_child else None
    decoding_place.isolate_decoding(limits)


def host_options(settings: Settings, backend: str) -> HostOptions:
    """Return the options of a runner of `backend`."""
    entry = next(entry for entry in catalog.backends() if entry.name == backend)
    return HostOptions(
        device=_device(settings, entry.task),
        compute_type=settings.stt_compute_type,
        model_threads=settings.os_threads,
        ttl_s=settings.os_model_ttl,
        limit=settings.os_max_loaded_models,
        settings=discovery.own_values(entry, settings),
        rest_s=_rest_s(settings) if own_service() == entry.service and runners_start_on_demand() else 0.0,
    )


def _rest_s(settings: Settings) -> float:
    return min(REST_S, settings.os_model_ttl) if settings.os_model_ttl else REST_S


def _device(settings: Settings, task: Task) -> str:
    """Return the device of a task; a language model's layers are placed by LLM_GPU_LAYERS."""
    return {Task.TTS: settings.speech_device, Task.LLM: "auto"}.get(task, settings.stt_device)


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and has_cuda())
