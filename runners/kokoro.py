"""Kokoro: 82 million parameters, 54 voices in eight languages, and blends of voices.

English is converted to phonemes by espeak-ng (GPL-3.0) or hibari (Apache-2.0), whichever is installed; the other languages of Europe and
Hindi need espeak-ng.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NothingToSpeak, UnknownVoice
from runners import kokoro_torch
from runners.support import espeak
from runners.support.backend_options import KokoroOptions
from runners.support.g2p import G2P, english_converter, language_for
from runners.support.kokoro_config import known, vocabulary
from runners.support.onnx import cpu_session
from runners.support.pauses import pause_after, settle
from runners.support.phoneme_pieces import phoneme_pieces
from runners.wiring.bento_service import Resources, tts_service

RATE = 24_000
VOICE_SHAPE = (510, 1, 256)
"""One style vector for each length of a text in phonemes."""
MAX_VOICES = 8
"""Maximum number of voices in one blend."""
_PART = re.compile(r"([\w.-]+)(?:\((\d{1,4}(?:\.\d{1,4})?)\))?")


def parse_blend(voice: str) -> list[tuple[str, float]]:
    """Parse `af_bella(2)+af_sky` to [("af_bella", 2.0), ("af_sky", 1.0)]; the weights may have any sum above zero.

    Raises UnknownVoice for another syntax, for more than eight voices, and if no weight is above zero.
    """
    found = [_PART.fullmatch(part.strip()) for part in voice.split("+")]
    blend = [(part[1], float(part[2] or 1)) for part in found if part]
    if len(blend) < len(found) or len(blend) > MAX_VOICES or not any(weight for _, weight in blend):
        raise UnknownVoice(f"`{voice[:100]}` is not a voice. Send `af_bella`, or a blend such as `af_bella(2)+af_sky(1)`.", param="voice")
    return blend


class Speaking(Protocol):
    """A model that synthesizes phonemes: the ONNX model in this module, or the same weights in another format."""

    def speak(self, phonemes: str, style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Synthesize at most 510 phonemes of the vocabulary: samples of shape (n,) at RATE; `style` has VOICE_SHAPE."""
        ...


class Kokoro:
    """The `kokoro` model of the catalog."""

    _model: Speaking
    _g2p: G2P

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains the model's `.onnx` file and `voices/<name>.bin`."""
        self._setup = setup
        self._styles: dict[str, NDArray[np.float32]] = {}

    def load(self) -> None:
        """Open the model file; a voice is read at its first use. Raises WeightsUnavailable, WeightsCorrupt or NotInstalled.

        Uses a GPU if there is one, the extra `kokoro-torch` is installed and the folder has the original weights; otherwise the CPU.
        """
        english = english_converter(KokoroOptions.of(self._setup.settings).g2p)
        if english == "espeak":
            espeak.set_up()
        self._g2p = G2P(english)
        gpu = kokoro_torch.gpu_for(self._setup.device, self._setup.folder)
        if gpu:
            self._model = kokoro_torch.TorchModel(self._setup.folder / kokoro_torch.WEIGHTS, gpu)
            return
        path = next(self._setup.folder / file.path for file in self._setup.model.files if file.path.endswith(".onnx"))
        self._model = OnnxModel(path, self._setup.threads)

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio in parts of at most 510 phonemes, each with its pause.

        Raises UnknownVoice (what is no blend), UnsupportedLanguage, NotInstalled and NothingToSpeak at the call.
        """
        blend = parse_blend(options.voice)
        language = language_for(blend[0][0], options.language)
        spoken = known(self._g2p.phonemes(text, language))
        if not any(sign.isalpha() for sign in spoken):
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="input")
        return self._speak(spoken, self._style(blend), options.speed)

    def _speak(self, spoken: str, style: NDArray[np.float32], speed: float) -> Iterator[Audio]:
        for piece in phoneme_pieces(spoken):
            if any(sign.isalpha() for sign in piece):
                yield settle(self._model.speak(piece, style, speed), RATE, pause_after(piece) / speed)

    def _style(self, blend: list[tuple[str, float]]) -> NDArray[np.float32]:
        """Return the style of a blend: the average of its voices by their weights."""
        if len(blend) == 1:
            return self._read(blend[0][0])
        total = sum(weight for _, weight in blend)
        mixed = np.zeros(VOICE_SHAPE, np.float32)
        for name, weight in blend:
            mixed += self._read(name) * np.float32(weight / total)
        return mixed

    def _read(self, name: str) -> NDArray[np.float32]:
        if name not in self._styles:
            self._styles[name] = np.fromfile(self._setup.folder / "voices" / f"{name}.bin", "<f4").reshape(VOICE_SHAPE)
        return self._styles[name]


class OnnxModel:
    """Kokoro as ONNX on the CPU. With 8 bits: a real-time factor of 0.26 on one core, 0.16 on two."""

    def __init__(self, path: Path, threads: int) -> None:
        """Open the model file with `threads` threads per call; 0: up to four of the cores."""
        self._session = cpu_session(path, threads)

    def speak(self, phonemes: str, style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Synthesize at most 510 phonemes of the vocabulary: samples of shape (n,)."""
        numbers = [vocabulary()[sign] for sign in " ".join(phonemes.split())]
        # The model was trained with a pad at both ends, and with a style vector for each length.
        given = {
            "tokens": np.array([[0, *numbers, 0]], np.int64),
            "style": style[len(numbers) - 1],
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self._session.run(None, given)[0], np.float32).ravel()


Runner = tts_service("kokoro", Kokoro, Resources(gpu=0.1, threads=2, cpu=2, memory="1Gi"))
