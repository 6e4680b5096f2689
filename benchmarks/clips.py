"""Recordings of real speech, downloaded through the project's own store."""

from __future__ import annotations

from pathlib import Path

from open_speech import config
from open_speech.testing.clips import speech_clips
from open_speech.weights import Store
from runners import catalog


def clip(name: str) -> Path:
    """Return the path of a recording of the conformance kit; it is downloaded if necessary."""
    return speech_clips(config.load().models_dir)[name]


def model_folder(model_id: str) -> Path:
    """Return the folder of a model; it is downloaded if necessary."""
    entry = next(model for model in catalog.models() if model.id == model_id)
    return Store(config.load().models_dir).pull(entry)
