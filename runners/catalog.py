"""The only list of what this server can run: backends here, their models as data in `models/*.toml`.

A file there holds the models of one backend: its top-level keys are the defaults of every `[[model]]` in it. Adding a backend is one
module and one entry here; adding a model is one row there.
"""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from open_speech.backends import (
    Archive,
    ArchiveSource,
    BackendEntry,
    HubSource,
    ModelEntry,
    Source,
    Task,
    UrlSource,
    Voice,
    WeightFile,
)

MODELS_FOLDER = Path(__file__).parent / "models"

KOKORO_VOICES = {
    "alloy": "af_alloy", "ash": "am_michael", "ballad": "bm_george", "coral": "af_bella", "echo": "am_echo", "fable": "bm_fable",
    "onyx": "am_onyx", "nova": "af_nova", "sage": "af_sarah", "shimmer": "af_sky", "verse": "am_puck", "marin": "af_heart",
    "cedar": "am_fenrir",
}  # fmt: skip
"""OpenAI's voices -> the Kokoro voice of the same name, or else of the same gender and a like character."""

BACKENDS: tuple[BackendEntry, ...] = (
    BackendEntry(
        name="faster-whisper",
        task=Task.STT,
        target="runners.faster_whisper:FasterWhisper",
        requires=("faster_whisper",),
        extra="faster-whisper",
        licence="MIT",
        open_ended=True,
    ),
    BackendEntry(
        name="kokoro",
        task=Task.TTS,
        target="runners.kokoro:Kokoro",
        requires=("kokoro_onnx",),
        extra="kokoro",
        licence="MIT, with espeak-ng (GPL-3.0-or-later)",
        speed_range=(0.5, 2.0),
        piece_chars=250,  # 400 take it up to 7 s on two cores, and a piece that is begun cannot be cancelled
        openai_voices=KOKORO_VOICES,
    ),
    BackendEntry(
        name="piper",
        task=Task.TTS,
        target="runners.piper:Piper",
        requires=("piper",),
        extra="piper",
        licence="GPL-3.0-or-later",
        speed_range=(0.25, 4.0),
    ),
    BackendEntry(
        name="tones-stt",
        task=Task.STT,
        target="runners.tones:TonesTranscriber",
        requires=(),
        extra="",
        licence="MIT",
    ),
    BackendEntry(
        name="tones-tts",
        task=Task.TTS,
        target="runners.tones:TonesSynthesizer",
        requires=(),
        extra="",
        licence="MIT",
        speed_range=(0.25, 4.0),
    ),
)


def installed(entry: BackendEntry) -> bool:
    """Tell whether everything the backend needs can be imported here; nothing is imported to find out."""
    return all(importlib.util.find_spec(module) is not None for module in entry.requires)


@cache
def models() -> tuple[ModelEntry, ...]:
    """List every model of `models/*.toml`, in the order of file name and row."""
    return tuple(model for path in sorted(MODELS_FOLDER.glob("*.toml")) for model in read_models(path))


def read_models(path: Path) -> tuple[ModelEntry, ...]:
    """Read the models of one file. Raises TypeError, KeyError or ValueError if a row is not written as it should be."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = table.pop("model")
    return tuple(_model({**table, **row}) for row in rows)


def _model(row: dict[str, Any]) -> ModelEntry:
    """Build one entry; a key that ModelEntry does not have is a TypeError, so a slip of the pen cannot pass unseen."""
    sources = tuple(_source(source) for source in row.pop("source", ()))
    files = tuple(WeightFile(**file) for file in row.pop("file", ()))
    voices = tuple(Voice(**voice) for voice in row.pop("voice", ()))
    languages = (*row.pop("languages"), *row.pop("more_languages", ()))
    return ModelEntry(task=Task(row.pop("task")), languages=languages, voices=voices, files=files, sources=sources, **row)


def _source(row: Mapping[str, Any]) -> Source:
    """Build one source; its first key says which kind it is."""
    match row:
        case {"hub": repo, **rest}:
            return HubSource(repo, **rest)
        case {"urls": urls}:
            return UrlSource(urls)
        case {"archives": archives, "members": members}:
            joined = {path: tuple((index, name) for index, name in parts) for path, parts in members.items()}
            return ArchiveSource(tuple(Archive(**archive) for archive in archives), joined)
        case _:
            raise ValueError(f"a source needs `hub`, `urls`, or `archives` with `members`: {dict(row)}")
