"""One transcription of a Wyoming client's audio: silence is skipped, and the rest is recognized while it arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from open_speech.api.wyoming.effects import Delta, Transcribed, VoiceActivity
from open_speech.audio import Audio
from open_speech.errors import AudioTooLong
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput, steps
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.turn_decider import TurnDecider
from open_speech.recognition.live.turn_detection import Endpointer, Paused, Resumed, Started, Stopped, TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.vad import SpeechProbabilities

STEP_S = 1.0
"""Seconds of audio that are searched for speech at a time: a few milliseconds of work, then other tasks run."""
AFTER_S = 0.3
"""Seconds of silence that are kept after speech; the endpointer keeps as much before it."""
BEFORE_S = 0.3
"""Seconds of silence that are kept before speech continues after a long pause."""


class Transcription:
    """A transcription from audio-start to the transcript. All speech in between is one text, however long the pauses are."""

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a request or a model may be like
        self,
        recognizer: LiveRecognizer,
        detector: SpeechProbabilities,
        turns: Endpointer | None,
        report: Callable[[VoiceActivity | Delta], None],
        *,
        gated: bool,
        live: bool,
        longest_s: float,
        decider: TurnDecider | None = None,
    ) -> None:
        """With `gated`, only what `turns` detects as speech is recognized, for a recognizer that may find words in silence.

        With `live`, words are reported while the client still sends. `longest_s` is the maximum number of seconds of audio. `decider`
        answers the questions of semantic turns.
        """
        self._input = LiveInput(InputBuffer(detector, turns), looks_ahead=live, decider=decider)
        self._utterance = Utterance(recognizer, (lambda text: report(Delta(text))) if live else None)
        self._report = report
        self._longest_s = longest_s
        self._gated = gated
        self._live = live
        self._skips_pauses = gated and turns is not None and turns.is_semantic
        """Whether the audio of pauses is not recognized: before a semantic turn ends, they may be long."""
        if not gated:
            self._input.begin(self._utterance, 0.0)

    async def feed(self, audio: Audio) -> None:
        """Process the next audio, at any rate; waits while too much audio is not recognized yet.

        Raises AudioTooLong, and subclasses of SpeechError if the audio so far could not be transcribed.
        """
        for samples in steps(audio.samples, audio.rate, STEP_S):
            self._advance(self._input.take(Audio(samples, audio.rate)))
            while self._input.is_asking:
                self._advance(await self._input.decide())
            if self._input.seconds > self._longest_s:
                raise AudioTooLong(f"The audio is longer than the limit of {self._longest_s:g} s.", param="audio")
            await self._utterance.room()
            if self._utterance.has_failed:
                await self._utterance.finish()

    async def finish(self) -> Transcribed:
        """Wait for the whole text. Raises subclasses of SpeechError."""
        self._advance(self._input.flush())
        transcript = await self._utterance.finish()
        return Transcribed(transcript.text, transcript.info.language or None)

    def cancel(self) -> None:
        """Stop; nothing more is reported."""
        self._utterance.cancel()

    def _advance(self, events: Sequence[TurnEvent]) -> None:
        """Feed the speech to the recognizer (everything without `gated`), and report the turns."""
        for event in events:
            match event:
                case Started(at_s):
                    if not self._input.is_open:
                        # A turn that follows at once overlaps the silence that was kept after the last one.
                        self._input.begin(self._utterance, max(self._input.fed_s, at_s))
                    self._report(VoiceActivity(True, at_s))
                case Paused() if self._skips_pauses:
                    self._input.leave()
                    if self._live:
                        self._utterance.pause()
                case Resumed(at_s) if self._skips_pauses:
                    self._input.begin(self._utterance, max(self._input.fed_s, at_s - BEFORE_S))
                case Stopped(at_s):
                    if self._gated and self._input.is_open:
                        self._input.leave(at_s + AFTER_S)
                    self._report(VoiceActivity(False, at_s))
        self._input.advance(events)
