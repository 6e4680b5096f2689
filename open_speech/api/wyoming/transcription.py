"""One transcription of a Wyoming client's sound: silence is left out, the rest is heard while it is still being said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from open_speech.api.wyoming.effects import Delta, Heard, Voiced
from open_speech.audio import Audio
from open_speech.errors import AudioTooLong
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.recognizer import LiveRecognizer
from open_speech.recognition.live.turn_detection import Paused, Started, Stopped, TurnDetector, TurnEvent
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.vad import SpeechProbabilities

PIECE_S = 1.0
"""Seconds of sound that are searched for speech at once: a few milliseconds of work between two turns of the event loop."""
AFTER_S = 0.3
"""Silence, in seconds, that is kept after speech; before it the turns keep as much."""
KEPT_S = 2.0
"""Seconds of silence that are remembered, as speech is known for speech a moment late."""


class Transcription:
    """From audio-start to the transcript. All that is spoken in between is one text, however long the pauses."""

    def __init__(  # noqa: PLR0913 - one keyword for each thing that a request or a model may be like
        self,
        ear: LiveRecognizer,
        detector: SpeechProbabilities,
        turns: TurnDetector | None,
        report: Callable[[Voiced | Delta], None],
        *,
        gated: bool,
        live: bool,
        longest_s: float,
    ) -> None:
        """With `gated` only what the `turns` take for speech is heard, for an ear that would hear something in silence, too.

        With `live` words are given out while somebody still speaks. `longest_s` is how many seconds of sound may come.
        """
        self._microphone = InputBuffer(detector, turns)
        self._utterance = Utterance(ear, (lambda text: report(Delta(text))) if live else None)
        self._report = report
        self._live = live
        self._longest_s = longest_s
        self._gated = gated
        self._speaking = not gated
        self._fed_s = 0.0
        """Up to where the sound was handed on, or left out."""

    async def hear(self, audio: Audio) -> None:
        """Take the next sound, at any rate; waits while more of it came than can be heard.

        Raises AudioTooLong, and SpeechError's children when what was heard so far could not be transcribed.
        """
        for piece in _pieces(audio):
            self._take(self._microphone.hear(piece))
            if self._microphone.seconds > self._longest_s:
                raise AudioTooLong(f"The audio is longer than the limit of {self._longest_s:g} s.", param="audio")
            await self._utterance.room()
            if self._utterance.has_failed:
                await self._utterance.finish()

    async def finish(self) -> Heard:
        """Wait for the whole text. Raises SpeechError's children."""
        self._take(self._microphone.flush())
        transcript = await self._utterance.finish()
        return Heard(transcript.text, transcript.info.language or None)

    def cancel(self) -> None:
        """Stop; nothing more is reported."""
        self._utterance.cancel()

    def _take(self, events: list[TurnEvent]) -> None:
        for event in events:
            match event:
                case Started(at_s):
                    if not self._speaking:
                        self._speaking, self._fed_s = True, max(self._fed_s, at_s)
                    self._report(Voiced(True, at_s))
                case Stopped(at_s):
                    if self._gated:
                        self._feed_to(at_s + AFTER_S)
                        self._speaking = False
                    self._report(Voiced(False, at_s))
        now = self._microphone.seconds
        if self._speaking:
            self._feed_to(now)
            if self._live and events and isinstance(events[-1], Paused):
                self._utterance.pause()
        self._microphone.forget(min(now - KEPT_S, self._fed_s) if self._speaking else now - KEPT_S)

    def _feed_to(self, end_s: float) -> None:
        sound = self._microphone.cut(self._fed_s, end_s)
        if len(sound.samples):
            self._utterance.feed(sound)
        self._fed_s = max(self._fed_s, min(end_s, self._microphone.seconds))


def _pieces(audio: Audio) -> Iterator[Audio]:
    step = max(1, round(PIECE_S * audio.rate))
    for at in range(0, len(audio.samples), step):
        yield Audio(audio.samples[at : at + step], audio.rate)
