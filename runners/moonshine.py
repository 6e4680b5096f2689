"""Moonshine: English on a small CPU. Its cost follows the length of what was said, so a command of two seconds is heard at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, Setup, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, SpeechError, UnsupportedValue
from open_speech.transcript import Segment, Token, TranscriptInfo
from runners.support.moonshine_model import MoonshineModel, Utterance
from runners.support.one_language import settle
from runners.support.split_audio import pieces
from runners.wiring.bento_service import Resources, stt_service

CALLS = 2
"""Calls that decode at once."""
WINDOW_S = 15.0
"""Seconds of the longest clip: its 192 tokens are enough for 48 s of reading, but the words that go missing grow with the length."""
BATCH = 4
"""Pieces of a whole file in one call. Base spends most of a step on unpacking its weights: four clips cost little more than two."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which nobody spoke; tiny hears " You" in digital silence."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word; the encoder's own least is 0.06."""
LEAST_LOGPROB, LEAST_OF_ONE = -1.0, -0.5
"""Mean log-probability, of a text and of a single token, below which it is a guess at something that was no speech. Tiny's guesses at
noise and tones: -0.7 to -1.7 for " You", -2.0 to -2.3 for more; real speech, clear: -0.01 to -0.12, in noise as loud as it: -0.64."""
MARGIN_S = 0.2
"""Seconds of quiet left before and after the speech of a piece."""
_FRAME = STT_RATE // 50
_FAINT = 0.01
"""A frame this much below the loudest (-40 dB) is the silence around the speech."""


class Moonshine:
    """A Moonshine model: tiny or base, English only; it tells neither words' times nor where in a clip a sentence ends."""

    def __init__(self, setup: Setup) -> None:
        """Remember where the model is; nothing is read before `load`."""
        self._setup = setup
        self._model: MoonshineModel | None = None

    def load(self) -> None:
        """Read the model, onto the CPU whatever the device. Raises WeightsUnavailable or WeightsCorrupt naming the file."""
        self._model = MoonshineModel(self._setup.folder, self._setup.threads)

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then a segment for each piece of at most WINDOW_S, cut where the audio is quietest.

        The decoder is greedy and takes no text along: beam size, temperatures, prompt and hotwords change nothing. Raises
        UnsupportedLanguage for any language but the model's, UnsupportedValue for a translation or for word times.
        """
        model, language = self._loaded(), self._asked(options)
        return self._run(model, audio, options, language)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows together, each with its own options; what is wrong with one is its own result."""
        model = self._loaded()
        results: list[WindowResult | SpeechError] = []
        for window in windows:
            try:
                results.append(WindowResult(self._asked(window.options), 1.0))
            except SpeechError as wrong:
                results.append(wrong)
        sound = [
            at for at, window in enumerate(windows) if isinstance(results[at], WindowResult) and _may_speak(window.audio, window.options)
        ]
        said = model.decode([windows[at].audio.samples for at in sound])
        for at, utterance in zip(sound, said, strict=True):
            heard = results[at]
            assert isinstance(heard, WindowResult)
            results[at] = replace(heard, segments=_segments(model, utterance, windows[at]))
        return results

    def _loaded(self) -> MoonshineModel:
        if self._model is None:
            raise BackendFailed("The model is not loaded.")
        return self._model

    def _asked(self, options: TranscribeOptions) -> str:
        """Check what is asked, and give the language."""
        model = self._setup.model
        language = settle(options, model)
        if options.task == "translate":
            raise UnsupportedValue(f"The model `{model.id}` does not translate.", param="task")
        if options.word_times:
            raise UnsupportedValue(f"The model `{model.id}` does not provide word timestamps.", param="timestamp_granularities")
        return language

    def _run(self, model: MoonshineModel, audio: Audio, options: TranscribeOptions, language: str) -> Iterator[TranscriptInfo | Segment]:
        yield TranscriptInfo(language, 1.0, audio.seconds, options.task)
        parts = (_trimmed(start, part) for start, part in pieces(audio, WINDOW_S) if _may_speak(part, options))
        while batch := list(islice(parts, BATCH)):
            said = model.decode([part.samples for _, part in batch])
            for (start, part), utterance in zip(batch, said, strict=True):
                for segment in _segments(model, utterance, Window(part, options)):
                    yield replace(segment, start=start, end=start + part.seconds, seek=round(start * 100))


def _may_speak(audio: Audio, options: TranscribeOptions) -> bool:
    """Tell whether text is wanted and there is any sound to find it in."""
    return not options.detect_only and audio.seconds >= SHORTEST_S and max(audio.samples.max(), -audio.samples.min()) >= SILENT


def _segments(model: MoonshineModel, said: Utterance, window: Window) -> tuple[Segment, ...]:
    """Make the one segment of a clip, over its whole length; none where the model found nothing, guessed, or drew a `♪`."""
    text = model.text(said.tokens).strip()
    least = LEAST_OF_ONE if len(said.tokens) == 1 else LEAST_LOGPROB
    if said.mean_logprob < least or not any(map(str.isalnum, text)):
        return ()
    tokens = zip(said.tokens, said.logprobs, strict=True)
    told = tuple(Token(model.text([token]), logprob) for token, logprob in tokens) if window.options.logprobs else ()
    return (
        Segment(0.0, window.audio.seconds, f" {text}", tokens=tuple(said.tokens), avg_logprob=said.mean_logprob, logprobs=told),
    )  # fmt: skip


def _trimmed(start: float, part: Audio) -> tuple[float, Audio]:
    """Leave off what is faint before and after the rest, but for MARGIN_S; gives where the rest begins, and the rest."""
    edges = np.arange(0, len(part.samples), _FRAME)
    power = np.add.reduceat(np.square(part.samples), edges) / np.diff(edges, append=len(part.samples))
    loud = np.flatnonzero(power >= power.max() * _FAINT**2)
    margin = round(MARGIN_S * part.rate)
    first, last = max(0, int(edges[loud[0]]) - margin), int(edges[loud[-1]]) + _FRAME + margin
    return start + first / part.rate, Audio(part.samples[first:last], part.rate)


Runner = stt_service("moonshine", Moonshine, Resources(threads=CALLS))
