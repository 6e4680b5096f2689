"""The turns of the user in a Live session: their transcript, and whether they interrupt the answer. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from open_speech.api.live.answers import AnswerPolicy
from open_speech.api.live.effects import (
    BeginTurn,
    Effect,
    EndTurn,
    NotTranscribed,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TextReady,
    Transcribed,
    TurnReport,
    Words,
)
from open_speech.api.live.errors import pipeline_failure
from open_speech.api.live.input_transcript import InputTranscript
from open_speech.api.live.state import State
from open_speech.dialogue.interruption import Overlap, Verdict, decide
from open_speech.http.ws_messages import Send


@dataclass(slots=True)
class _Turn:
    """A turn that is spoken or transcribed."""

    number: int
    start_ms: int
    overlaps: bool
    """Whether an answer is being made or played, which the turn may interrupt."""
    end_ms: int | None = None
    text: str = ""
    is_final: bool = False


class UserTurns:
    """The turns of one session."""

    def __init__(self, state: State, answers: AnswerPolicy) -> None:
        self._state = state
        self._answers = answers
        self._transcript = InputTranscript()
        self._turns: dict[int, _Turn] = {}
        """Turns that are spoken or transcribed, in order."""
        self._count = 0
        self._speaking: _Turn | None = None

    def report(self, report: TurnReport) -> list[Effect]:
        """Handle a report about a turn."""
        match report:
            case SpeechStarted(at_ms):
                return self._started(at_ms)
            case SpeechStopped(at_ms):
                return self._stopped(at_ms)
            case SpeechResumed():
                return self._answers.drop_early()
            case TextReady(number, text):
                return self._ready(number, text)
            case Words(number, text):
                return self._words(number, text)
            case Transcribed(number, text):
                return self._transcribed(number, text)
            case NotTranscribed(number, error):
                return [Send(pipeline_failure(error)), *self._transcribed(number, "")]

    def advance(self) -> list[Effect]:
        """Decide again about the turns that overlap with an answer, because time has passed."""
        return [effect for turn in [*self._turns.values()] if turn.overlaps for effect in self._decide(turn)]

    def _started(self, at_ms: int) -> list[Effect]:
        self._count += 1
        turn = self._speaking = _Turn(self._count, at_ms, self._answers.is_speaking)
        self._turns[turn.number] = turn
        self._transcript.begin(turn.number, at_ms)
        self._answers.is_user_busy = True
        return [BeginTurn(turn.number, at_ms), *self._answers.drop_early(), *self._decide(turn)]

    def _stopped(self, at_ms: int) -> list[Effect]:
        turn, self._speaking = self._speaking, None
        if turn is None:
            return []
        turn.end_ms = max(at_ms, turn.start_ms)
        self._transcript.stop(turn.number, turn.end_ms)
        return [EndTurn(turn.number, turn.end_ms), *self._decide(turn)]

    def _ready(self, number: int, text: str) -> list[Effect]:
        """Begin the answer to the turn in progress, if it is the only one and interrupts nothing."""
        turn = self._turns.get(number)
        if turn is None or turn is not self._speaking or turn.overlaps or len(self._turns) > 1 or not text.strip():
            return []
        return self._answers.prepare(number, text.strip())

    def _words(self, number: int, text: str) -> list[Effect]:
        turn = self._turns.get(number)
        if turn is None:
            return []
        turn.text += text
        events = self._transcript.words(number, text, self._state.timeline.ms)
        return [*map(Send, events), *self._decide(turn)]

    def _transcribed(self, number: int, text: str) -> list[Effect]:
        turn = self._turns.get(number)
        if turn is None:
            return []
        turn.text, turn.is_final = text, True
        effects: list[Effect] = [*map(Send, self._transcript.done(number)), *self._decide(turn)]
        return [*effects, *self._completed()]

    def _completed(self) -> list[Effect]:
        """Answer the turns that are complete, in order."""
        effects: list[Effect] = []
        while self._turns and (turn := next(iter(self._turns.values()))).is_final:
            del self._turns[turn.number]
            # A turn that overlaps still was decided to be none: a noise, an echo or a backchannel.
            if turn.text.strip() and not turn.overlaps:
                effects += self._answers.say(turn.text.strip())
        self._answers.is_user_busy = bool(self._turns)
        effects += self._answers.proceed()
        # What is still held was the answer to another text, or to no turn.
        return effects if self._turns else [*effects, *self._answers.drop_early()]

    def _decide(self, turn: _Turn) -> list[Effect]:
        """Decide whether a turn interrupts the answer."""
        if not turn.overlaps:
            return []
        if not self._answers.is_speaking:
            turn.overlaps = False  # the answer has ended meanwhile: nothing is left to interrupt
            return []
        now_ms, track = self._state.timeline.ms, self._state.track
        # Before the answer is audible, speech cannot be its echo.
        played_s = track.speech.played_s if track.speech and track.speech.has_begun else math.inf
        end_ms = now_ms if turn.end_ms is None else turn.end_ms
        silent_s = None if turn.end_ms is None else max(0.0, (now_ms - turn.end_ms) / 1000)
        overlap = Overlap((end_ms - turn.start_ms) / 1000, played_s, turn.text, turn.is_final, silent_s)
        match decide(self._state.limits.interruption, overlap, can_pause=True):
            case Verdict.INTERRUPT:
                turn.overlaps = False
                return self._answers.interrupt()
            case Verdict.PAUSE:
                track.is_paused = True
            case Verdict.IGNORE:
                track.is_paused = False
            case Verdict.CONTINUE:
                pass
        return []
