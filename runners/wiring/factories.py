"""Factories that build components from the settings, for the front service and for the runners."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from open_speech.backends import ModelEntry, Task
from open_speech.codecs import isolation
from open_speech.codecs.isolated import ForkServer
from open_speech.config import Settings, SettingsError
from open_speech.dispatch.fallback import FallbackModels
from open_speech.errors import SpeechError
from open_speech.http import tls
from open_speech.model_indexes import JoinedModels, ModelIndexes, with_indexes
from open_speech.recognition.vad import SpeechModel
from open_speech.registry import Defaults, Registry
from open_speech.security.private_files import make_private
from open_speech.security.pull_policy import PullGuard
from open_speech.synthesis.cache import SpeechCache, Stamp, digest
from open_speech.text.pronunciation import Pronunciation
from open_speech.voices import Library, Presets, VoiceFolder, VoiceResolver, read_presets
from open_speech.voices.library import CONSENTS, VOICES
from open_speech.weights import Store
from runners import catalog
from runners.host.device import has_cuda
from runners.host.host import HostOptions
from runners.wiring import discovery
from runners.wiring.speech_detector import detector_file

log = logging.getLogger("open_speech.decoding")

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
    models = [catalog.with_needs(model, here[model.backend]) if model.backend in here else model for model in known_models]
    defaults = Defaults(stt_model, settings.tts_model, settings.tts_voice, aliases)
    disabled = {} if settings.tts_enabled else {Task.TTS: "TTS_ENABLED is false"}
    known = Registry(catalog.backends(), models, served, defaults, disabled=disabled)
    for entry in catalog.backends():
        if entry.offers and entry.name in served:
            known.learn(entry.name, discovery.given(entry, settings))
    return known


def fallback_models(settings: Settings, task: Task, registry: Registry) -> FallbackModels:
    """Return the fallback models of a task. Raises SettingsError that names a model which this server cannot use."""
    name = f"{'stt' if task is Task.STT else 'tts'}_fallback"
    chosen = FallbackModels(getattr(settings, name), getattr(settings, f"{name}_after_s"))
    for model in chosen.models:
        try:
            registry.find(model, task)
        except SpeechError as error:
            raise SettingsError(f"{name.upper()}: {error.message}") from None
    return chosen


def all_models(settings: Settings, served: Mapping[str, str]) -> JoinedModels:
    """Return the models of the catalog, and after them the rows of the accepted model indexes.

    A row is added if its backend is installed, or runs on another machine (`served`: backend -> where it runs).
    """
    stored, reports = ModelIndexes(settings.models_dir).all()
    if not stored:
        return JoinedModels(catalog.models(), reports=tuple(reports))
    backends = catalog.backends()
    usable = {entry.name for entry in backends if served.get(entry.name, "").startswith("http") or catalog.installed(entry)}
    joined = with_indexes(stored, backends, catalog.models(), usable)
    return replace(joined, reports=(*reports, *joined.reports))


def presets(settings: Settings) -> Presets:
    """Read the file of voice presets. Raises SettingsError that names the fault in the file."""
    path = settings.tts_voices_config
    return Presets() if path is None else read_presets(path.expanduser())


def voice_resolver(settings: Settings, registry: Registry) -> VoiceResolver:
    """Build the resolver of all voices that a request can name. Raises SettingsError for an invalid file of presets."""
    library = Library(settings.os_voice_library_path.expanduser(), limit=settings.os_voice_library_max_count)
    folder = settings.tts_voice_dir
    return VoiceResolver(registry, presets(settings), library, VoiceFolder(folder.expanduser() if folder else None))


def pronunciation(settings: Settings) -> Pronunciation:
    """Read the pronunciation dictionary. Raises SettingsError that names the fault in the file."""
    path = settings.tts_pronunciation_dict
    return Pronunciation(path.expanduser() if path else None)


def listening(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return BentoML's options for the server's address and certificate. Raises SettingsError for an invalid certificate."""
    shown = tls.certificate(settings)
    http = {"http": {"host": settings.os_host, "port": settings.os_port}}
    if shown is None:
        return http
    return {**http, "ssl": {"enabled": True, "certfile": str(shown.certfile), "keyfile": str(shown.keyfile)}}


