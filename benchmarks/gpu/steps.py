"""The steps of the GPU check. Each runs in a process of its own, on the device of its context."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from benchmarks.gpu.report import OK, Outcome, Skipped, outcome_of_tests, used_mib
from open_speech import config
from open_speech.audio import Audio
from open_speech.backend_values import TranscribeOptions
from open_speech.backends import STT_RATE, ModelEntry, Setup, Window
from open_speech.cli import _gpus as gpus
from open_speech.errors import BackendFailed, SpeechError
from open_speech.testing import clips
from open_speech.testing.words import word_errors
from open_speech.weights import Store
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.host.device import has_cuda
from runners.host.memory import give_back, resident_bytes

ROOT = Path(__file__).parent.parent.parent
BATCHES = {"cuda": (1, 2, 4, 8, 16, 32), "cpu": (1, 2)}
KEPT_MIB = {"cuda": 1024, "cpu": 200}
"""Memory that may stay in use after a model is unloaded: on a GPU CUDA's context and cuBLAS's workspace, else what libraries keep."""
GROWTH_MIB = 64
"""Memory by which a second load and unload may add to that."""
CHECKPOINTS = ("test_kokoro_torch.py", "test_qwen.py", "test_xtts.py")
MOST_WRONG = 0.2
"""Share of wrong words above which a transcript shows a wrong result; the worst model here has half of that."""
MIB = 1 << 20
PART = "one-process"
"""The step that is only a part of another one."""


@dataclass(frozen=True)
class Context:
    """What a step runs on."""

    device: str
    quick: bool = False

    @cached_property
    def whispers(self) -> list[ModelEntry]:
        """The Whisper models whose weights are here, the smallest first. Raises Skipped without one."""
        store = self._store
        found = [model for model in catalog.models() if model.backend == "faster-whisper" and model.files and store.is_complete(model)]
        if not found:
            raise Skipped("no Whisper model is downloaded: open-speech models pull Systran/faster-whisper-base")
        return sorted(found, key=lambda model: model.size_bytes)

    @cached_property
    def clip(self) -> Audio:
        """Ten seconds of speech, at the rate of the recognizers."""
        path = clips.speech_clips(config.load().models_dir)["beckett"]
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return Audio(np.asarray(soxr.resample(samples.mean(axis=1), rate, STT_RATE), np.float32), STT_RATE)

    @property
    def _store(self) -> Store:
        return Store(config.load().models_dir)

    def whisper(self, model: ModelEntry, **options: Any) -> FasterWhisper:
        """Return a loaded model."""
        backend = FasterWhisper(Setup(model, self._store.folder(model), **{"device": self.device, **options}))
        backend.load()
        return backend

    def used_bytes(self) -> int:
        """Return the memory in use: of the GPUs as a whole, or of this process."""
        if self.device == "cpu":
            return resident_bytes()
        program = shutil.which("nvidia-smi")
        if program is None:
            raise Skipped("nvidia-smi is not installed")
        command = [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        return used_mib(subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout) * MIB


def devices(context: Context) -> Outcome:
    """Report what the driver and each library find."""
    import ctranslate2

    found, _ = gpus.look(cuda=has_cuda(), ctranslate2_gpus=ctranslate2.get_cuda_device_count())
    measured: dict[str, Any] = {"gpus": list(map(str, found)), "driver": has_cuda(), "ctranslate2": ctranslate2.__version__}
    measured["compute_types"] = sorted(ctranslate2.get_supported_compute_types(context.device))
    if importlib.util.find_spec("torch"):
        import torch

        measured |= {"torch": torch.__version__, "torch_cuda": torch.cuda.is_available()}
    if context.device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise RuntimeError("the driver has a device, and CTranslate2 finds none")
    return Outcome("devices", OK, f"{', '.join(measured['gpus']) or 'no GPU'}; CTranslate2 {measured['ctranslate2']}", measured)


def whisper(context: Context) -> Outcome:
    """Transcribe batches of growing size with the smallest and the largest model here, and check the words of every window."""
    measured: dict[str, Any] = {}
    for model in {model.id: model for model in (context.whispers[0], context.whispers[0 if context.quick else -1])}.values():
        backend = context.whisper(model)
        _windows(backend, context.clip, 1)  # the first call starts the libraries
        speeds = {}
        for batch in BATCHES[context.device]:
            took = statistics.median(_windows(backend, context.clip, batch) for _ in range(1 if context.quick else 3))
            speeds[batch] = round(batch * context.clip.seconds / took, 1)
        measured[model.id] = speeds
    said = "; ".join(f"{name}: " + ", ".join(f"{speed}x at {batch}" for batch, speed in found.items()) for name, found in measured.items())
    return Outcome("whisper", OK, said, measured)


def compute_types(context: Context) -> Outcome:
    """Transcribe with every compute type of the device."""
    import ctranslate2

    kinds = sorted(ctranslate2.get_supported_compute_types(context.device))
    measured = {kind: round(_windows(context.whisper(context.whispers[0], compute_type=kind), context.clip, 1), 3) for kind in kinds}
    return Outcome("compute-types", OK, ", ".join(f"{kind} {seconds} s" for kind, seconds in measured.items()), measured)


def device_choice(context: Context) -> Outcome:
    """Check that `auto` takes the GPU if there is one, that a number is accepted, and that a GPU that does not exist is an error."""
    model = context.whispers[0]
    chosen = {}
    for asked in ("auto", *(("cuda:0", "cpu") if context.device == "cuda" else ("cpu",))):
        backend = context.whisper(model, device=asked)
        assert backend._model is not None
        chosen[asked] = str(backend._model.model.device)
    expected = {"auto": context.device if has_cuda() else "cpu", "cpu": "cpu", "cuda:0": "cuda"}
    wrong = {asked: device for asked, device in chosen.items() if device != expected[asked]}
    if wrong:
        raise RuntimeError(f"chosen instead of what was asked: {wrong}")
    try:
        context.whisper(model, device="cuda:99")
    except BackendFailed as refused:
        return Outcome("device-choice", OK, f"{chosen}; cuda:99 is refused: {refused.message[:80]}", dict(chosen))
    raise RuntimeError("the device cuda:99 was accepted")


def memory(context: Context) -> Outcome:
    """Load and unload a model twice: its memory returns, and the second time takes no more than the first."""
    import faster_whisper  # noqa: F401 - the memory of the libraries is not that of a model

    before, after = context.used_bytes(), []
    loaded = 0
    for _ in range(2):
        backend = context.whisper(context.whispers[-1])
        _windows(backend, context.clip, 2)
        loaded = max(loaded, context.used_bytes())
        del backend
        give_back()
        after.append(context.used_bytes())
    figures = {
        name: round(value / MIB) for name, value in zip(("before", "loaded", "after", "after twice"), (before, loaded, *after), strict=True)
    }
    kept, growth = figures["after twice"] - figures["before"], figures["after twice"] - figures["after"]
    if growth > GROWTH_MIB:
        raise RuntimeError(f"a second load and unload kept {growth} MiB more: {figures}")
    if kept > KEPT_MIB[context.device]:
        raise RuntimeError(f"{kept} MiB stay in use after the model is unloaded: {figures}")
    return Outcome("memory", OK, ", ".join(f"{name} {value} MiB" for name, value in figures.items()), figures)


def two_processes(context: Context) -> Outcome:
    """Transcribe in two processes on one device at the same time, and compare with one process alone."""

    def one(_: object) -> float:
        command = [sys.executable, "-m", "benchmarks.gpu", "--step", PART, "--device", context.device]
        done = subprocess.run([*command, *(["--quick"] if context.quick else [])], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return float(Outcome.read("one-process", done.stdout).measured["audio_s_per_s"])

    context.whispers  # noqa: B018 - skips without weights, before processes are started
    alone = one(None)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(one, range(2)))
    ratio = round(sum(both) / alone, 2)
    return Outcome("two-processes", OK, f"{ratio} times the throughput of one", {"alone": alone, "both": both, "ratio": ratio})


def one_process(context: Context) -> Outcome:
    """Transcribe for a while: the part of `two_processes` that is in each process."""
    backend = context.whisper(context.whispers[0])
    _windows(backend, context.clip, 1)
    batch, times = BATCHES[context.device][-1], 1 if context.quick else 5
    took = sum(_windows(backend, context.clip, batch) for _ in range(times))
    return Outcome("one-process", OK, "", {"audio_s_per_s": round(times * batch * context.clip.seconds / took, 2)})


def checkpoints(context: Context) -> Outcome:
    """Run the tests of the torch backends on tiny checkpoints with random weights: those for a GPU, or those for the CPU."""
    chosen = "gpu" if context.device == "cuda" else "not gpu and not weights"
    files = [str(ROOT / "tests/runners" / name) for name in CHECKPOINTS]
    if importlib.util.find_spec("pytest") is None or importlib.util.find_spec("torch") is None:
        raise Skipped("pytest or torch is not installed")
    command = [sys.executable, "-m", "pytest", "-q", "-m", chosen, "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return outcome_of_tests("checkpoints", done.stdout)


def _windows(backend: FasterWhisper, clip: Audio, batch: int) -> float:
    """Decode the clip `batch` times in one call; return the seconds. Raises RuntimeError if a transcript is wrong."""
    began = time.monotonic()
    results = backend.transcribe_windows([Window(clip, TranscribeOptions(language="en"))] * batch)
    took = time.monotonic() - began
    for result in results:
        if isinstance(result, SpeechError):
            raise result
        text = " ".join(segment.text for segment in result.segments)
        wrong = word_errors(clips.BECKETT, text)
        if wrong > MOST_WRONG:
            raise RuntimeError(f"{wrong:.0%} of the words are wrong: {text!r}")
    return took


STEPS: Mapping[str, Callable[[Context], Outcome]] = {
    "devices": devices, "device-choice": device_choice, "whisper": whisper, "compute-types": compute_types, "memory": memory,
    "two-processes": two_processes, "checkpoints": checkpoints, PART: one_process,
}  # fmt: skip
