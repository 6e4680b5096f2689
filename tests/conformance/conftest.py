"""Every model of the catalog in turn: a row added there is under these tests at once. What is not here is skipped, by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Setup, Synthesizer, Task, Transcriber
from open_speech.weights import Store
from runners import catalog

BACKENDS: dict[str, BackendEntry] = {entry.name: entry for entry in catalog.BACKENDS}

ELSEWHERE = {"fish"}
"""Backends that ask a server of another kind; their own tests have one that speaks its protocol."""


def rows(task: Task) -> list[Any]:
    models = [model for model in catalog.models() if model.task is task and model.backend not in ELSEWHERE]
    return [pytest.param(m, id=m.id, marks=[pytest.mark.weights] if any(part.sources for part in m.whole) else []) for m in models]


def loaded(model: ModelEntry, root: Path) -> Any:
    backend, store = BACKENDS[model.backend], Store(root, offline=True)
    if not catalog.installed(backend):
        pytest.skip(f"{model.id} is not installed: {backend.remedy}")
    model = model.part_for()
    if not store.is_complete(model):
        pytest.skip(f"{model.id} is not in the models folder: open-speech models pull {model.id}")
    module, _, name = backend.target.partition(":")
    instance = getattr(importlib.import_module(module), name)(Setup(model, store.folder(model), device="cpu", threads=2))
    instance.load()
    return instance


@pytest.fixture(scope="session", params=rows(Task.TTS))
def tts_entry(request: pytest.FixtureRequest) -> ModelEntry:
    """One speaking model of the catalog."""
    return request.param


@pytest.fixture(scope="session")
def tts(tts_entry: ModelEntry, weights_root: Path) -> Iterator[Synthesizer]:
    """The synthesiser of `tts_entry`, loaded once."""
    yield loaded(tts_entry, weights_root)


@pytest.fixture(scope="session", params=rows(Task.STT))
def stt_entry(request: pytest.FixtureRequest) -> ModelEntry:
    """One listening model of the catalog."""
    return request.param


@pytest.fixture(scope="session")
def stt(stt_entry: ModelEntry, weights_root: Path) -> Iterator[Transcriber]:
    """The transcriber of `stt_entry`, loaded once."""
    yield loaded(stt_entry, weights_root)
