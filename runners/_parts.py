"""Settings -> the parts that both sides of the hop are built from."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.registry import Defaults, Registry
from open_speech.vad import SpeechModel
from open_speech.weights import Store
from runners import catalog
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
    return Registry(catalog.BACKENDS, catalog.models(), served, Defaults(stt_model, settings.tts_model, settings.tts_voice))


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
    speaks = next(entry for entry in catalog.BACKENDS if entry.name == backend).task is Task.TTS
    return HostOptions(
        device=settings.speech_device if speaks else settings.stt_device,
        compute_type=settings.stt_compute_type,
        model_threads=settings.os_threads,
        ttl_s=settings.os_model_ttl,
        limit=settings.os_max_loaded_models,
    )


def _on_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and has_cuda())
