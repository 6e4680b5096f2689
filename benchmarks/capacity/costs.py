"""What the simulation is fed with: the times that a front and a runner replica take, measured on a server or assumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "capacity.json"


@dataclass(frozen=True, slots=True)
class ReplicaCosts:
    """The service times of one replica of a runner that decodes windows of speech in batches."""

    fixed_s: float
    per_audio_s: float
    """Seconds for one window alone: `fixed_s` plus `per_audio_s` per second of its audio."""
    spread: float
    """Standard deviation of the time of one window, as a share of that."""
    more: float
    """Time of each further window of a batch, as a share of the first window's: 0 is a perfect batch, 1 is no gain."""
    slowdown: tuple[float, ...]
    """Factor on these times while 1, 2, … workers are busy; as many values as workers."""
    batch: int
    """Maximum windows per batch."""
    partial: float
    """Time of a partial pass of a live session, as a share of a final pass over the same audio."""

    def single_s(self, audio_s: float) -> float:
        """Return the seconds of a final pass over one window, alone."""
        return self.fixed_s + self.per_audio_s * audio_s

    def batch_s(self, singles_s: Sequence[float]) -> float:
        """Return the seconds of a batch of windows, each of which takes so long alone."""
        return max(singles_s) * (1 + self.more * (len(singles_s) - 1))

    @property
    def workers(self) -> int:
        """Batches that are decoded at the same time."""
        return len(self.slowdown)

    @property
    def most_windows_per_s(self) -> float:
        """Windows of 4 s per second with every worker busy and every batch full."""
        return self.batch * self.workers / (self.batch_s([self.single_s(4.0)] * self.batch) * self.slowdown[-1])


@dataclass(frozen=True, slots=True)
class FrontCosts:
    """The CPU time of a front process."""

    request_s: float
    upload_audio_s: float
    """Seconds for an upload: `request_s` plus `upload_audio_s` per second of its audio (decoding and speech detection)."""
    live_audio_s: float
    """Seconds per second of audio of a live session, speech or not, with everything that belongs to it."""
    hop_s: float = 0.0
    """Further time of an upload in which it occupies nothing: connections, and processes that wait for their turn on a busy machine."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, and the time of a final pass over it, alone."""

    seconds: float
    single_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """All costs, and where they come from."""

    source: str
    """Date, machine and model; or what is assumed."""
    replica: ReplicaCosts
    front: FrontCosts
    clips: tuple[Clip, ...]
    """Uploads are drawn from these."""

    @classmethod
    def read(cls, path: Path = RESULTS) -> Costs:
        """Read saved costs."""
        return cls.of(json.loads(path.read_text(encoding="utf-8"))["costs"])

    @classmethod
    def of(cls, data: dict[str, Any]) -> Costs:
        """Build costs from the data of `asdict`."""
        replica = ReplicaCosts(**{**data["replica"], "slowdown": tuple(data["replica"]["slowdown"])})
        clips = tuple(Clip(**clip) for clip in data["clips"])
        return cls(data["source"], replica, FrontCosts(**data["front"]), clips)

    def data(self) -> dict[str, Any]:
        """Return the costs as JSON values."""
        return asdict(self)


def fitted(clips: Sequence[Clip]) -> tuple[float, float, float]:
    """Fit a line to the times of clips of different lengths; return `fixed_s`, `per_audio_s` and `spread` of ReplicaCosts."""
    count = len(clips)
    mean_x, mean_y = sum(clip.seconds for clip in clips) / count, sum(clip.single_s for clip in clips) / count
    spread_x = sum((clip.seconds - mean_x) ** 2 for clip in clips)
    slope = sum((clip.seconds - mean_x) * (clip.single_s - mean_y) for clip in clips) / spread_x
    fixed = mean_y - slope * mean_x
    if fixed < 0:  # a line through the origin: no window takes less than no time
        fixed, slope = 0.0, sum(clip.seconds * clip.single_s for clip in clips) / sum(clip.seconds**2 for clip in clips)
    residuals = [clip.single_s / (fixed + slope * clip.seconds) - 1 for clip in clips]
    return fixed, slope, (sum(residual**2 for residual in residuals) / count) ** 0.5
