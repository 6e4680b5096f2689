"""Factories of the parts of the front and of the command line. Those of every process are in `runner_parts.py`."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from open_speech.backends import ModelEntry, Task
from open_speech.codecs import isolation
from open_speech.codecs.isolated import ForkServer
from open_speech.config import Settings, SettingsError
from open_speech.dispatch.fallback import FallbackModels
from open_speech.errors import SpeechError
from open_speech.recognition.vad import SpeechModel
from open_speech.registry import Registry
from open_speech.sandbox import InForce
from open_speech.security.private_files import make_private
from open_speech.synthesis.cache import SpeechCache, Stamp, digest
from open_speech.text.pronunciation import Pronunciation
from open_speech.voices import Library, Presets, VoiceFolder, VoiceResolver, read_presets
from open_speech.voices.library import CONSENTS, VOICES
from runners import catalog
from runners.wiring import discovery
from runners.wiring.runner_parts import CPU_MODEL as CPU_MODEL
from runners.wiring.runner_parts import GPU_MODEL as GPU_MODEL
from runners.wiring.runner_parts import all_models as all_models
from runners.wiring.runner_parts import host_options as host_options
from runners.wiring.runner_parts import local_files as local_files
from runners.wiring.runner_parts import pull_guard as pull_guard
from runners.wiring.runner_parts import registry as registry
from runners.wiring.runner_parts import served_store as served_store
from runners.wiring.runner_parts import store as store
from runners.wiring.speech_detector import detector_file

log = logging.getLogger("open_speech.decoding")


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


def decoding(
    settings: Settings, *, at_once: bool = True, report: Callable[[InForce], None] | None = None
) -> AbstractContextManager[ForkServer | None]:
    """Return a context in which files are decoded in a sandboxed child process, if OS_DECODE_IN_CHILD is on.

    Without `at_once` the child process is started only for the first file; `report` is called with its restrictions.
    """
    if not settings.os_decode_in_child:
        return nullcontext()
    return isolation(memory_mb=settings.os_decode_memory_mb, quiet_s=settings.os_decode_timeout_s, at_once=at_once, report=report)


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
        log_sandbox(found)


def log_sandbox(found: InForce) -> None:
    """Log the restrictions of a process that decodes files."""
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
