"""A live session in a simulation: somebody speaks and pauses. Passes, admission and their order follow recognition/live/utterance.py."""

from __future__ import annotations

import random
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.fleet import BACKEND, Front
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.uploads import varied
from open_speech.dispatch.frames import LIVE, LIVE_PARTIAL
from open_speech.errors import Overloaded
from open_speech.recognition.live.turn_detection import PAUSE_MS
from open_speech.recognition.live.utterance import CHECK_EVERY_S, FIRST_PASS_S, PASS_EVERY_S, REST_FACTOR

PAUSE_S = PAUSE_MS / 1000
"""Seconds of silence after which the final pass starts."""


@dataclass(frozen=True, slots=True)
class Talk:
    """How the user of a live session speaks: utterances with pauses in between, of random lengths."""

    speech_s: float = 4.0
    pause_s: float = 6.0
    """Means in seconds. In a dialogue the pause is the answer and the user's thinking."""
    silence_s: float = 0.5
    """Silence that ends a turn; no text is final before."""
    shortest_s: float = 0.8
    longest_s: float = 15.0
    fixed: bool = False
    """Whether all utterances and pauses have their mean lengths, as in a measurement that repeats one recording."""

    @property
    def share(self) -> float:
        """Share of the time that is speech, about."""
        return self.speech_s / (self.speech_s + self.pause_s)

    def utterance(self, dice: random.Random) -> float:
        """Return the length of an utterance."""
        if self.fixed:
            return self.speech_s
        return min(self.longest_s, self.shortest_s + dice.expovariate(1 / (self.speech_s - self.shortest_s)))

    def pause(self, dice: random.Random) -> float:
        """Return the length of a pause between utterances."""
        if self.fixed:
            return self.pause_s
        least = PAUSE_S + self.silence_s
        return least + dice.expovariate(1 / (self.pause_s - least))


class Session:
    """One live session, from `start` to the end of the simulation."""

    def __init__(  # noqa: PLR0913 - the parts of the simulation
        self, simulation: Simulation, front: Front, costs: Costs, talk: Talk, outcome: Outcome, dice: random.Random, name: str
    ) -> None:
        self._simulation = simulation
        self._front = front
        self._costs = costs
        self._talk = talk
        self._outcome = outcome
        self._dice = dice
        self._name = name
        self._number = 0
        """Number of the utterance in progress: what belongs to an earlier one is ignored."""

    def start(self, after_s: float) -> None:
        """Begin the first utterance after so many seconds."""
        self._simulation.after(after_s, self._begin)

    def _begin(self) -> None:
        length_s = self._talk.utterance(self._dice)
        self._number += 1
        self._simulation.after(length_s + self._talk.pause(self._dice), self._begin)
        stack = ExitStack()
        try:
            ticket = stack.enter_context(self._front.admission.ticket(BACKEND, answers=0, live=True))
        except Overloaded:
            self._outcome.refused_turns += 1
            return
        self._began = self._simulation.now
        self._passed_s, self._rested_at = 0.0, 0.0
        self._partial: Future[None] | None = None
        number = self._number
        self._outcome.possible_partials += possible_partials(length_s)
        self._simulation.after(FIRST_PASS_S, lambda: self._check(number, length_s))
        ends_at = self._simulation.now + length_s

        def final() -> None:
            if self._partial is not None:
                self._partial.cancel()
            waiting = ExitStack()
            waiting.enter_context(ticket.waiting())
            self._pass(length_s, LIVE).add_done_callback(lambda _: done(waiting))

        def done(waiting: ExitStack) -> None:
            waiting.close()
            stack.close()
            self._outcome.turns_s.append(max(self._talk.silence_s, self._simulation.now - ends_at))

        self._simulation.after(length_s + PAUSE_S, final)

    def _check(self, number: int, length_s: float) -> None:
        """Start a partial pass if one is due, and look again later."""
        if number != self._number or (spoken_s := self._simulation.now - self._began) > length_s:
            return
        due_s = max(self._passed_s + PASS_EVERY_S, FIRST_PASS_S)
        is_free = self._partial is None and not self._front.is_busy and self._simulation.now >= self._rested_at
        if spoken_s + 1e-9 < due_s or not is_free:
            self._simulation.after(max(CHECK_EVERY_S, due_s - spoken_s), lambda: self._check(number, length_s))
            return
        self._passed_s = spoken_s
        self._outcome.partials += 1
        began = self._simulation.now
        partial = self._partial = self._pass(spoken_s, LIVE_PARTIAL)

        def ended(_: Future[None]) -> None:
            if self._partial is partial:
                self._partial = None
                now = self._simulation.now
                self._rested_at = now + REST_FACTOR * (now - began)

        partial.add_done_callback(ended)
        self._simulation.after(PASS_EVERY_S, lambda: self._check(number, length_s))

    def _pass(self, audio_s: float, urgency: int) -> Future[None]:
        replica = self._costs.replica
        share = replica.partial if urgency == LIVE_PARTIAL else 1.0
        single_s = varied(share * replica.single_s(audio_s), replica.spread, self._dice)
        front = self._front
        front.passes += 1
        future = front.call(single_s, audio_s, caller=self._name, urgency=urgency)

        def ended(_: Future[None]) -> None:
            front.passes -= 1

        future.add_done_callback(ended)
        return future


def possible_partials(length_s: float) -> int:
    """Return the partial passes of an utterance on a server that takes no time for them."""
    return 0 if length_s < FIRST_PASS_S else 1 + int((length_s - FIRST_PASS_S) / PASS_EVERY_S + 1e-9)
