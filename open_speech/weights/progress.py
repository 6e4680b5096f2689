"""The progress of a pull, as values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from open_speech.errors import ModelTooLarge

State = Literal["waiting", "checking", "downloading", "unpacking", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one pull of one model.

    The byte counts are those of the current step (`state` at `source`), over all of its files; a new step starts again at 0.
    """

    model: str
    """Model id."""
    file: str
    """The current file: a file of the model, or a package archive that contains some; empty between files."""
    done_bytes: int
    total_bytes: int | None
    """Bytes of the whole step; None while a size is unknown."""
    source: str
    """Short name for people: `local folder`, `hub`, `url`, `package index`."""
    state: State
    """`waiting` repeats the last progress of another caller, which is downloading the model."""


OnProgress = Callable[[Progress], None]


class Meter:
    """Byte counter of a pull, which reports at most ten times a second, and at every new file."""

    def __init__(self, model: str, on_progress: OnProgress, interval_s: float = 0.1, *, limit_bytes: int | None = None) -> None:
        """`on_progress` is called in the pulling thread; an exception from it ends the pull, which can be resumed later.

        No step downloads more than `limit_bytes`; None sets no limit.
        """
        self._limit = limit_bytes
        self._model = model
        self._on_progress = on_progress
        self._interval_s = interval_s
        self._state: State = "checking"
        self._source = ""
        self._total: int | None = None
        self._file = ""
        self._before = 0
        self._position = 0
        self._reported_at = 0.0

    def step(self, state: State, source: str, total: int | None) -> None:
        """Begin a step of `total` bytes. Raises ModelTooLarge for a download beyond the limit."""
        self._state, self._source, self._total = state, source, total
        self._check(total or 0)
        self._file, self._before, self._position = "", 0, 0
        self._report()

    def file(self, name: str) -> None:
        """Begin the next file of this step."""
        self._before += self._position
        self._file, self._position = name, 0
        self._report()

    def at(self, position: int) -> None:
        """Set the size of the current file to `position` bytes; it may shrink at a retry. Raises ModelTooLarge, as `step` does."""
        self._position = position
        self._check(self._before + position)
        if time.monotonic() - self._reported_at >= self._interval_s:
            self._report()

    def _check(self, size: int) -> None:
        if self._limit is not None and self._state == "downloading" and size > self._limit:
            raise ModelTooLarge(
                f"The model `{self._model}` is larger than OS_PULL_MAX_MB, {self._limit >> 20} MiB; it is not downloaded.", param="model"
            )

    def _report(self) -> None:
        self._reported_at = time.monotonic()
        self._on_progress(Progress(self._model, self._file, self._before + self._position, self._total, self._source, self._state))
