"""Piper: one small VITS model per voice, many times faster than real time on one core. piper-tts is GPL-3.0."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NothingToSpeak, UnknownVoice, WeightsCorrupt, WeightsUnavailable
from open_speech.text.ipa import split
from runners.support.english import with_letter_a
from runners.support.espeak import with_short_words
from runners.support.onnx import cpu_session
from runners.support.pauses import pause_after, settle
from runners.wiring.bento_service import Resources, tts_service

if TYPE_CHECKING:
    from piper import PiperVoice  # noqa: TID251 - for the type checker only
    from piper.config import PiperConfig  # noqa: TID251 - for the type checker only

_SPEAKER_DIGITS = 4
_BRACKETS = re.compile(r"([\[\]])\1+")


class Piper:
    """One Piper voice file. A speaker of a file with several is `name#3`, `name#speaker` or `speaker`; `name` is the first one."""

    _voice: PiperVoice

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains one `<name>.onnx` and `<name>.onnx.json`."""
        self._setup = setup

    def load(self) -> None:
        """Open the voice file. Raises WeightsUnavailable or WeightsCorrupt."""
        from piper import PiperVoice  # noqa: PLC0415, TID251 - every child process imports every runner module

        config = self._config()
        path = self._setup.folder / f"{self._setup.model.default_voice}.onnx"
        self._voice = PiperVoice(cpu_session(path, self._setup.threads), config)

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio sentence by sentence, each with its pause.

        Raises UnknownVoice (of a speaker, too) and NothingToSpeak at the call.
        """
        speaker = self._speaker(options.voice)
        written = _as_piper_reads(text, english=self._setup.model.languages == ("en",))
        sentences = self._voice.phonemize(written)
        if not any(sentences):
            raise NothingToSpeak("The text contains nothing that this voice can speak.", param="input")
        return self._speak(sentences, speaker, options.speed)

    def _speak(self, sentences: list[list[str]], speaker: int | None, speed: float) -> Iterator[Audio]:
        from piper.config import SynthesisConfig  # noqa: PLC0415, TID251 - as above

        voice = self._voice
        # The voice keeps its own level, which is similar to that of other engines. Piper's normalization scales each sentence so that its
        # loudest sample is full scale: nine sentences in a row got gains from 3 to 11 dB, and a short "No!" was the loudest of all.
        how = SynthesisConfig(speaker_id=speaker, length_scale=voice.config.length_scale / speed)
        for phonemes in filter(None, sentences):
            samples = np.asarray(voice.phoneme_ids_to_audio(voice.phonemes_to_ids(phonemes), how), np.float32).reshape(-1)
            yield settle(samples, voice.config.sample_rate, pause_after("".join(phonemes)) / speed)

    def _config(self) -> PiperConfig:
        from piper.config import PiperConfig  # noqa: PLC0415, TID251 - as above

        path = self._setup.folder / f"{self._setup.model.default_voice}.onnx.json"
        try:
            return PiperConfig.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise WeightsUnavailable(f"The file `{path.name}` of the model is missing.") from None
        except (ValueError, KeyError, TypeError, AttributeError) as broken:
            raise WeightsCorrupt(f"The file `{path.name}` is not the configuration of a Piper voice.") from broken

    def _speaker(self, voice: str) -> int | None:
        """Return the number of a voice's speaker; None for the only, or the first, speaker. Raises UnknownVoice."""
        ids = [known.id for known in self._setup.model.voices]
        if voice in ids:
            return None
        name, mark, speaker = voice.rpartition("#")
        named = self._voice.config.speaker_id_map
        if not mark or name in ids:
            if speaker in named:
                return named[speaker]
            if mark and speaker.isdecimal() and len(speaker) <= _SPEAKER_DIGITS and int(speaker) < self._voice.config.num_speakers:
                return int(speaker)
        known_names = ", ".join([*ids, *list(named)[:5]])
        raise UnknownVoice(f"The model `{self._setup.model.id}` has no voice `{voice}`. It has: {known_names}.", param="voice")


def _as_piper_reads(text: str, *, english: bool = True) -> str:
    """Mark the phonemes in a text with double brackets, Piper's syntax for them, and remove all other double brackets."""
    return "".join(
        f"[[{unicodedata.normalize('NFD', part)}]]" if are_phonemes else with_short_words(_written(part, english=english))
        for part, are_phonemes in split(text)
    )


def _written(part: str, *, english: bool) -> str:
    plain = _BRACKETS.sub(r"\1", part)
    return with_letter_a(plain) if english else plain


Runner = tts_service("piper", Piper, Resources(threads=2, cpu=1, memory="512Mi"))
