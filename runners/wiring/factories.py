"""Settings -> the parts that both sides of the hop are built from."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from open_speech import tls
from open_speech.backends import ModelEntry, Task
from open_speech.cache import SpeechCache, Stamp, digest
from open_speech.codecs import isolation
from open_speech.config import Settings
from open_speech.pronunciation import Pronunciation
from open_speech.registry import Defaults, Registry
from open_speech.vad import SpeechModel
from open_speech.voices import Casting, Library, Presets, VoiceFolder, read_presets
from open_speech.weights import Store
from runners import _peers, catalog
from runners._device import has_cuda
from runners._host import HostOptions

CPU_MODEL = "Systran/faster-whisper-base"
GPU_MODEL = "deepdml/faster-whisper-large-v3-turbo-ct2"


def store(settings: Settings) -> Store:
    """Open the models folder."""
    return Store(settings.models_dir, offline=settings.os_offline)


def registry(settings: Settings, served: Mapping[str, str]) -> Registry:
    """Join the catalog with what this process serves (backend name -> where it runs) and what the settings name as defaults."""
    stt_model = settings.stt_model
    if stt_model == "auto":
        stt_model = GPU_MODEL if _on_gpu(settings.stt_device) else CPU_MODEL
    aliases = {"qwen3-tts": f"qwen3-tts-{settings.tts_qwen3_size.lower()}"}
    known = Registry(catalog.BACKENDS, catalog.models(), served, Defaults(stt_model, settings.tts_model, settings.tts_voice, aliases))
    for entry in catalog.BACKENDS:
        if entry.offers and entry.name in served:
            known.learn(entry.name, _peers.given(entry, settings))
    return known


def presets(settings: Settings) -> Presets:
    """Read the file of voice presets. Raises SettingsError naming what is wrong in it."""
    path = settings.tts_voices_config
    return Presets() if path is None else read_presets(path.expanduser())


def casting(settings: Settings, registry: Registry) -> Casting:
    """Gather every voice that can be asked for by name. Raises SettingsError for a wrong file of presets."""
    library = Library(settings.os_voice_library_path.expanduser(), limit=settings.os_voice_library_max_count)
    folder = settings.tts_voice_dir
    return Casting(registry, presets(settings), library, VoiceFolder(folder.expanduser() if folder else None))


def pronunciation(settings: Settings) -> Pronunciation:
    """Read the pronunciation dictionary. Raises SettingsError naming what is wrong in it."""
    path = settings.tts_pronunciation_dict
    return Pronunciation(path.expanduser() if path else None)


def listening(settings: Settings) -> dict[str, dict[str, Any]]:
    """Say to BentoML where the server listens, and with which certificate. Raises SettingsError naming a wrong one."""
    shown = tls.certificate(settings)
    http = {"http": {"host": settings.os_host, "port": settings.os_port}}
    if shown is None:
        return http
    return {**http, "ssl": {"enabled": True, "certfile": str(shown.certfile), "keyfile": str(shown.keyfile)}}


def decoding(settings: Settings) -> AbstractContextManager[object]:
    """Have uploads decoded where the settings want them to be, as long as this is open."""
    if not settings.os_decode_in_child:
        return nullcontext()
    return isolation(memory_mb=settings.os_decode_memory_mb, quiet_s=settings.os_decode_timeout_s)


def speech_cache(settings: Settings) -> SpeechCache | None:
    """Open the cache of speech, if there is to be one."""
    if not settings.tts_cache_enabled:
        return None
    return SpeechCache(settings.tts_cache_dir.expanduser(), settings.tts_cache_max_mb << 20, stamp(settings))


def stamp(settings: Settings) -> Stamp:
    """Say how to tell what a model's sound depends on beside the request."""
    models = store(settings)
    backends = {entry.name: entry for entry in catalog.BACKENDS}

    def told(model: ModelEntry) -> str | None:
        files = [file for part in model.whole for file in models.files(part)]
        if any(file.sha256 is None for file in files) or (model.sources and not files):
            return None
        own = [(name, repr(getattr(settings, name))) for name in backends[model.backend].settings]
        return digest((model.id, settings.speech_device, [(file.path, file.sha256) for file in files], own))

    return told


def speech_model(settings: Settings) -> Callable[[], SpeechModel]:
    """Say how to open the speech detector; it is opened once, by whoever is first.

    Its file is in the package of faster-whisper; where that is not installed it is fetched as any model's.
    """
    lock = threading.Lock()

    @functools.cache
    def opened() -> SpeechModel:
        entry = catalog.speech_detector()
        found = importlib.util.find_spec("faster_whisper")
        shipped = Path(found.origin).parent / "assets" / entry.files[0].path if found and found.origin else None
        return SpeechModel(shipped if shipped and shipped.is_file() else store(settings).pull(entry) / entry.files[0].path)

    def open_once() -> SpeechModel:
        with lock:
            return opened()

    return open_once


def host_options(settings: Settings, backend: str) -> HostOptions:
    """Choose how a runner of `backend` works."""
    entry = next(entry for entry in catalog.BACKENDS if entry.name == backend)
    return HostOptions(
        device=settings.speech_device if entry.task is Task.TTS else settings.stt_device,
        compute_type=settings.stt_compute_type,
        model_threads=settings.os_threads,
        ttl_s=settings.os_model_ttl,
        limit=settings.os_max_loaded_models,
        own={name: getattr(settings, name) for name in entry.settings},
    )


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and has_cuda())
