"""The input of a Live session: turn detection and the transcription of turns. It does the I/O, but knows no socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from open_speech.api.live.effects import (
    BeginTurn,
    EndTurn,
    Hear,
    NotTranscribed,
    Report,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TextReady,
    Transcribed,
    Words,
)
from open_speech.api.realtime.effects import AudioFormat
from open_speech.api.realtime.wire_audio import decoded
from open_speech.audio import silence
from open_speech.backends import TranscribeOptions
from open_speech.concurrency.task_group import Tasks
from open_speech.errors import BackendFailed, SpeechError
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.live.turn_detection import LONGEST_SILENCE_MS, Endpointer, Resumed, Started, Stopped, TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.service import Recognition

log = logging.getLogger("open_speech.live")

LONGEST_S = 120.0
"""Seconds of input audio that are kept: more than any turn of a conversation."""

InputEffect = Hear | BeginTurn | EndTurn


def endpointer(turns: TurnDecider) -> Endpointer:
    """Return the detector of the starts and ends of turns for one session; a turn ends by its meaning if the server can decide that."""
    if not turns.is_semantic:
        return Endpointer()
    turns.prepare()
    return Endpointer(longest_silence_ms=LONGEST_SILENCE_MS["auto"])


class InputDriver:
    """Performs the input effects of one session. `perform` never waits; `room` waits until more audio can be taken."""

    def __init__(self, recognizer: LiveRecognizer, input: LiveInput, format: AudioFormat, report: Callable[[Report], None]) -> None:
        """`report` passes a report to the session, and performs the effects that follow from it."""
        self._recognizer = recognizer
        self._input = input
        self._format = format
        self._report = report
        self._tasks = Tasks()
        self._turn: int | None = None
        """The turn that is fed."""
        self._is_deciding = False
        """Whether it is being decided if a turn is complete."""

    @classmethod
    async def open(cls, recognition: Recognition, model: str, format: AudioFormat, report: Callable[[Report], None]) -> InputDriver:
        """Open the recognizer and the speech detector. Raises SpeechError's children."""
        recognizer = await recognition.recognizer(model, TranscribeOptions())
        buffer = InputBuffer(await recognition.detector(), endpointer(recognition.turns), longest_s=LONGEST_S)
        return cls(recognizer, LiveInput(buffer, decider=recognition.turns), format, report)

    def perform(self, effect: InputEffect) -> None:
        """Perform an effect. The turns in audio are reported before this returns, except those that wait for a decision."""
        match effect:
            case Hear(data, muted):
                self._hear(data, muted=muted)
            case BeginTurn(turn, start_ms):
                self._turn = turn
                self._input.begin(self._utterance(turn), start_ms / 1000)
            case EndTurn(turn, end_ms):
                if self._turn == turn and self._input.is_open:
                    self._turn = None
                    self._tasks.begin(self._finish(turn, self._input.end(end_ms / 1000)))

    async def room(self) -> None:
        """Wait until the turn in progress can take more audio."""
        await self._input.room()

    async def aclose(self) -> None:
        """Cancel all transcriptions, and wait until they have ended."""
        self._input.drop()
        await self._tasks.end()
        # A session's objects refer to each other: their audio would stay until the garbage collector runs.
        self._input.forget(self._input.seconds)

    def _hear(self, data: bytes, *, muted: bool) -> None:
        audio = decoded(data, self._format)
        self._handle_turns(self._input.take(silence(audio.seconds, audio.rate) if muted else audio))
        if self._input.is_asking and not self._is_deciding:
            self._is_deciding = True
            self._tasks.begin(self._decide())

    async def _decide(self) -> None:
        """Decide whether the turn is complete. The output goes on meanwhile, and the audio that arrives waits for the decision."""
        try:
            while self._input.is_asking:
                self._handle_turns(await self._input.decide())
        finally:
            self._is_deciding = False

    def _handle_turns(self, events: Sequence[TurnEvent]) -> None:
        for event in events:
            self._report_turn(event)
        self._input.advance(events)

    def _report_turn(self, event: TurnEvent) -> None:
        if isinstance(event, Started):
            self._report(SpeechStarted(round(event.at_s * 1000)))
        elif isinstance(event, Stopped):
            self._report(SpeechStopped(round(event.at_s * 1000)))
        elif isinstance(event, Resumed):
            self._input.resume()
            self._report(SpeechResumed())

    def _utterance(self, turn: int) -> Utterance:
        return Utterance(
            self._recognizer,
            lambda text: self._report(Words(turn, text)),
            on_early=lambda text: self._report(TextReady(turn, text)),
        )

    async def _finish(self, turn: int, utterance: Utterance) -> None:
        """Report the transcript of a turn, or the error of the transcription."""
        try:
            transcript = await utterance.finish()
        except asyncio.CancelledError:
            utterance.cancel()
            raise
        except SpeechError as error:
            self._report(NotTranscribed(turn, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: a turn always ends with a transcript or an error
            log.exception("a transcription failed")
            self._report(NotTranscribed(turn, BackendFailed("The audio could not be transcribed.")))
        else:
            self._report(Transcribed(turn, transcript.text))
