"""Voices from the audio files of a folder: `{speaker}_{language}.wav`, named by stem. Read-only. Blocking.

`anna_de.txt` contains the transcript of `anna_de.wav`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from open_speech.voices.presets import is_name

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
MOST = 1000
"""Maximum files that are read from the folder."""
TRANSCRIPT_CHARS = 4096
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?\Z")


@dataclass(frozen=True, slots=True)
class FolderVoice:
    """A voice from one file."""

    name: str
    """The file's stem."""
    language: str | None
    """BCP-47 tag, if the stem ends in one."""
    path: Path

    @property
    def transcript(self) -> str | None:
        """The transcript from the text file with the same stem; None without one. Blocking."""
        try:
            with self.path.with_suffix(".txt").open(encoding="utf-8", errors="replace") as file:
                return file.read(TRANSCRIPT_CHARS).strip() or None
        except OSError:
            return None


class VoiceFolder:
    """The current voices of a folder; no voices if the folder is None."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def voices(self) -> list[FolderVoice]:
        """List the voices by name; of two files with the same stem, the first suffix in SUFFIXES is used."""
        if self._folder is None:
            return []
        try:
            names = sorted(os.listdir(self._folder))[:MOST]
        except OSError:
            return []
        found = {}
        for suffix in reversed(SUFFIXES):
            for path in (self._folder / name for name in names if name.lower().endswith(suffix)):
                if is_name(path.stem) and path.is_file():
                    speaker, _, tail = path.stem.rpartition("_")
                    found[path.stem] = FolderVoice(path.stem, tail if speaker and _LANGUAGE.match(tail) else None, path)
        return [found[name] for name in sorted(found)]

    def find(self, name: str) -> FolderVoice | None:
        """Find a voice by the stem of its file."""
        return next((voice for voice in self.voices() if voice.name == name), None)
