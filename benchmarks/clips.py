"""Real speech to measure on, through the project's own store."""

from __future__ import annotations

from pathlib import Path

from open_speech import config
from open_speech.testing.clips import speech_clips
from open_speech.weights import Store
from runners import catalog


def clip(name: str) -> Path:
    """Give the path of a recording of the conformance kit, fetched first if need be."""
    return speech_clips(config.load().models_dir)[name]


def model_folder(model_id: str) -> Path:
    """Give the folder of a model, fetched first if need be."""
    entry = next(model for model in catalog.models() if model.id == model_id)
    return Store(config.load().models_dir).pull(entry)
