"""Vosk: Kaldi's recogniser, true streaming. Words are found while they are said, with their times; a model knows one language."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_speech.audio import Audio, to_pcm16
from open_speech.backends import STT_RATE, Setup, TranscribeOptions
from open_speech.errors import BackendFailed, UnsupportedValue, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment, Token, TranscriptInfo, Word
from runners.support.one_language import settle
from runners.wiring.bento_service import Resources, stt_service

if TYPE_CHECKING:
    from vosk import KaldiRecognizer, Model  # noqa: TID251 - its home; the real import is in load()

CALLS = 4
"""Calls that run at once, each on one core."""
STEP = STT_RATE // 10
"""Samples in one go. Vosk looks for the end of an utterance only after each: with a second, two cities loses 4 % more of its words."""
FAINTEST = 1e-4
"""The least confidence that has a logarithm."""
_REQUIRED = ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf")
_UNSPACED = ("ja", "zh")


class Vosk:
    """A Vosk model, small or large, of one language."""

    def __init__(self, setup: Setup) -> None:
        """Remember where the model is; nothing is read before `load`."""
        self._setup = setup
        self._model: Model | None = None

    def load(self) -> None:
        """Read the model, onto the CPU whatever the device.

        Raises WeightsUnavailable if a file is missing and WeightsCorrupt if Vosk cannot read the model.
        """
        import vosk  # noqa: PLC0415, TID251 - every process imports every runner module; only this one pays for the engine

        name, folder = self._setup.model.id, self._setup.folder.resolve()
        # Without word_boundary.int, for one, Vosk loads, hears no words, and does not say so.
        for required in sorted({*_REQUIRED, *(file.path for file in self._setup.model.files)}):
            if not (folder / required).is_file():
                raise WeightsUnavailable(f"The model `{name}` has no file `{required}`: delete the model and pull it again.")
        vosk.SetLogLevel(-1)
        with tempfile.TemporaryDirectory() as work:
            try:
                model = vosk.Model(str(_without_dither(folder, Path(work) / "model")))
                vosk.KaldiRecognizer(model, STT_RATE)  # some files are found broken only here
            except Exception as error:  # noqa: BLE001 - Vosk raises no other class
                raise WeightsCorrupt(f"The model `{name}` cannot be read: delete the model and pull it again.") from error
        self._model = model

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then each utterance as soon as a pause ends it; the text has no punctuation and no capitals.

        The decoder has one beam, set by the model: beam size, temperatures, prompt and hotwords change nothing. Raises
        UnsupportedLanguage for any language but the model's, and UnsupportedValue for a translation.
        """
        return _run(self.stream(options), audio, options, self._setup.model.languages[0])

    def stream(self, options: TranscribeOptions) -> VoskStream:
        """Start listening to one audio that comes piece by piece. Raises what `transcribe` does."""
        if self._model is None:
            raise BackendFailed("The model is not loaded.")
        language = settle(options, self._setup.model)
        if options.task == "translate":
            raise UnsupportedValue(f"The model `{self._setup.model.id}` does not translate.", param="task")
        import vosk  # noqa: PLC0415, TID251 - imported already, by `load`

        recognizer = vosk.KaldiRecognizer(self._model, STT_RATE)
        recognizer.SetWords(True)
        return VoskStream(recognizer, options, "" if language in _UNSPACED else " ")


class VoskStream:
    """One audio on its way through the recogniser. Times count from its beginning; for one thread at a time."""

    def __init__(self, recognizer: KaldiRecognizer, options: TranscribeOptions, space: str) -> None:
        """Use `Vosk.stream`; `space` is what stands before a word."""
        self._recognizer = recognizer
        self._options = options
        self._space = space
        self._fed = 0
        self._end = 0.0

    @property
    def seconds(self) -> float:
        """The audio fed so far."""
        return self._fed / STT_RATE

    @property
    def partial(self) -> str:
        """The words of the utterance that is being said, as far as they are known; they may still change."""
        text = str(json.loads(self._recognizer.PartialResult()).get("partial", ""))
        return text if self._space else text.replace(" ", "")

    def feed(self, audio: Audio) -> Segment | None:
        """Give the next piece, at STT_RATE and best 0.1 s long; get an utterance when a pause has ended it."""
        self._fed += len(audio.samples)
        ended = self._recognizer.AcceptWaveform(to_pcm16(audio))
        return self._segment(self._recognizer.Result()) if ended else None

    def finish(self) -> Segment | None:
        """End the audio and get what was still being said; nothing may be fed after it."""
        return self._segment(self._recognizer.FinalResult())

    def _segment(self, result: str) -> Segment | None:
        heard = [self._word(found) for found in json.loads(result).get("result", ())]
        if not heard:
            return None
        sure = [Token(word.text, math.log(max(word.probability, FAINTEST))) for word in heard]
        return Segment(
            heard[0].start,
            heard[-1].end,
            "".join(word.text for word in heard),
            words=tuple(heard) if self._options.word_times else (),
            avg_logprob=sum(token.logprob for token in sure) / len(sure),
            logprobs=tuple(sure) if self._options.logprobs else (),
        )

    def _word(self, found: dict[str, Any]) -> Word:
        """Take one word, its times put in order and within the audio."""
        start = min(max(float(found["start"]), self._end), self.seconds)
        self._end = min(max(float(found["end"]), start), self.seconds)
        return Word(self._space + str(found["word"]), start, self._end, min(max(float(found["conf"]), 0.0), 1.0))


def _run(listener: VoskStream, audio: Audio, options: TranscribeOptions, language: str) -> Iterator[TranscriptInfo | Segment]:
    yield TranscriptInfo(language, 1.0, audio.seconds, options.task)
    if options.detect_only:
        return
    for start in range(0, len(audio.samples), STEP):
        if (segment := listener.feed(Audio(audio.samples[start : start + STEP], audio.rate))) is not None:
            yield segment
    if (segment := listener.finish()) is not None:
        yield segment


def _without_dither(folder: Path, work: Path) -> Path:
    """Give the model a folder in which Kaldi adds no noise to the sound: with it, the same clip is heard differently each time."""
    shutil.copytree(folder, work, copy_function=os.symlink if os.name == "posix" else shutil.copy2)
    settings = work / "conf/mfcc.conf"
    text = settings.read_text(encoding="utf-8")
    settings.unlink()
    settings.write_text(f"{text}\n--dither=0\n", encoding="utf-8")
    return work


Runner = stt_service("vosk", Vosk, Resources(threads=CALLS))
