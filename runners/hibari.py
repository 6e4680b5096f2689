"""hibari: small English voices distilled from Kokoro, some 100 times faster than real time on one core, without espeak-ng and GPL code.

The package hibari-tts has the phonemizer, its lexicon and the signal processing. Each voice is a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NothingToSpeak
from runners.support.hibari_g2p import HibariG2P
from runners.support.onnx import cpu_session
from runners.support.pauses import pause_after, settle
from runners.wiring.bento_service import Resources, tts_service

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # noqa: TID251 - for the type checker only

RATE = 24_000
THREADS = 1
"""Threads per call if the settings give no number: a second one shortens a sentence by less than a tenth."""


class Hibari:
    """One hibari voice."""

    _session: InferenceSession
    _g2p: HibariG2P
    _vocabulary: Mapping[str, int]

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains the one `.onnx` file of the voice."""
        self._setup = setup
        self._voice = setup.model.voices[0]

    def load(self) -> None:
        """Open the voice file and the lexicon. Raises WeightsUnavailable or WeightsCorrupt."""
        # Not by the package's own class: it would download a missing file, and its session keeps a memory plan for each length of text.
        self._session = cpu_session(self._setup.folder / self._setup.model.files[0].path, self._setup.threads or THREADS)
        self._vocabulary = json.loads(resources.files("hibari").joinpath("assets/vocab.json").read_text(encoding="utf-8"))
        self._g2p = HibariG2P(british=self._voice.language == "en-GB")

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio sentence by sentence, each with its pause. The same text always has the same audio.

        Raises NothingToSpeak at the call.
        """
        spoken = [sentence for sentence in self._phonemes(text) if any(sign.isalpha() for sign in sentence)]
        if not spoken:
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="input")
        return self._speak(spoken, options.speed)

    def _phonemes(self, text: str) -> list[str]:
        """Return the phonemes of each sentence in the signs that the voice was trained on."""
        return ["".join(sign for sign in sentence if sign in self._vocabulary) for sentence in self._g2p.sentences(text)]

    def _speak(self, sentences: list[str], speed: float) -> Iterator[Audio]:
        for phonemes in sentences:
            yield settle(self._synthesize_phonemes(phonemes, speed), RATE, pause_after(phonemes) / speed)

    def _synthesize_phonemes(self, phonemes: str, speed: float) -> NDArray[np.float32]:
        from hibari import dsp  # noqa: PLC0415, TID251 - every child process imports every runner module

        ids = np.asarray([[0, *(self._vocabulary[sign] for sign in phonemes), 0]], np.int64)
        spectra: list[Any] = self._session.run(None, {"ids": ids, "speed": np.asarray([speed], np.float32)})
        # The breath in the voice is noise. It is the same noise in every call: the audio of a text can be cached and compared.
        return np.asarray(dsp.synth(*(part[0] for part in spectra), np.random.default_rng(0)), np.float32)


Runner = tts_service("hibari", Hibari, Resources(threads=1, cpu=1, memory="512Mi"))
