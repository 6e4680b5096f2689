"""The file of the speech detection model: in an installed package, or downloaded. No package is imported for it. Blocking."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from open_speech.weights import Store
from open_speech.weights.part_file import sha256_of
from runners import catalog

log = logging.getLogger("open_speech.weights")


def detector_file(store: Store) -> Path:
    """Return the file: of the package silero-vad, else of faster-whisper, else downloaded like that of any model.

    The file of silero-vad is used only with the SHA-256 in the catalog; a release of the package may contain another network. Raises
    what `Store.pull` raises.
    """
    packaged, default = catalog.speech_detectors()
    (expected,) = packaged.files
    found = _in_package("silero_vad", f"data/{expected.path}")
    if found is not None:
        if sha256_of(found) == expected.sha256:
            return found
        log.warning("%s is not used: its SHA-256 is not %s", found, expected.sha256)
    (file,) = default.files
    return _in_package("faster_whisper", f"assets/{file.path}") or store.pull(default) / file.path


def _in_package(package: str, path: str) -> Path | None:
    """Return the file at `path` in an installed package; None if the package or the file is missing. Does not import the package."""
    found = importlib.util.find_spec(package)
    file = Path(found.origin).parent / path if found and found.origin else None
    return file if file and file.is_file() else None
