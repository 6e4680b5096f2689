"""Speech of the user while an answer is spoken, until it is clear whether it interrupts the answer. Pure.

Clients stop their playback at `speech_started`, so this event and all that follow about the same item are held. If the speech interrupts,
they are sent in their order. If it does not, the client never learns of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from open_speech.api.realtime.effects import Effect
from open_speech.api.realtime.items import Item
from open_speech.dialogue.interruption import InterruptionRules, Overlap, Verdict, decide, next_decision_s
from open_speech.http.ws_messages import Send

MAX_ONSET_S = 0.5
"""Maximum seconds by which the start of speech is reported late. A client that sends faster than real time has sent more audio by then."""


class HeldSpeech:
    """One stretch of speech. Times named `_at` and `now` are in seconds since 1970."""

    def __init__(  # noqa: PLR0913 - all of it is named, and each is one thing
        self, item_id: str, response_id: str, rules: InterruptionRules, *, start_ms: int, heard_s: float, played_since: float, now: float,
        can_pause: bool = False,
    ) -> None:  # fmt: skip
        """The speech started at `start_ms` of the input, `heard_s` seconds ago; the answer has been played since `played_since`."""
        self.item_id = item_id
        self.response_id = response_id
        """The answer that is being spoken."""
        self.item: Item | None = None
        """The item, when the turn has ended."""
        self.text = ""
        """The words that are recognized so far."""
        self.deltas = ""
        """The deltas of the transcript, joined."""
        self.is_text_final = False
        self.is_paused = False
        """Whether the playback of the answer was paused because of the speech."""
        self.next_at: float | None = None
        """When the verdict may change although nothing new is known."""
        self._rules = rules
        self._can_pause = can_pause
        self._start_ms = start_ms
        self._played_since = played_since
        self._speech_s = min(max(0.0, heard_s), MAX_ONSET_S)
        self._since: float | None = now
        """The time to which `_speech_s` applies while the speech goes on; None in a pause."""
        self._ended_at: float | None = None
        self._events: list[Send] = []

    def hold(self, effects: Iterable[Effect]) -> list[Effect]:
        """Keep the events about the item; return the other effects."""
        passed: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Send) and self.item_id in (effect.message.get("item_id"), effect.message.get("item", {}).get("id")):
                self._events.append(effect)
            else:
                passed.append(effect)
        return passed

    def events(self, before: str | None) -> list[Send]:
        """Return the events in their order; `before` is the id of the item that is now before this one."""
        moved = {"previous_item_id": before}
        return [Send({**event.message, **moved}) if moved.keys() <= event.message.keys() else event for event in self._events]

    def pause(self, at_ms: int) -> None:
        """Note the start of a pause."""
        self._speech_s = max(0.0, (at_ms - self._start_ms) / 1000)
        self._since = None

    def resume(self, at_ms: int, now: float) -> None:
        """Note the end of a pause."""
        self._speech_s = max(0.0, (at_ms - self._start_ms) / 1000)
        self._since = now

    def stop(self, at_ms: int, item: Item | None, now: float) -> None:
        """Note the end of the turn, which became an item."""
        self.pause(at_ms)
        self.item = item
        self._ended_at = now

    def verdict(self, now: float, *, is_audible: bool) -> Verdict:
        """Decide whether the speech interrupts the answer; one word is enough if the answer ended by itself meanwhile."""
        rules = self._rules if is_audible else replace(self._rules, min_words=min(self._rules.min_words, 1))
        overlap = Overlap(
            self._speech_s + (0.0 if self._since is None else now - self._since),
            now - self._played_since,
            self.text,
            is_text_final=self.is_text_final,
            silent_s=None if self._ended_at is None else now - self._ended_at,
        )
        wait_s = next_decision_s(rules, overlap)
        self.next_at = None if wait_s is None else now + wait_s
        return decide(rules, overlap, can_pause=self._can_pause and is_audible)
