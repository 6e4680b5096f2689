"""Vosk: Kaldi's recognizer, with true streaming. Words are recognized during speech, with their times; a model has one language."""

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
from open_speech.errors import BackendFailed, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment, Token, TranscriptInfo, Word
from runners.support.one_language import settle
from runners.wiring.bento_service import Resources, stt_service

if TYPE_CHECKING:
    from vosk import KaldiRecognizer, Model  # noqa: TID251 - its home; the real import is in load()

CALLS = 4
"""Maximum concurrent calls, each on one core."""
STEP = STT_RATE // 10
"""Samples per step. Vosk checks for the end of an utterance only after each step: with steps of 1 s, two cities loses 4 % more words."""
FAINTEST = 1e-4
"""Lower bound of a confidence before its logarithm is taken."""
_REQUIRED = ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf")
_UNSPACED = ("ja", "zh")


class Vosk:
    """A Vosk model, small or large, of one language."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._model: Model | None = None

    def load(self) -> None:
        """Load the model, always onto the CPU.

        Raises WeightsUnavailable if a file is missing and WeightsCorrupt if Vosk cannot read the model.
        """
        import vosk  # noqa: PLC0415, TID251 - every process imports every runner module; only this backend's process imports the engine

        name, folder = self._setup.model.id, self._setup.folder.resolve()
        # Without word_boundary.int, for example, Vosk loads, recognizes no words, and reports no error.
        for required in sorted({*_REQUIRED, *(file.path for file in self._setup.model.files)}):
            if not (folder / required).is_file():
                raise WeightsUnavailable(f"The model `{name}` has no file `{required}`: delete the model and pull it again.")
        vosk.SetLogLevel(-1)
        with tempfile.TemporaryDirectory() as work:
            try:
                model = vosk.Model(str(_without_dither(folder, Path(work) / "model")))
                vosk.KaldiRecognizer(model, STT_RATE)  # some broken files are detected only here
            except Exception as error:  # noqa: BLE001 - Vosk raises no other class
                raise WeightsCorrupt(f"The model `{name}` cannot be read: delete the model and pull it again.") from error
        self._model = model

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then each utterance as soon as a pause ends it; the text has no punctuation and no capitals.

        The decoder has one beam, set by the model: beam size, temperatures, prompt and hotwords have no effect. Raises
        UnsupportedLanguage for any language but the model's.
        """
        return _run(self.stream(options), audio, options, self._setup.model.languages[0])

    def stream(self, options: TranscribeOptions) -> VoskStream:
        """Return a stream for one audio that is fed piece by piece. Raises what `transcribe` raises."""
        if self._model is None:
            raise BackendFailed("The model is not loaded.")
        language = settle(options, self._setup.model)
        import vosk  # noqa: PLC0415, TID251 - imported already, by `load`

        recognizer = vosk.KaldiRecognizer(self._model, STT_RATE)
        recognizer.SetWords(True)
        return VoskStream(recognizer, options, "" if language in _UNSPACED else " ")


class VoskStream:
    """The streaming recognition of one audio. Times are relative to its start; for one thread at a time."""

    def __init__(self, recognizer: KaldiRecognizer, options: TranscribeOptions, space: str) -> None:
        """Created by `Vosk.stream`; `space` is the text before each word."""
        self._recognizer = recognizer
        self._options = options
        self._space = space
        self._fed = 0
        self._end = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of audio fed so far."""
        return self._fed / STT_RATE

    @property
    def partial(self) -> str:
        """The words recognized so far of the utterance in progress; they may still change."""
        text = str(json.loads(self._recognizer.PartialResult()).get("partial", ""))
        return text if self._space else text.replace(" ", "")

    def feed(self, audio: Audio) -> Segment | None:
        """Process the next piece, at STT_RATE and preferably 0.1 s long; return an utterance if a pause has ended it."""
        self._fed += len(audio.samples)
        ended = self._recognizer.AcceptWaveform(to_pcm16(audio))
        return self._segment(self._recognizer.Result()) if ended else None

    def finish(self) -> Segment | None:
        """End the audio and return the utterance in progress; nothing may be fed afterwards."""
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
        """Return one word, with its times in order and within the audio."""
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
    """Make a copy of the model folder without Kaldi's dither, a noise that gives the same clip different transcripts each time."""
    shutil.copytree(folder, work, copy_function=os.symlink if os.name == "posix" else shutil.copy2)
    settings = work / "conf/mfcc.conf"
    text = settings.read_text(encoding="utf-8")
    settings.unlink()
    settings.write_text(f"{text}\n--dither=0\n", encoding="utf-8")
    return work


Runner = stt_service("vosk", Vosk, Resources(threads=CALLS, cpu=2, memory="512Mi"))
