"""The contenders of the evaluation that are this server: its settings, and the turn detection of the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from open_speech.config import Settings

TIMERS_MS = (300, 500, 700)
LATE, EARLY = {"OS_EARLY_ANSWERS": "false"}, {"OS_EARLY_ANSWERS": "true"}
SMART_TURN = {"OS_TURN_DETECTOR": "smart-turn"}
POLITE = {"OS_BACKCHANNELS": "auto", "OS_INTERRUPT_MIN_WORDS": "1"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of the tables."""

    name: str
    detection: Mapping[str, Any]
    """`turn_detection` of the session."""
    settings: Mapping[str, str] = field(default_factory=dict)


def configurations() -> list[Configuration]:
    """List them in the order of the tables."""
    timers = [
        Configuration(f"timer {ms} ms", {"type": "server_vad", "silence_duration_ms": ms}, _known(SMART_TURN | LATE)) for ms in TIMERS_MS
    ]
    semantic = {"type": "semantic_vad"}
    return [
        *timers,
        Configuration("smart-turn", semantic, SMART_TURN | LATE),
        Configuration("smart-turn + early answers", semantic, SMART_TURN | EARLY),
        Configuration("smart-turn + early answers + words interrupt", semantic, SMART_TURN | EARLY | POLITE),
    ]


def _known(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings that this version of the server has: timers are also measured in versions without the others."""
    return {name: value for name, value in settings.items() if name.lower() in Settings.model_fields}


def with_own_ends(rows: Sequence[Configuration]) -> list[Configuration]:
    """Return the first configuration of each turn detection: the others end their turns at the same times."""
    firsts: list[Configuration] = []
    for row in rows:
        if all(row.detection != other.detection for other in firsts):
            firsts.append(row)
    return firsts


def chosen(names: str) -> list[Configuration]:
    """Return the configurations whose names contain one of these parts, separated by commas; all of them if there is none."""
    parts = [part.strip() for part in names.split(",") if part.strip()]
    return [each for each in configurations() if not parts or any(part == each.name or part in each.name for part in parts)]
