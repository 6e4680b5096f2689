"""The turns of the user, from the reports of speech and text to items, interruptions and responses. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from open_speech.api.realtime.effects import (
    Delta,
    Effect,
    NotTranscribed,
    PauseOutput,
    ResumeOutput,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TextReady,
    Transcribed,
)
from open_speech.api.realtime.held_speech import HeldSpeech
from open_speech.api.realtime.input_buffer import InputAudioBuffer
from open_speech.api.realtime.response_policy import ResponsePolicy
from open_speech.api.realtime.state import State
from open_speech.api.realtime.transcripts import Transcripts
from open_speech.dialogue.interruption import Verdict, backchannels

TurnReport = SpeechStarted | SpeechStopped | SpeechPaused | SpeechResumed | TextReady | Delta | Transcribed | NotTranscribed


class UserTurns:
    """The turns of one session. Times named `now` are in seconds since 1970."""

    def __init__(self, state: State, input_buffer: InputAudioBuffer, transcripts: Transcripts, responses: ResponsePolicy) -> None:
        self._state = state
        self._input_buffer = input_buffer
        self._transcripts = transcripts
        self._responses = responses
        self._held: HeldSpeech | None = None
        """Speech of which it is not clear yet whether it interrupts the answer that is being spoken."""

    @property
    def deadline(self) -> float | None:
        """When `tick` must be called."""
        return self._held.next_at if self._held is not None else None

    def tick(self, now: float) -> list[Effect]:
        """Decide about speech that is held, if time has changed the verdict."""
        return self._decide(now) if self.deadline is not None and now >= self.deadline else []

    def report(self, report: TurnReport, now: float) -> list[Effect]:
        """Handle a report about the user's speech or its text."""
        match report:
            case SpeechStarted(at_ms):
                effects = self._started(at_ms, now)
            case SpeechStopped(at_ms):
                effects = self._stopped(at_ms, now)
            case SpeechPaused() | SpeechResumed():
                effects = self._changed(report, now)
            case TextReady(item_id, text):
                effects = self._words(item_id, text, now)
                effects += self._responses.text_ready(item_id, text, now) if self._early_item == item_id else []
            case Delta(item_id, text):
                events, held = self._transcripts.delta(report), self._held
                if held is None or held.item_id != item_id:
                    return [*events]
                held.deltas += text
                effects = [*held.hold(events), *self._words(item_id, held.deltas, now)]
            case Transcribed(item_id, text):
                effects = self._words(item_id, text, now, is_final=True)
                effects += [*self._transcripts.done(report), *self._responses.transcript_ready(item_id, now)]
            case NotTranscribed(item_id, error):
                effects = self._settle(Verdict.INTERRUPT) if self._held is not None and self._held.item_id == item_id else []
                effects += [*self._transcripts.failed(report), *self._responses.transcript_ready(item_id, now, error)]
            case _:
                assert_never(report)
        return effects

    def _started(self, at_ms: int, now: float) -> list[Effect]:
        # Speech before this one, of which the words are not known yet: the user wants to say something.
        earlier = self._settle(Verdict.INTERRUPT) if self._held is not None and self._held.item is not None else []
        effects = self._input_buffer.speech_started(at_ms)
        vad, turns = self._state.config.audio.input.turn_detection, self._state.config.turns
        if not effects or vad is None or turns is None:
            return [*earlier, *effects]
        state, spoken = self._state, self._responses.audible(now)
        rules = state.turn_taking.interruption
        if state.needs_transcripts:
            rules = replace(rules, backchannels=backchannels(state.turn_taking.backchannels, state.config.transcription.language))
        else:  # no words will be known
            rules = replace(rules, min_words=0)
        if spoken is not None and vad.interrupt_response and (state.turn_taking.can_pause or not rules.are_immediate):
            start_ms = at_ms + turns.prefix_padding_ms
            self._held = HeldSpeech(
                self._input_buffer.item_id or "", spoken.id, rules, start_ms=start_ms, now=now, played_since=spoken.began_at,
                heard_s=(self._input_buffer.now_ms - start_ms) / 1000, can_pause=state.turn_taking.can_pause,
            )  # fmt: skip
            return [*earlier, *self._held.hold(effects), *self._decide(now)]
        self._responses.silent_since = None
        return [*earlier, *effects, *(self._responses.interrupt() if vad.interrupt_response else ())]

    def _stopped(self, at_ms: int, now: float) -> list[Effect]:
        effects = self._input_buffer.speech_stopped(at_ms)
        held = self._held
        if held is None or held.item is not None or not effects:
            return self._turn(effects)
        held.stop(at_ms, self._state.items.remove(held.item_id), now)
        held.is_text_final = not self._transcripts.awaits(held.item_id)
        return [*held.hold(effects), *self._decide(now)]

    def _changed(self, report: SpeechPaused | SpeechResumed, now: float) -> list[Effect]:
        dropped = self._responses.check_early(None) if isinstance(report, SpeechResumed) else []
        held = self._held
        if held is None or held.item is not None:
            return dropped
        if isinstance(report, SpeechPaused):
            held.pause(report.at_ms)
        else:
            held.resume(report.at_ms, now)
        return [*dropped, *self._decide(now)]

    def _words(self, item_id: str, text: str, now: float, *, is_final: bool = False) -> list[Effect]:
        """Decide whether speech interrupts, now that its words are known."""
        if self._held is None or self._held.item_id != item_id:
            return []
        self._held.text, self._held.is_text_final = text, is_final
        return self._decide(now)

    def _decide(self, now: float) -> list[Effect]:
        """Decide whether the speech that is held interrupts the answer."""
        held = self._held
        if held is None:
            return []
        verdict = held.verdict(now, is_audible=self._responses.audible(now) is not None)
        if verdict in (Verdict.INTERRUPT, Verdict.IGNORE):
            return self._settle(verdict)
        if verdict is Verdict.PAUSE and not held.is_paused:
            held.is_paused = True
            return [PauseOutput(held.response_id)]
        return []

    def _settle(self, verdict: Verdict) -> list[Effect]:
        """Send the events of the speech that is held, and end the answer; or forget the speech, and go on with the answer."""
        held, self._held = self._held, None
        if held is None:
            return []
        if verdict is Verdict.IGNORE:
            self._transcripts.hide(held.item_id)
            return [ResumeOutput(held.response_id)] if held.is_paused else []
        started, *others = held.events(self._state.items.add(held.item) if held.item is not None else None)
        self._responses.silent_since = None
        return [started, *self._responses.interrupt(), *(self._turn([*others]) if held.item is not None else others)]

    def settle_changed(self, *, is_cleared: bool) -> list[Effect]:
        """Decide about the speech that is held if the client committed or cleared its audio, or detects turns itself from now on."""
        held = self._held
        if held is None or held.item is not None or (self._input_buffer.is_speaking and self._input_buffer.item_id == held.item_id):
            return []
        return self._settle(Verdict.IGNORE if is_cleared else Verdict.INTERRUPT)

    @property
    def _early_item(self) -> str | None:
        """The item of the turn in progress, if the server answers it when it ends."""
        vad = self._state.config.audio.input.turn_detection
        answers = self._state.kind == "realtime" and vad is not None and vad.create_response
        return self._input_buffer.item_id if answers and self._held is None and self._input_buffer.is_speaking else None

    def check_early(self, *, is_cancelled: bool = False) -> list[Effect]:
        """Drop the answer that was begun early if the client's event cancels it, or has changed what it depends on."""
        return self._responses.check_early(None if is_cancelled else self._early_item)

    def _turn(self, effects: list[Effect]) -> list[Effect]:
        """Respond to a turn that ended, if the session is configured to."""
        if effects:
            self._responses.silent_since = None
        vad = self._state.config.audio.input.turn_detection
        answers = effects and self._state.kind == "realtime" and vad is not None and vad.create_response
        return [*effects, *(self._responses.turn() if answers else self._responses.check_early(None))]