def decoding(settings: Settings, *, at_once: bool = True) -> AbstractContextManager[ForkServer | None]:
    """Return a context in which files are decoded in a sandboxed child process, if OS_DECODE_IN_CHILD is on.

    Every process of the server opens it: a response of another server is as untrusted as an upload. Without `at_once` the child process
    is started only for the first file.
    """
    if not settings.os_decode_in_child:
        return nullcontext()
    return isolation(memory_mb=settings.os_decode_memory_mb, quiet_s=settings.os_decode_timeout_s, at_once=at_once)


async def report_sandbox(fork_server: ForkServer | None) -> None:
    """Log the sandbox of the processes that decode files."""
    if fork_server is None:
        log.warning("files are decoded in the server's own process, without a sandbox, because OS_DECODE_IN_CHILD is off")
        return
    try:
        found = await asyncio.to_thread(fork_server.in_force)
    except SpeechError as error:
        log.warning("files cannot be decoded: %s", error)
    else:
        log.log(logging.WARNING if found.missing else logging.INFO, "files are decoded in a sandbox: %s", found)


def make_folders_private(settings: Settings) -> None:
    """Remove the permissions of other users from files that clients have uploaded or the server has created for them. Blocking.

    An older version, another umask or a restored backup may have left such permissions. Folders in the settings may be shared with other
    programs, so only what the server has created in them is changed.
    """
    library, cache = settings.os_voice_library_path.expanduser(), settings.tts_cache_dir.expanduser()
    make_private(library / VOICES, library / CONSENTS, settings.os_jobs_dir.expanduser(), *cache.glob("speech-*"))


def speech_cache(settings: Settings) -> SpeechCache | None:
    """Open the speech cache; None if it is disabled."""
    if not settings.tts_cache_enabled:
        return None
    return SpeechCache(settings.tts_cache_dir.expanduser(), settings.tts_cache_max_mb << 20, stamp(settings))


def stamp(settings: Settings) -> Stamp:
    """Return a function that computes the digest of all that a model's audio depends on besides the request; None if it is unknown."""
    models = store(settings)
    backends = {entry.name: entry for entry in catalog.backends()}

    def told(model: ModelEntry) -> str | None:
        files = [file for part in model.whole for file in models.files(part)]
        if any(file.sha256 is None for file in files) or (model.sources and not files):
            return None
        entry = backends[model.backend]
        own = [(name, repr(value)) for name, value in discovery.own_values(entry, settings).items()]
        own += [("package", entry.package)] if entry.package else []
        return digest((model.id, settings.speech_device, [(file.path, file.sha256) for file in files], own))

    return told


def speech_model(settings: Settings) -> Callable[[], SpeechModel]:
    """Return a function that opens the speech detection model at its first call, and then returns the same one. Thread-safe."""
    lock = threading.Lock()

    @functools.cache
    def opened() -> SpeechModel:
        return SpeechModel(detector_file(store(settings)))

    def open_once() -> SpeechModel:
        with lock:
            return opened()

    return open_once


def host_options(settings: Settings, backend: str) -> HostOptions:
    """Return the options of a runner of `backend`."""
    entry = next(entry for entry in catalog.backends() if entry.name == backend)
    return HostOptions(
        device=settings.speech_device if entry.task is Task.TTS else settings.stt_device,
        compute_type=settings.stt_compute_type,
        model_threads=settings.os_threads,
        ttl_s=settings.os_model_ttl,
        limit=settings.os_max_loaded_models,
        settings=discovery.own_values(entry, settings),
    )


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and has_cuda())
