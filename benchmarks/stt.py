"""Speech to text against its peers, by turns in one run: errors, CPU seconds, latency, throughput, memory. One report at the end."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import TypeVar

import httpx

from benchmarks import peers
from benchmarks.clips import model_folder
from benchmarks.corpus import Clip, collect, long_recording, word_errors
from benchmarks.peers import Contender, Ours
from benchmarks.served import MEASURED, Served, serve
from benchmarks.stt_report import Cost, LongResult, Result, long_table, tables
from open_speech import config
from open_speech.backends import ModelEntry, Task
from open_speech.weights import Store
from runners import catalog

T = TypeVar("T")
MODEL = "Systran/faster-whisper-base"
"""The model that the peers run, on the same files."""
SHORT_S = 16.0
CALLERS = (1, 4, 8, 16)
LEAST_JOBS = 12
RESULTS = Path(__file__).parent / "results" / "stt.md"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the benchmark."""

    quick: bool = False
    """Fewer rounds and levels."""
    corpora: tuple[Path, ...] = ()
    """Folders of further audio and texts."""
    long_minutes: float = 0.0
    """Length in minutes of one recording to measure instead of everything else; 0 disables it."""
    save: bool = False
    fresh: bool = False
    """Only for `wer`: measure the library again instead of reading its kept results."""


def run(options: Options) -> None:
    """Measure and print; with `save` the report is written to benchmarks/results as well."""
    with tempfile.TemporaryDirectory(prefix="open-speech-stt-") as folder, ExitStack() as stack:
        clips = collect(Path(folder), options.corpora)
        served, models = stack.enter_context(_server())
        ours = [stack.enter_context(_ours(served, model)) for model in models]
        others = list(_others(stack, sequential=not options.long_minutes))
        for contender in (*ours, *others):
            contender.transcribe(clips[0])  # loads the model and is not measured
        if options.long_minutes:
            clip = long_recording(Path(folder), [c for c in clips if c.seconds <= SHORT_S], options.long_minutes)
            first = next(one for one in ours if one.model == MODEL)
            report = long_table([transcribe_long(one, clip) for one in (first, *others)])
        else:
            report = tables(measure(ours, others, clips, options), clips)
    print(report)
    if options.save:
        RESULTS.parent.mkdir(exist_ok=True)
        name = "stt-long.md" if options.long_minutes else "stt.md"
        RESULTS.with_name(name).write_text(report + "\n", encoding="utf-8")


def measure(ours: list[Ours], others: list[Contender], clips: list[Clip], options: Options) -> list[Result]:
    """Run every measurement; the results are this server's on the peers' model, then the peers', then those of its other models."""
    first, *rest = ours
    race: list[Contender] = [first, *others]
    results = {one.name: Result(one.name) for one in (*race, *rest)}
    rounds = 3 if options.quick else 8
    _note(f"every clip, one at a time, {rounds} times")
    for clip in clips:
        for _ in range(rounds):
            for one in (*race, *rest):
                text, cost = timed(one, clip)
                results[one.name].errors[clip.name] = word_errors(clip.text, text)
                results[one.name].costs.setdefault(clip.name, []).append(cost)
    jobs = [clip for clip in clips if clip.seconds <= SHORT_S]
    for callers in CALLERS[-1:] if options.quick else CALLERS:
        _note(f"{callers} callers")
        for one in (*race, *rest):
            results[one.name].throughput[callers] = crowd(one, jobs, callers)
            results[one.name].memory_mb = max(results[one.name].memory_mb, one.memory_mb())
    return list(results.values())


def timed(one: Contender, clip: Clip) -> tuple[str, Cost]:
    """Transcribe a clip once; return its text and its cost."""
    return _cost(one, lambda: one.transcribe(clip), clip.seconds)


