"""Real speech to measure on, through the project's own store."""

from __future__ import annotations

from pathlib import Path

from open_speech import config
from open_speech.model_rows import read_models
from open_speech.weights import Store
from runners import catalog

CLIPS = Path(__file__).resolve().parent.parent / "tests" / "speech.toml"


def clip(name: str) -> Path:
    """Give the path of a clip of tests/speech.toml, fetched first if need be."""
    (row,) = read_models(CLIPS)
    return Store(config.load().models_dir.parent).pull(row) / f"{name}.wav"


def model_folder(model_id: str) -> Path:
    """Give the folder of a model, fetched first if need be."""
    entry = next(model for model in catalog.models() if model.id == model_id)
    return Store(config.load().models_dir).pull(entry)
