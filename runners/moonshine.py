"""Moonshine: English on a small CPU. Its cost is proportional to the length of the audio, so a command of two seconds takes little time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, Setup, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, SpeechError
from open_speech.transcript import Segment, Token, TranscriptInfo
from runners.support.moonshine_model import MoonshineModel, Utterance
from runners.support.one_language import settle
from runners.support.split_audio import pieces
from runners.wiring.bento_service import Resources, stt_service

CALLS = 2
"""Maximum concurrent calls."""
WINDOW_S = 15.0
"""Seconds of the longest clip: its 192 tokens are enough for 48 s of reading, but the number of missing words grows with the length."""
BATCH = 4
"""Pieces of a whole file in one call. Base spends most of a step on unpacking its weights: four clips cost little more than two."""
SILENT = 1e-4
"""Peak amplitude (-80 dB) below which there is no speech; tiny transcribes digital silence as " You"."""
SHORTEST_S = 0.1
"""Seconds of audio below which there is no word; the encoder's own minimum is 0.06."""
LEAST_LOGPROB, LEAST_OF_ONE = -1.0, -0.5
"""Mean log-probability, of a text and of a single token, below which the text is dropped as a hallucination. Tiny's hallucinations in
noise and tones: -0.7 to -1.7 for " You", -2.0 to -2.3 for longer texts; clear speech: -0.01 to -0.12; in noise of equal level: -0.64."""
MARGIN_S = 0.2
"""Seconds of quiet audio that are kept before and after the speech of a piece."""
_FRAME = STT_RATE // 50
_FAINT = 0.01
"""Amplitude of a frame relative to the loudest (-40 dB) below which it is silence around the speech."""


class Moonshine:
    """A Moonshine model: tiny or base, English only, without times of words or sentences."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._model: MoonshineModel | None = None

    def load(self) -> None:
        """Load the model, always onto the CPU. Raises WeightsUnavailable or WeightsCorrupt with the name of the file."""
        self._model = MoonshineModel(self._setup.folder, self._setup.threads)

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then a segment for each piece of at most WINDOW_S, split where the audio is quietest.

        The decoder is greedy and has no text context: beam size, temperatures, prompt and hotwords have no effect. Raises
        UnsupportedLanguage for any language but the model's.
        """
        model, language = self._loaded(), settle(options, self._setup.model)
        return self._run(model, audio, options, language)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows together, each with its own options; the error of a window is the result of that window."""
        model = self._loaded()
        results: list[WindowResult | SpeechError] = []
        for window in windows:
            try:
                results.append(WindowResult(settle(window.options, self._setup.model), 1.0))
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

    def _run(self, model: MoonshineModel, audio: Audio, options: TranscribeOptions, language: str) -> Iterator[TranscriptInfo | Segment]:
        yield TranscriptInfo(language, 1.0, audio.seconds, options.task)
        parts = (_trimmed(start, part) for start, part in pieces(audio, WINDOW_S) if _may_speak(part, options))
        while batch := list(islice(parts, BATCH)):
            said = model.decode([part.samples for _, part in batch])
            for (start, part), utterance in zip(batch, said, strict=True):
                for segment in _segments(model, utterance, Window(part, options)):
                    yield replace(segment, start=start, end=start + part.seconds, seek=round(start * 100))


def _may_speak(audio: Audio, options: TranscribeOptions) -> bool:
    """Return whether a text is requested and the audio is long and loud enough to contain speech."""
    return not options.detect_only and audio.seconds >= SHORTEST_S and max(audio.samples.max(), -audio.samples.min()) >= SILENT


def _segments(model: MoonshineModel, said: Utterance, window: Window) -> tuple[Segment, ...]:
    """Return the one segment of a clip, over its whole length; none if the text is empty, a hallucination, or only signs such as `♪`."""
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
    """Cut the silence before and after the speech to MARGIN_S; return the start of the remaining audio in seconds, and that audio."""
    edges = np.arange(0, len(part.samples), _FRAME)
    power = np.add.reduceat(np.square(part.samples), edges) / np.diff(edges, append=len(part.samples))
    loud = np.flatnonzero(power >= power.max() * _FAINT**2)
    margin = round(MARGIN_S * part.rate)
    first, last = max(0, int(edges[loud[0]]) - margin), int(edges[loud[-1]]) + _FRAME + margin
    return start + first / part.rate, Audio(part.samples[first:last], part.rate)


Runner = stt_service("moonshine", Moonshine, Resources(threads=CALLS, cpu=2, memory="1536Mi"))