def crowd(one: Contender, clips: list[Clip], callers: int) -> Cost:
    """Transcribe clips of mixed length by concurrent callers, each of which sends the next clip after its response; return the cost."""
    dice = random.Random(callers)
    jobs = [dice.choice(clips) for _ in range(max(LEAST_JOBS, 2 * callers))]
    with ThreadPoolExecutor(callers) as pool:
        return _cost(one, lambda: list(pool.map(one.transcribe, jobs)), sum(job.seconds for job in jobs))[1]


def transcribe_long(one: Contender, clip: Clip) -> LongResult:
    """Transcribe a long recording once and measure memory; this server's response is streamed."""
    _note(f"{clip.name}: {one.name}")
    first: float | None = None

    def transcribe() -> str:
        nonlocal first
        if not isinstance(one, Ours):
            return one.transcribe(clip)
        first, text = one.transcribe_streamed(clip)
        return text

    with _memory_of(one) as measured_mb:
        text, cost = _cost(one, transcribe, clip.seconds)
    return LongResult(one.name, cost, word_errors(clip.text, text), clip.words, max(measured_mb), first)


def _cost(one: Contender, work: Callable[[], T], audio_s: float) -> tuple[T, Cost]:
    time.sleep(peers.PAUSE_S)
    used, started = one.cpu_s(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - started
    return result, Cost(wall, one.cpu_s() - used, audio_s)


@contextmanager
def _memory_of(one: Contender) -> Iterator[list[float]]:
    """Measure the memory of a contender in MB once a second until the block ends."""
    measured_mb = [one.memory_mb()]
    ended = threading.Event()

    def measure_memory() -> None:
        while not ended.wait(1):
            measured_mb.append(one.memory_mb())

    thread = threading.Thread(target=measure_memory)
    thread.start()
    try:
        yield measured_mb
    finally:
        ended.set()
        thread.join()


@contextmanager
def _server() -> Iterator[tuple[Served, list[ModelEntry]]]:
    """Run this server with every installed recognizer; yield it with its downloaded models, the peers' model first."""
    model_folder(MODEL)
    store = Store(config.load().models_dir)
    installed = {b.name for b in catalog.BACKENDS if b.task is Task.STT and b.requires and catalog.installed(b)}
    models = [model for model in catalog.models() if model.backend in installed and store.is_complete(model)]
    settings = {
        "OS_OFFLINE": "true",
        "OS_MAX_UPLOAD_MB": "600",
        "OS_MODEL_TTL": "0",
        "TTS_ENABLED": "false",
        "STT_BACKENDS": ",".join(sorted({model.backend for model in models})),
    }
    with serve(settings | MEASURED) as served:
        yield served, sorted(models, key=lambda model: model.id != MODEL)


@contextmanager
def our_server() -> Iterator[Ours]:
    """Run this server with only the peers' model, which is loaded."""
    settings = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "TTS_ENABLED": "false", "STT_BACKENDS": "faster-whisper"}
    with serve(settings) as served, tempfile.TemporaryDirectory() as folder:
        with _ours(served, next(model for model in catalog.models() if model.id == MODEL)) as ours:
            ours.transcribe(collect(Path(folder))[0])
            yield ours


@contextmanager
def _ours(served: Served, model: ModelEntry) -> Iterator[Ours]:
    limits = httpx.Limits(max_connections=max(CALLERS))
    with httpx.Client(base_url=served.url, timeout=peers.ANSWER_S, limits=limits) as client:
        name = f"Open Speech, {model.id.removeprefix('Systran/')}"
        yield Ours(name, model.id, model.backend.replace("-", "_"), served, client)


def _others(stack: ExitStack, *, sequential: bool) -> Iterator[Contender]:
    folder = model_folder(MODEL)
    if sequential:
        yield stack.enter_context(peers.library("faster-whisper", "sequential", folder))
    yield stack.enter_context(peers.library("faster-whisper, batched", "batched", folder))
    if sequential:
        try:
            yield stack.enter_context(peers.wyoming(folder))
        except (CalledProcessError, ChildProcessError, TimeoutError) as missing:
            _note(f"without wyoming-faster-whisper: {missing}")


def _note(text: str) -> None:
    print(f"... {text}", flush=True)
