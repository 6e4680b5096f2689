"""How a pull is getting on, as values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from open_speech.errors import ModelTooLarge

State = Literal["waiting", "checking", "downloading", "unpacking", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one pull of one model stands.

    The byte counts are those of the current step (`state` at `source`), over all of its files; a new step starts again at 0.
    """

    model: str
    """Model id."""
    file: str
    """What is being moved now: a file of the model, or the package archive that holds some; empty between files."""
    done_bytes: int
    total_bytes: int | None
    """Bytes of the whole step; None while a size is unknown."""
    source: str
    """Short name for people: `local folder`, `hub`, `url`, `package index`."""
    state: State
    """`waiting` repeats what another asker, who is doing the work, last told."""


OnProgress = Callable[[Progress], None]


class Meter:
    """Counts the bytes of a pull and tells at most ten times a second, and at every new file."""

    def __init__(self, model: str, tell: OnProgress, interval_s: float = 0.1, *, limit_bytes: int | None = None) -> None:
        """`tell` is called in the pulling thread; what it raises ends the pull, which can be taken up again later.

        No step downloads more than `limit_bytes`; None sets no limit.
        """
        self._limit = limit_bytes
        self._model = model
        self._tell = tell
        self._interval_s = interval_s
        self._state: State = "checking"
        self._source = ""
        self._total: int | None = None
        self._file = ""
        self._before = 0
        self._here = 0
        self._told_at = 0.0

    def step(self, state: State, source: str, total: int | None) -> None:
        """Begin a step of `total` bytes. Raises ModelTooLarge for a download beyond the limit."""
        self._state, self._source, self._total = state, source, total
        self._check(total or 0)
        self._file, self._before, self._here = "", 0, 0
        self._say()

    def file(self, name: str) -> None:
        """Begin the next file of this step."""
        self._before += self._here
        self._file, self._here = name, 0
        self._say()

    def at(self, position: int) -> None:
        """Note that the current file has `position` bytes; a second try may go back. Raises ModelTooLarge, as `step`."""
        self._here = position
        self._check(self._before + position)
        if time.monotonic() - self._told_at >= self._interval_s:
            self._say()

    def _check(self, size: int) -> None:
        if self._limit is not None and self._state == "downloading" and size > self._limit:
            raise ModelTooLarge(
                f"The model `{self._model}` is larger than OS_PULL_MAX_MB, {self._limit >> 20} MiB; it is not downloaded.", param="model"
            )

    def _say(self) -> None:
        self._told_at = time.monotonic()
        self._tell(Progress(self._model, self._file, self._before + self._here, self._total, self._source, self._state))
