"""Scenes as they went -> figures. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.dialogue.values import Observed, Turn

MISSED_S = 3.0
"""Seconds of silence after the speech from which the end of a turn counts as missed."""
OBEYED_S = 1.5
"""Seconds of an interruption within which the answer must have been stopped."""
_DECISIONS = re.compile(r'^open_speech_turn_decision_seconds_count\{.*?outcome="(\w+)".*?\} (\S+)$', re.MULTILINE)
BELONGS_S = 1.0
"""Seconds after a pause in which the end of a turn still counts as caused by it."""
EARLY_S = 0.15
"""Tolerance for the end of speech, which is known to about a tenth of a second: fades and room noise have no exact end."""


@dataclass(slots=True)
class Ends:
    """How the ends of turns were detected."""

    pauses: int = 0
    cut: int = 0
    """Pauses in which the turn was ended."""
    elsewhere: int = 0
    """Turns that were ended within speech, or in a pause of the speaker's own."""
    turns: int = 0
    missed: int = 0
    delays_s: list[float] = field(default_factory=list)
    """From the end of speech to the decision, of the turns whose end was not missed."""

    @property
    def cut_per_100(self) -> float:
        """False cut-offs per hundred pauses."""
        return 100 * self.cut / self.pauses if self.pauses else 0.0


@dataclass(slots=True)
class Manners:
    """All figures of one contender."""

    ends: Ends = field(default_factory=Ends)
    text_s: list[float] = field(default_factory=list)
    token_s: list[float] = field(default_factory=list)
    sound_s: list[float] = field(default_factory=list)
    """From the end of speech to the final text, to the first token of the answer and to its first audio."""
    obeyed: list[bool] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    """For each backchannel: the answer went on."""
    went_on: list[bool] = field(default_factory=list)
    """For each noise: the answer went on, or was resumed."""
    stopped_s: list[float] = field(default_factory=list)
    """From the start of an interruption to the end of the answer, of those that were obeyed."""


def add_ends(ends: Ends, turn: Turn, at: Iterable[float]) -> None:
    """Count the ends of one turn that were decided `at` these times."""
    times = sorted(at)
    ends.turns += 1
    ends.pauses += len(turn.pauses)
    cut: set[int] = set()
    for time in times:
        if time >= turn.end_s - EARLY_S:
            continue
        before = [number for number, (start, _) in enumerate(turn.pauses) if start <= time]
        if before and time <= turn.pauses[before[-1]][1] + BELONGS_S:
            cut.add(before[-1])
        else:
            ends.elsewhere += 1
    ends.cut += len(cut)
    final = next((time for time in times if time >= turn.end_s - EARLY_S), None)
    if final is None or final - turn.end_s > MISSED_S:
        ends.missed += 1
    else:
        ends.delays_s.append(max(0.0, final - turn.end_s))


def manners(scenes: Iterable[Observed]) -> Manners:
    """Return the figures of a contender in all its scenes."""
    found = Manners()
    for observed in scenes:
        turn = observed.scene.turn
        limit = observed.beside_at_s
        ends = [time for time in observed.times("turn end") if limit is None or time < limit]
        add_ends(found.ends, turn, ends)
        _add_latencies(found, observed)
        match observed.scene.kind:
            case "interruption":
                _add_obeyed(found, observed)
            case "backchannel":
                found.ignored.append(_went_on(observed))
            case "noise":
                found.went_on.append(_went_on(observed))
    return found


def _add_latencies(found: Manners, observed: Observed) -> None:
    """Add the times of the answer to the whole turn: that of a turn which was cut off before does not count."""
    end_s = observed.scene.turn.end_s
    limit = float("inf") if observed.beside_at_s is None else observed.beside_at_s
    sound = _first_after(observed.times("sound"), end_s, limit)
    text = _first_after(observed.times("text"), end_s, limit)
    if text is not None:
        found.text_s.append(text - end_s)
    if sound is None:
        return
    found.sound_s.append(sound - end_s)
    tokens = [first for asked, first in observed.tokens if first <= sound]
    if tokens:
        found.token_s.append(tokens[-1] - end_s)


def _first_after(times: Iterable[float], start_s: float, limit_s: float) -> float | None:
    return next((time for time in sorted(times) if start_s - EARLY_S <= time < limit_s), None)


def _add_obeyed(found: Manners, observed: Observed) -> None:
    if observed.beside_at_s is None:
        return
    stops = [time - observed.beside_at_s for time in observed.times("stopped") if time >= observed.beside_at_s]
    obeyed = bool(stops) and stops[0] <= OBEYED_S
    found.obeyed.append(obeyed)
    if obeyed:
        found.stopped_s.append(stops[0])


def _went_on(observed: Observed) -> bool:
    """Return whether the answer was heard to its end in spite of the second sound."""
    since = observed.beside_at_s
    return since is not None and not any(time >= since for time in observed.times("stopped"))


def overdue(metrics: str) -> tuple[int, int]:
    """Return how many decisions of the turn detector were late or failed, and how many there were, from the metrics of a server."""
    found = {outcome: int(float(count)) for outcome, count in _DECISIONS.findall(metrics)}
    return found.get("late", 0) + found.get("failed", 0), sum(found.values())


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that is not below `share` of the values; None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))] if ordered else None
