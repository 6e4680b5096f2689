"""What was heard of a long file so far: windows that are final, a line of JSON for each, kept while the rest is heard. Blocking."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from open_speech.api.jobs import disk
from open_speech.transcript import Segment, TranscriptInfo


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stretch of a file whose text is final."""

    info: TranscriptInfo
    """Its duration is where the stretch ends, in seconds of the file; the next one begins there."""
    segments: tuple[Segment, ...]


_LINE = TypeAdapter(Checkpoint)


def read(path: Path) -> list[Checkpoint]:
    """Read the stretches in order. A line that a crash left half-written is cut off, so that the next one stands alone.

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
    """Keep one more stretch. Raises StorageFailed."""
    with disk.storing():
        disk.append(path, _LINE.dump_json(checkpoint) + b"\n")


def forget(path: Path) -> None:
    """Delete them: the whole is there."""
    path.unlink(missing_ok=True)
