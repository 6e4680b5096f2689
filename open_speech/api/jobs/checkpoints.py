"""The transcript of a long file so far: final windows as lines of JSON, stored while the rest is transcribed. Blocking."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from open_speech.api.jobs import disk
from open_speech.transcript import Segment, TranscriptInfo


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A part of a file whose text is final."""

    info: TranscriptInfo
    """Its duration is the end of the part in seconds of the file, where the next part begins."""
    segments: tuple[Segment, ...]


_LINE = TypeAdapter(Checkpoint)


def read(path: Path) -> list[Checkpoint]:
    """Read the checkpoints in order. An incomplete line that a crash left is cut off, so that the next one is on its own line.

    Raises StorageFailed.
    """
    found: list[Checkpoint] = []
    good = 0
    with disk.storing():
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
        for line in data.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                found.append(_LINE.validate_json(line))
            except ValidationError:
                break
            good += len(line)
        if good < len(data):
            os.truncate(path, good)
    return found


def add(path: Path, checkpoint: Checkpoint) -> None:
    """Store one more checkpoint. Raises StorageFailed."""
    with disk.storing():
        disk.append(path, _LINE.dump_json(checkpoint) + b"\n")


def forget(path: Path) -> None:
    """Delete all checkpoints when the transcript is complete."""
    path.unlink(missing_ok=True)
