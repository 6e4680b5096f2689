"""The transcript of the user in a Live session: deltas that never change, in order, with times on the grid. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from open_speech.api.live.timeline import grid_down, grid_up


@dataclass(slots=True)
class _Turn:
    start_ms: int
    texts: list[tuple[str, int]] = field(default_factory=list)
    """Texts that wait for an earlier turn, each with the time when it was known."""
    end_ms: int | None = None
    has_text: bool = False
    is_done: bool = False


class InputTranscript:
    """The turns whose text is not complete. A short turn may be transcribed before a long one that began earlier; it waits."""

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._end_ms = 0
        """End of the last delta."""

    def begin(self, turn: int, start_ms: int) -> None:
        """Add a turn."""
        self._turns[turn] = _Turn(start_ms)

    def stop(self, turn: int, end_ms: int) -> None:
        """Report the end of a turn's speech."""
        if turn in self._turns:
            self._turns[turn].end_ms = end_ms

    def words(self, turn: int, text: str, now_ms: int) -> list[dict[str, Any]]:
        """Add the next words of a turn; return the deltas to send now."""
        if turn not in self._turns or not text.strip():
            return []
        self._turns[turn].texts.append((text, now_ms))
        return self._ready()

    def done(self, turn: int) -> list[dict[str, Any]]:
        """Complete a turn; return the deltas of later turns that waited for it."""
        if turn in self._turns:
            self._turns[turn].is_done = True
        return self._ready()

    def _ready(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        while self._turns:
            number, turn = next(iter(self._turns.items()))
            events += [self._delta(turn, text, at_ms) for text, at_ms in turn.texts]
            turn.texts.clear()
            if not turn.is_done:
                break
            del self._turns[number]
        return events

    def _delta(self, turn: _Turn, text: str, at_ms: int) -> dict[str, Any]:
        start = max(self._end_ms, grid_down(turn.start_ms)) if not turn.has_text else self._end_ms
        spoken_ms = at_ms if turn.end_ms is None else min(at_ms, turn.end_ms)
        self._end_ms = max(start, grid_up(spoken_ms))
        delta = text if turn.has_text else f" {text.lstrip()}"
        turn.has_text = True
        return {"type": "session.input_transcript.delta", "delta": delta, "start_ms": start, "end_ms": self._end_ms}
