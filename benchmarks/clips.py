"""Recordings of real speech, downloaded through the project's own store."""

from __future__ import annotations

from pathlib import Path

from open_speech import config
from open_speech.weights import Store
from runners import catalog

CLIPS = Path(__file__).resolve().parent.parent / "tests" / "speech.toml"


def clip(name: str) -> Path:
    """Return the path of a clip of tests/speech.toml; it is downloaded if necessary."""
    (row,) = catalog.read_models(CLIPS)
    return Store(config.load().models_dir.parent).pull(row) / f"{name}.wav"


def model_folder(model_id: str) -> Path:
    """Return the folder of a model; it is downloaded if necessary."""
    entry = next(model for model in catalog.models() if model.id == model_id)
    return Store(config.load().models_dir).pull(entry)
