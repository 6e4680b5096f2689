"""Kokoro: 82 million parameters, 54 voices in eight languages, and blends of voices. Requires espeak-ng, which is GPL-3.0."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NothingToSpeak, UnknownVoice
from runners import kokoro_torch
from runners.support.g2p import language_for, phonemes
from runners.support.onnx import cpu_session
from runners.support.pauses import pause_after, settle
from runners.wiring.bento_service import Resources, tts_service

if TYPE_CHECKING:
    import kokoro_onnx  # noqa: TID251 - for the type checker only

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

    def known(self, text: str) -> str:
        """Return the phonemes of `text` that the model supports."""
        ...

    def speak(self, text: str, style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Synthesize at most 510 supported phonemes: samples of shape (n,) at RATE; `style` has VOICE_SHAPE."""
        ...


class Kokoro:
    """The `kokoro` model of the catalog."""

    _model: Speaking

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains the model's `.onnx` file and `voices/<name>.bin`."""
        self._setup = setup
        self._styles: dict[str, NDArray[np.float32]] = {}

    def load(self) -> None:
        """Open the model file; a voice is read at its first use. Raises WeightsUnavailable or WeightsCorrupt.

        Uses a GPU if there is one, the extra `kokoro-torch` is installed and the folder has the original weights; otherwise the CPU.
        """
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
        spoken = self._model.known(phonemes(text, language))
        if not any(sign.isalpha() for sign in spoken):
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="input")
        return self._speak(spoken, self._style(blend), options.speed)

    def _speak(self, spoken: str, style: NDArray[np.float32], speed: float) -> Iterator[Audio]:
        from kokoro_onnx.chunker import split_phonemes  # noqa: PLC0415, TID251 - every child process imports every runner module

        for piece in split_phonemes(spoken):
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
        from kokoro_onnx import Kokoro  # noqa: PLC0415, TID251 - every child process imports every runner module

        session = cpu_session(path, threads)
        with tempfile.NamedTemporaryFile(suffix=".npz") as voices:
            # The library requires an archive of all voices; ours are read one by one, so it gets an empty archive.
            np.savez(voices)
            voices.flush()
            self._library: kokoro_onnx.Kokoro = Kokoro.from_session(session, voices.name)
        self._library.voices.close()

    def known(self, text: str) -> str:
        """Return the phonemes of `text` that the model supports."""
        return str(self._library.tokenizer.known(text))

    def speak(self, text: str, style: NDArray[np.float32], speed: float) -> NDArray[np.float32]:
        """Synthesize at most 510 supported phonemes: samples of shape (n,)."""
        samples, _ = self._library.create(text, style, speed, is_phonemes=True, trim=False)
        return np.asarray(samples, np.float32)


Runner = tts_service("kokoro", Kokoro, Resources(gpu=0.1, threads=2, cpu=2, memory="1Gi"))
