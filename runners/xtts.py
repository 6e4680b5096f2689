"""XTTS-v2 by Coqui: 17 languages, with the speakers of the checkpoint or a voice cloned from a recording. Streams its audio.

It needs torch and 2 GB of packages or more, so it has an environment of its own: `make runner NAME=xtts`.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from open_speech.audio import Audio, resample
from open_speech.backends import REFERENCE_RATE, Setup, SpeechOptions, VoiceReference
from open_speech.errors import (
    BackendFailed,
    InvalidValue,
    TextTooLong,
    UnknownVoice,
    UnsupportedLanguage,
    WeightsCorrupt,
)
from open_speech.languages import language_code
from open_speech.text.chunking import pieces
from runners.wiring.bento_service import Resources, tts_service

PROMPTS = 32
"""Maximum number of voices in the cache; a recording is encoded once, not for every sentence."""
SHORTEST_REFERENCE_S = 0.5
"""Seconds of a recording below which the model computes no voice; it needs 0.33."""
MODEL_RATE = 22_050
"""Hertz at which the model takes recordings."""
CHUNK_TOKENS = 20
"""Audio tokens (0.93 s) after which audio is returned: the library's default."""
CHARS = {"ja": 71, "zh": 82, "ko": 95, "hi": 150, "ar": 166}
"""Language -> characters that the model speaks completely, by the library's table, where that is less than a piece of text may have."""


class Xtts:
    """One checkpoint of XTTS."""

    _model: Any

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains `config.json`, `model.pth` and `vocab.json`, and `speakers_xtts.pth` if it has speakers."""
        self._setup = setup
        self._voices: OrderedDict[bytes, tuple[Any, Any]] = OrderedDict()
        # One call at a time: the model keeps the voice and the text of a call while it generates.
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load the checkpoint. Raises WeightsCorrupt, or BackendFailed if the device cannot hold the model."""
        import torch  # noqa: PLC0415, TID251 - every child process imports every runner module
        from TTS.tts.configs.xtts_config import XttsConfig  # noqa: PLC0415, TID251 - as above

        device = self._device(torch.cuda.is_available())
        if device == "cpu" and self._setup.threads:
            torch.set_num_threads(self._setup.threads)
        try:
            config = XttsConfig()
            config.load_json(str(self._setup.folder / "config.json"))
            model = _reader()(config)
            model.load_checkpoint(config, checkpoint_dir=str(self._setup.folder), eval=True)
        except Exception as broken:  # noqa: BLE001 - coqpit, torch and tokenizers each raise several kinds for a broken file
            raise WeightsCorrupt(f"The files of the model `{self._setup.model.id}` are not an XTTS checkpoint.") from broken
        try:
            self._model = model.to(device)
        except RuntimeError as refused:  # no such GPU, or too little memory on it
            raise BackendFailed(f"The model `{self._setup.model.id}` cannot be put on `{device}`.") from refused
        self._config = config
        self._rate = int(config.audio.output_sample_rate)
        self._languages = {language.partition("-")[0] for language in config.languages}
        known = model.speaker_manager.speakers if model.speaker_manager else {}
        self._speakers = {name.replace(" ", "_"): tuple(voice.values()) for name, voice in known.items()}

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio of a text in parts of about a second, while the rest is generated.

        Raises at the call UnknownVoice, InvalidValue (a recording that is too short), UnsupportedLanguage or TextTooLong.
        """
        language = language_code(options.language or self._own_language(options.voice)) or ""
        if options.reference is None and options.voice not in self._speakers:
            known = ", ".join(list(self._speakers)[:10])
            raise UnknownVoice(
                f"The model has no voice `{options.voice[:100]}`. It has: {known or 'none, only cloned voices'}.", param="voice"
            )
        if options.reference and len(options.reference.pcm) < 2 * REFERENCE_RATE * SHORTEST_REFERENCE_S:
            raise InvalidValue(f"The recording must be at least {SHORTEST_REFERENCE_S} s long.", param="reference_audio")
        if language not in self._languages:
            raise UnsupportedLanguage(f"XTTS does not speak `{options.language}`.", param="language")
        limit = CHARS.get(language)
        parts = pieces(text, first_chars=limit, piece_chars=limit) if limit else [text]
        for part in parts:
            self._check_tokens(part, language)
        return self._spoken(parts, language, options)

    def _spoken(self, parts: list[str], language: str, options: SpeechOptions) -> Iterator[Audio]:
        settings = {name: self._config[name] for name in ("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p")}
        with self._lock:
            latents, speaker = self._prompt(options.reference) if options.reference else self._speakers[options.voice]
            for part in parts:
                stream = self._model.inference_stream(part, language, latents, speaker, stream_chunk_size=CHUNK_TOKENS, **settings)
                for chunk in stream:
                    samples = chunk.detach().cpu().numpy().astype(np.float32).reshape(-1)
                    if len(samples):
                        yield Audio(np.clip(samples, -1.0, 1.0), self._rate)

    def _check_tokens(self, text: str, language: str) -> None:
        """Raise TextTooLong if a text has more tokens than the model takes: numbers become words, so characters do not decide it."""
        most = int(self._model.args.gpt_max_text_tokens) - 1
        if len(self._model.tokenizer.encode(text.strip().lower(), lang=language)) > most:
            raise TextTooLong(f"A sentence has more than the {most} tokens that XTTS speaks at once: split it.", param="input")

    def _prompt(self, reference: VoiceReference) -> tuple[Any, Any]:
        """Return the voice of a recording, from the cache or the model: latents of the way of speaking, and an embedding of the speaker."""
        import torch  # noqa: PLC0415, TID251 - as above

        key = hashlib.sha256(reference.pcm).digest()
        if key not in self._voices:
            samples = resample(reference.audio, MODEL_RATE).samples[: MODEL_RATE * int(self._config.max_ref_len)]
            wave = torch.from_numpy(np.array(samples))[None].to(self._model.device)
            length, chunk = int(self._config.gpt_cond_len), int(self._config.gpt_cond_chunk_len)
            latents = self._model.get_gpt_cond_latents(wave, MODEL_RATE, length=length, chunk_length=chunk)
            self._voices[key] = (latents, self._model.get_speaker_embedding(wave, MODEL_RATE))
        self._voices.move_to_end(key)
        while len(self._voices) > PROMPTS:
            self._voices.popitem(last=False)
        return self._voices[key]

    def _own_language(self, voice: str) -> str:
        return next((known.language for known in self._setup.model.voices if known.id == voice), "en")

    def _device(self, cuda: bool) -> str:
        wanted = self._setup.device
        if wanted == "auto":
            return "cuda:0" if cuda else "cpu"
        return "cuda:0" if wanted == "cuda" else wanted


def _reader() -> Any:
    """Return the library's class, without its conversion of an old checkpoint: it would write the converted one over the file."""
    import torch  # noqa: PLC0415, TID251 - as above
    from TTS.tts.models import xtts  # noqa: PLC0415, TID251 - as above

    class Reader(xtts.Xtts):  # type: ignore[misc,unused-ignore]
        def _load_checkpoint(self, model_path: Path) -> Any:
            """Read the weights as data: no class but the library's own configuration is created."""
            with xtts._legacy_safe_globals():
                return torch.load(model_path, map_location="cpu", weights_only=True)["model"]

    return Reader


Runner = tts_service("xtts", Xtts, Resources(gpu=1.0, cpu=2, memory="6Gi"))
