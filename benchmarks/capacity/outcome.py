"""What came out of a simulation, or of the same load on a server. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed; NaN without values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Outcome:
    """Waiting times in seconds, and counts, of the part of a run that counts."""

    uploads_s: list[float] = field(default_factory=list)
    """From each short upload to its transcript."""
    files_s: list[float] = field(default_factory=list)
    """From each long file to its transcript."""
    turns_s: list[float] = field(default_factory=list)
    """From the end of each utterance's speech to its final text."""
    file_audio_s: float = 0.0
    """Audio of long files that was transcribed."""
    refused: int = 0
    """Uploads and files that were answered 429."""
    refused_turns: int = 0
    partials: int = 0
    """Partial passes of live sessions that were made."""
    possible_partials: int = 0
    """Partial passes that an otherwise idle fleet would have made."""
    replica_share: float = 0.0
    """Share of the workers' time in which they were busy."""
    front_share: float = 0.0
    """Share of the fronts' processors that was used."""

    def reset(self) -> None:
        """Forget everything so far: the warm-up does not count."""
        vars(self).update(vars(Outcome()))

    @property
    def refused_share(self) -> float:
        """Share of all uploads, files and utterances that were refused."""
        refused = self.refused + self.refused_turns
        return refused / max(1, refused + len(self.uploads_s) + len(self.files_s) + len(self.turns_s))

    @property
    def partial_share(self) -> float:
        """Share of the possible partial passes that were made; 1 without any."""
        return self.partials / self.possible_partials if self.possible_partials else 1.0

    def p95(self, values: Sequence[float]) -> float:
        """Return the 95th percentile; NaN without values."""
        return percentile(values, 0.95)
