"""The answer that is begun before the user's turn has ended. Pure.

In a pause of the user, the transcript is ready before it is certain that the turn has ended. The answer to it is begun then, and all that
is reported about it is held. When the turn ends with the same text, and nothing else that the answer depends on has changed, it is
released. Otherwise it is dropped, and the client never learns of it. What the driver still has of a dropped answer is of an earlier
generation there, and is not reported (response_driver.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from open_speech.api.realtime.effects import (
    Effect,
    GenerateText,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    Stop,
)
from open_speech.dialogue.comparable_text import comparable

MAX_HOLD_S = 5.0
"""Seconds after which an answer that is still held is dropped."""
MAX_TRIES = 3
"""Answers that are begun early within one turn: each further pause makes it less likely that the next one ends the turn."""

HeldReport = ResponseText | ResponseAudio | ResponseTool | ResponseDone | ResponseFailed


@dataclass(frozen=True, slots=True)
class _Held:
    """An answer that is held."""

    respond: Respond
    item_id: str
    """The user's item, which is not in the conversation yet."""
    text: str
    since: float
    reports: list[HeldReport] = field(default_factory=list)


class EarlyAnswer:
    """At most one answer that is held."""

    def __init__(self) -> None:
        self._held: _Held | None = None
        self._turn = ""
        """The item of the turn in which the last answer was begun early, and how many were begun in it."""
        self._tries = 0

    @property
    def item_id(self) -> str | None:
        """The user's item that the held answer is for; None: no answer is held."""
        return self._held.item_id if self._held else None

    @property
    def text(self) -> str:
        """The transcript that the held answer is for."""
        return self._held.text if self._held else ""

    @property
    def response_id(self) -> str | None:
        """The id of the held answer."""
        return self._held.respond.response_id if self._held else None

    @property
    def deadline(self) -> float | None:
        """When the held answer must be dropped, in seconds since 1970."""
        return self._held.since + MAX_HOLD_S if self._held else None

    def may_begin(self, item_id: str) -> bool:
        """Return whether another answer may be begun in the turn of this item."""
        return self._turn != item_id or self._tries < MAX_TRIES

    def begin(self, item_id: str, text: str, respond: Respond, now: float) -> list[Effect]:
        """Begin an answer and hold it; an earlier one is dropped."""
        dropped = self.drop()
        self._tries = self._tries + 1 if item_id == self._turn else 1
        self._turn = item_id
        self._held = _Held(respond, item_id, text, now)
        return [*dropped, replace(respond, is_held=True)]

    def hold(self, report: HeldReport) -> list[Effect] | None:
        """Hold a report if it is about the held answer; None if it is not.

        An answer with a tool call is dropped, and so is one that failed; no other is begun early in this turn. The model that calls a tool
        may have read half a sentence, and a server that was overloaded for a moment may not be when the turn ends.
        """
        if self._held is None or report.response_id != self._held.respond.response_id:
            return None
        if isinstance(report, (ResponseTool, ResponseFailed)):
            self._tries = MAX_TRIES
            return self.drop()
        self._held.reports.append(report)
        return []

    def matches(self, respond: Respond) -> bool:
        """Return whether the held answer is what would be begun now."""
        return self._held is not None and _comparable(self._held.respond) == _comparable(respond)

    def take(self, respond: Respond) -> list[HeldReport] | None:
        """Release the held answer if it is the one that would be begun now, id included; return what was reported about it so far."""
        held = self._held
        if held is None or respond.response_id != held.respond.response_id or not self.matches(respond):
            return None
        self._held = None
        return held.reports

    def drop(self, response_id: str | None = None) -> list[Effect]:
        """Drop the held answer; with an id, only if it has that id."""
        held = self._held
        if held is None or response_id not in (None, held.respond.response_id):
            return []
        self._held = None
        return [Stop(held.respond.response_id)]


def _comparable(respond: Respond) -> tuple[Any, ...]:
    """Return all that an answer depends on; of the last message, which is the user's, only what `comparable` keeps."""
    plan = respond.plan
    rest = replace(respond, response_id="", is_held=False)
    if not isinstance(plan, GenerateText):
        return (rest,)
    return replace(rest, plan=GenerateText({}, plan.may_truncate)), *comparable_request(plan.request)


def comparable_request(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return all of a request to a language model, and of its last message, which is the user's, only what `comparable` keeps."""
    *earlier, last = request["messages"]
    options = {name: value for name, value in request.items() if name != "messages"}
    content = comparable(last["content"]) if isinstance(last["content"], str) else last["content"]
    return options, earlier, last["role"], content
