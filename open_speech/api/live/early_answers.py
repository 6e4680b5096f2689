"""The answer that is begun before the user's turn has ended, in a Live session. Pure.

In a pause of the user, the transcript is ready before it is certain that the turn has ended. The answer to it is begun then, and what is
reported about it is held. When the turn ends and the same request is due, it is released. Otherwise it is dropped: nothing of it is sent,
played or stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from open_speech.api.live.effects import AnswerFailed, AnswerReport, AnswerTool, Effect, Generate, StopAnswer
from open_speech.api.realtime.early_answers import MAX_HOLD_S, MAX_TRIES, comparable_request

MAX_HOLD_MS = round(MAX_HOLD_S * 1000)
"""Milliseconds of the timeline after which an answer that is still held is dropped."""


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that is held, and what was reported about it."""

    generate: Generate
    since_ms: int
    reports: list[AnswerReport] = field(default_factory=list)


class EarlyAnswer:
    """At most one answer that is held."""

    def __init__(self) -> None:
        self._held: Held | None = None
        self._turn = 0
        """The turn in which the last answer was begun early, and how many were begun in it."""
        self._tries = 0

    def may_begin(self, turn: int) -> bool:
        """Return whether another answer may be begun in a turn."""
        return self._turn != turn or self._tries < MAX_TRIES

    def begin(self, turn: int, generate: Generate, now_ms: int) -> list[Effect]:
        """Begin an answer and hold it; an earlier one is dropped."""
        dropped = self.drop()
        self._tries = self._tries + 1 if turn == self._turn else 1
        self._turn = turn
        self._held = Held(generate, now_ms)
        return [*dropped, generate]

    def hold(self, report: AnswerReport) -> list[Effect] | None:
        """Hold a report if it is about the held answer; None if it is not.

        An answer with a tool call is dropped, and so is one that failed; no other is begun early in this turn.
        """
        if self._held is None or report.answer_id != self._held.generate.answer_id:
            return None
        if isinstance(report, (AnswerTool, AnswerFailed)):
            self._tries = MAX_TRIES
            return self.drop()
        self._held.reports.append(report)
        return []

    def take(self, request: Mapping[str, Any]) -> Held | None:
        """Release the held answer if it is the one to this request."""
        held = self._held
        if held is None or comparable_request(held.generate.request) != comparable_request(request):
            return None
        self._held = None
        return held

    def drop(self) -> list[Effect]:
        """Drop the held answer, if there is one."""
        held, self._held = self._held, None
        return [] if held is None else [StopAnswer(held.generate.answer_id)]

    def expire(self, now_ms: int) -> list[Effect]:
        """Drop the held answer if it has been held for too long."""
        return self.drop() if self._held is not None and now_ms - self._held.since_ms > MAX_HOLD_MS else []
