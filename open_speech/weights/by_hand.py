"""Models that were copied into the models folder by hand: CTranslate2 Whisper models, whose files are known by their names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from open_speech.weights import manifest

WHISPER_FILES = ("*.bin", "*.json", "*.txt")
"""Patterns of the files of a CTranslate2 Whisper model; a repository's other files (README, images) are not downloaded."""
WHISPER_CORE = ("model.bin", "config.json")
"""Files that every CTranslate2 Whisper model has."""


def whisper_files(names: list[str]) -> tuple[str, ...]:
    """Return the files of a CTranslate2 Whisper model among a folder's or repository's names; empty if it is not one."""
    if not set(WHISPER_CORE) <= set(names):
        return ()
    chosen = [name for name in names if "/" not in name and any(fnmatchcase(name, pattern) for pattern in WHISPER_FILES)]
    return tuple(sorted(name for name in chosen if not name.startswith(".")))


def is_by_hand(folder: Path) -> bool:
    """Return whether a folder contains a whole model that was copied by hand: no pull ever started in it."""
    return folder.is_dir() and manifest.read(folder) is None and bool(whisper_files([path.name for path in folder.iterdir()]))
