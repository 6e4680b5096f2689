"""Every model of the catalog in turn: a row added there is under these tests at once. What is not here is skipped, by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import BackendEntry, ModelEntry, Setup, Synthesizer, Task, Transcriber, Voice
from open_speech.weights import Store
from runners import catalog
from runners.wiring import factories as parts

BACKENDS: dict[str, BackendEntry] = {entry.name: entry for entry in catalog.BACKENDS}

ELSEWHERE = {"fish"}
"""Backends that ask a server of another kind; their own tests have one that speaks its protocol."""

AFAR = (
    ModelEntry("upstream/tones/listen", "upstream", Task.STT, "MIT", ("en",), word_times=True),
    ModelEntry(
        "upstream/tones/speak", "upstream-tts", Task.TTS, "MIT", ("en",), sample_rate=24_000, voices=(Voice("tone", "en-US"),),
        default_voice="tone",
    ),
)  # fmt: skip
"""Models of our own server, asked over HTTP as any OpenAI-compatible one."""


def rows(task: Task) -> list[Any]:
    models = [model for model in catalog.models() if model.task is task and model.backend not in ELSEWHERE]
    models += [model for model in AFAR if model.task is task]
    return [pytest.param(m, id=m.id, marks=[pytest.mark.weights] if any(part.sources for part in m.whole) else []) for m in models]


def loaded(model: ModelEntry, root: Path, request: pytest.FixtureRequest) -> Any:
    backend, store = BACKENDS[model.backend], Store(root, offline=True)
    if not catalog.installed(backend):
        pytest.skip(f"{model.id} is not installed: {backend.remedy}")
    model = model.part_for()
    if not store.is_complete(model):
        pytest.skip(f"{model.id} is not in the models folder: open-speech models pull {model.id}")
    module, _, name = backend.target.partition(":")
    own = {} if model not in AFAR else asking(backend, request.getfixturevalue("tones_upstream"))
    instance = getattr(importlib.import_module(module), name)(Setup(model, store.folder(model), device="cpu", threads=2, own=own))
    instance.load()
    return instance


def asking(backend: BackendEntry, url: str) -> Mapping[str, Any]:
    """The settings by which a backend asks a server of ours."""
    at = "STT_UPSTREAM_" if backend.task is Task.STT else "TTS_UPSTREAM_"
    return parts.host_options(config.load({at + "URL": url, at + "API_KEY": "sesame"}), backend.name).own


@pytest.fixture(scope="session", params=rows(Task.TTS))
def tts_entry(request: pytest.FixtureRequest) -> ModelEntry:
    """One speaking model of the catalog."""
    return request.param


@pytest.fixture(scope="session")
def tts(tts_entry: ModelEntry, weights_root: Path, request: pytest.FixtureRequest) -> Iterator[Synthesizer]:
    """The synthesiser of `tts_entry`, loaded once."""
    yield loaded(tts_entry, weights_root, request)


@pytest.fixture(scope="session", params=rows(Task.STT))
def stt_entry(request: pytest.FixtureRequest) -> ModelEntry:
    """One listening model of the catalog."""
    return request.param


@pytest.fixture(scope="session")
def stt(stt_entry: ModelEntry, weights_root: Path, request: pytest.FixtureRequest) -> Iterator[Transcriber]:
    """The transcriber of `stt_entry`, loaded once."""
    yield loaded(stt_entry, weights_root, request)
