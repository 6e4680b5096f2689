"""Fixtures of every tier: where the real weights are, and real speech to try them on. Both come through the project's own Store."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # BentoML's import uses what pathspec and pydantic have deprecated; every warning of our own stays an error.
    warnings.simplefilter("ignore", DeprecationWarning)
    import _bentoml_impl.client.proxy2
    import _bentoml_impl.server.app  # noqa: F401 - imported for its warnings

from open_speech import config
from open_speech.weights import Store
from runners import catalog

SPEECH = Path(__file__).parent / "speech.toml"


@pytest.fixture(scope="session")
def weights_root() -> Path:
    """The models folder that this machine's settings name; it is kept between runs."""
    return config.load().models_dir


@pytest.fixture(scope="session")
def model_folder(weights_root: Path) -> Callable[[str], Path]:
    """The folder of a catalog model by its id, pulled first if it is not there."""
    store = Store(weights_root)
    entries = {model.id: model for model in catalog.models()}
    return lambda model_id: store.pull(entries[model_id])


@pytest.fixture(scope="session")
def default_weights(model_folder: Callable[[str], Path]) -> None:
    """The models of the default server are here."""
    for model_id in ("Systran/faster-whisper-base", "kokoro", "piper/en_US-joe-medium"):
        model_folder(model_id)


@pytest.fixture(scope="session")
def speech_clips(weights_root: Path) -> dict[str, Path]:
    """Real recordings by name: `beckett` (9.96 s) and `two_cities` (44.4 s), both WAV at 48 kHz."""
    (row,) = catalog.read_models(SPEECH)
    folder = Store(weights_root.parent).pull(row)
    return {Path(file.path).stem: folder / file.path for file in row.files}
