"""Word errors and cost of every recognizer whose weights are on this machine: `python -m benchmarks recognizers --corpus DIR`.

The recognizers run in this process, one after the other, through the engine of the server, so a file is cut as the server cuts it. The
result is saved as JSON; `python -m benchmarks.plots` draws it and writes docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.corpus import Clip, collect, word_errors
from open_speech import config
from open_speech.backends import ModelEntry, Task, TranscribeOptions
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.weights import Store
from runners import catalog
from runners.wiring.engine import local_engine

RESULTS = Path(__file__).parent / "results" / "recognizers.json"
NOT_RECOGNIZERS = ("tones-stt",)
"""Backends that transcribe no speech."""
LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one recognizer over all clips."""

    model: str
    words: int
    errors: int
    """Substituted, missing and added words."""
    wall_s: float
    cpu_s: float
    """Seconds for all clips, one after the other, after the model is loaded."""
    megabytes: float
    """Size of its files."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark."""

    date: str
    machine: str
    cores: int
    clips: int
    audio_s: float
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, path: Path = RESULTS) -> Run:
        """Read a saved run."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**data, "rows": tuple(Row(**row) for row in data["rows"])})


def run(corpora: Sequence[Path], *, quick: bool, save: bool) -> int:
    """Measure all recognizers, print the table, and return 1 if one of them failed on a clip, else 0."""
    settings = config.load()
    installed = [entry for entry in catalog.backends() if entry.task is Task.STT and not entry.prefix and catalog.installed(entry)]
    names = tuple(entry.name for entry in installed if entry.name not in NOT_RECOGNIZERS)
    settings = settings.model_copy(update={"stt_backends": names, "tts_enabled": False, "os_offline": True, "os_model_ttl": 0})
    store = Store(settings.models_dir, offline=True)
    models = [m for m in catalog.models() if m.backend in names and LANGUAGE in (m.languages or (LANGUAGE,)) and store.is_complete(m)]
    folder = settings.models_dir.parent / "benchmarks" / "recognizers"
    folder.mkdir(parents=True, exist_ok=True)
    clips = collect(folder, corpora)[:: 3 if quick else 1]
    found = Run(
        datetime.now(UTC).date().isoformat(),
        processor(),
        os.cpu_count() or 1,
        len(clips),
        round(sum(clip.seconds for clip in clips), 1),
        tuple(asyncio.run(_measured(local_engine(settings), models, clips, store))),
    )
    print(table(found))
    if save:
        RESULTS.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return int(len(found.rows) < len(models))


async def _measured(engine: Engine, models: Sequence[ModelEntry], clips: Sequence[Clip], store: Store) -> list[Row]:
    rows = []
    for model in models:
        print(f"... {model.id}", flush=True)
        await engine.recognition.transcribe(clips[0].path, _request(model))  # loads the model
        words = errors = 0
        wall, cpu = time.perf_counter(), time.process_time()
        for clip in clips:
            transcript = await engine.recognition.transcribe(clip.path, _request(model))
            words += clip.words
            errors += word_errors(clip.text, transcript.text)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(file.size or 0 for file in store.files(model))
        rows.append(Row(model.id, words, errors, round(wall, 2), round(cpu, 2), round(size / 1e6, 1)))
        await engine.pool.unload(model.id)
    return sorted(rows, key=lambda row: row.errors)


def _request(model: ModelEntry) -> RecognitionRequest:
    return RecognitionRequest(model.id, TranscribeOptions(language=LANGUAGE))


def table(found: Run) -> str:
    """Return the results as a Markdown table."""
    lines = ["| Recognizer | Word errors | Speed | CPU per second of audio | Size |", "|---|---|---|---|---|"]
    for row in found.rows:
        rate = f"{100 * row.errors / row.words:.1f} % ({row.errors} of {row.words})"
        speed = f"{found.audio_s / row.wall_s:.1f} times real time"
        lines.append(f"| `{row.model}` | {rate} | {speed} | {row.cpu_s / found.audio_s:.3f} s | {row.megabytes:.0f} MB |")
    return "\n".join(lines)


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
