"""Qwen3-TTS: ten languages, with nine speakers, a voice designed from a description, or a voice cloned from a recording.

Its package pins versions that conflict with all other backends, so it needs an environment of its own: `make runner NAME=qwen`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import REFERENCE_RATE, Setup, SpeechOptions, Utterance, VoiceReference
from open_speech.errors import (
    BackendFailed,
    InvalidValue,
    MissingField,
    SpeechError,
    UnknownVoice,
    UnsupportedLanguage,
    WeightsCorrupt,
)
from runners.support.backend_options import QwenOptions
from runners.support.pauses import pause_after, settle
from runners.wiring.bento_service import Resources, tts_service

LANGUAGES = {
    "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "pt": "Portuguese", "ru": "Russian", "zh": "Chinese",
}  # fmt: skip
"""ISO-639-1 code -> language name of the package."""
PROMPTS = 32
"""Maximum number of cached voice prompts; a recording is encoded once, not for every sentence."""
SHORTEST_REFERENCE_S = 0.5
TOKENS_PER_S = 12.5
MOST_TOKENS = 2048


class Qwen:
    """One checkpoint of Qwen3-TTS: for its own speakers, for voice design, or for voice cloning."""

    _model: Any

    def __init__(self, setup: Setup) -> None:
        """Store the setup; the folder contains a checkpoint with the layout of the hub, with its `speech_tokenizer`."""
        self._setup = setup
        self._options = QwenOptions.of(setup.settings)
        self._prompts: OrderedDict[bytes, Any] = OrderedDict()
        # One call at a time: concurrent calls are slower on one GPU than a batch, and voice design seeds the process's random generator.
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load the checkpoint, in bfloat16 on a GPU.

        Raises WeightsCorrupt, or BackendFailed if FlashAttention is missing or the device cannot hold the model.
        """
        import torch  # noqa: PLC0415, TID251 - every child process imports every runner module
        from qwen_tts import Qwen3TTSModel  # noqa: PLC0415, TID251 - as above

        # The library would log the padding token at every request. Its import sets the level, so this line must follow the import.
        logging.getLogger("transformers").setLevel(logging.ERROR)
        device = self._device(torch.cuda.is_available())
        if device == "cpu" and self._setup.threads:
            torch.set_num_threads(self._setup.threads)
        flash = device != "cpu" and self._options.flash_attn
        try:
            self._model = Qwen3TTSModel.from_pretrained(
                str(self._setup.folder),
                device_map=device,
                dtype=torch.float32 if device == "cpu" else torch.bfloat16,
                attn_implementation="flash_attention_2" if flash else "sdpa",
            )
        except ImportError as missing:
            raise BackendFailed("TTS_QWEN3_FLASH_ATTN needs the package `flash-attn` in the environment of this backend.") from missing
        except RuntimeError as refused:  # no such GPU, too little memory on it, or an unsupported attention
            raise BackendFailed(f"The model `{self._setup.model.id}` cannot be put on `{device}`.") from refused
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
            raise WeightsCorrupt(f"The files of the model `{self._setup.model.id}` are not a Qwen3-TTS checkpoint.") from broken
        self._kind = str(self._model.model.tts_model_type)
        self._languages = set(self._model.get_supported_languages())
        self._speakers = set(self._model.get_supported_speakers())

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio of a text as one part.

        Raises at the call what `check` raises.
        """
        self.check(text, options)
        return self._one(Utterance(text, options))

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        """Synthesize texts together: one audio each, or the error that `check` raises."""
        results: dict[int, Audio | SpeechError] = {}
        # A designed voice is similar from sentence to sentence only with its own seed before each call: one description per call.
        groups: dict[str | None, list[int]] = {}
        for index, utterance in enumerate(utterances):
            try:
                self.check(utterance.text, utterance.options)
            except SpeechError as error:
                results[index] = error
            else:
                groups.setdefault(utterance.options.design, []).append(index)
        with self._lock:
            for group in groups.values():
                results |= zip(group, self._generate([utterances[index] for index in group]), strict=True)
        return [results[index] for index in range(len(utterances))]

    def check(self, text: str, options: SpeechOptions) -> None:
        """Validate a request.

        Raises UnknownVoice, MissingField (no description, or no recording, for a checkpoint that needs one), InvalidValue (a recording
        that is too short) or UnsupportedLanguage.
        """
        match self._kind:
            case "custom_voice" if options.voice.lower() not in self._speakers:
                known = ", ".join(voice.id for voice in self._setup.model.voices)
                raise UnknownVoice(f"The model has no voice `{options.voice[:100]}`. It has: {known}.", param="voice")
            case "voice_design" if not options.design:
                raise MissingField("This model designs voices: describe one in `voice_design`.", param="voice_design")
            case "base" if options.reference is None:
                raise MissingField("This model clones voices: send a recording in `reference_audio`.", param="reference_audio")
        if options.reference and len(options.reference.pcm) < 2 * REFERENCE_RATE * SHORTEST_REFERENCE_S:
            raise InvalidValue(f"The recording must be at least {SHORTEST_REFERENCE_S} s long.", param="reference_audio")
        if _language(options).lower() not in self._languages:
            raise UnsupportedLanguage(f"Qwen3-TTS does not speak `{options.language}`.", param="language")

    def _one(self, utterance: Utterance) -> Iterator[Audio]:
        (sound,) = self.synthesize_batch([utterance])
        if isinstance(sound, SpeechError):
            raise sound
        yield sound

    def _generate(self, utterances: list[Utterance]) -> list[Audio]:
        texts = [utterance.text for utterance in utterances]
        how = [utterance.options for utterance in utterances]
        common = {"text": texts, "language": list(map(_language, how)), "max_new_tokens": most_tokens(texts)}
        match self._kind:
            case "custom_voice":
                manner = [options.instructions or "" for options in how]
                waves, rate = self._model.generate_custom_voice(speaker=[options.voice for options in how], instruct=manner, **common)
            case "voice_design":
                _seed(how[0].design or "")
                manner = [" ".join(filter(None, (options.design, options.instructions))) for options in how]
                waves, rate = self._model.generate_voice_design(instruct=manner, **common)
            case _:
                prompts = [self._prompt(options.reference) for options in how if options.reference]
                waves, rate = self._model.generate_voice_clone(voice_clone_prompt=prompts, **common)
        return [settle(np.asarray(wave, np.float32).reshape(-1), rate, pause_after(text)) for wave, text in zip(waves, texts, strict=True)]

    def _prompt(self, reference: VoiceReference) -> Any:
        """Return the voice prompt of a recording, from the cache or the model. Without the recording's text it is a speaker embedding."""
        key = hashlib.sha256(reference.pcm + b"\0" + (reference.text or "").encode()).digest()
        if key not in self._prompts:
            sound = (reference.audio.samples, REFERENCE_RATE)
            (self._prompts[key],) = self._model.create_voice_clone_prompt(sound, reference.text, x_vector_only_mode=not reference.text)
        self._prompts.move_to_end(key)
        while len(self._prompts) > PROMPTS:
            self._prompts.popitem(last=False)
        return self._prompts[key]

    def _device(self, cuda: bool) -> str:
        wanted = self._options.device or self._setup.device
        if wanted == "auto":
            return "cuda:0" if cuda else "cpu"
        return "cuda:0" if wanted == "cuda" else wanted


def most_tokens(texts: Sequence[str]) -> int:
    """Return the token limit for the longest of the texts: without it, a model that misses its end continues for almost three minutes.

    The limit is twice what a slow reader needs for Chinese, the language with the longest audio per character.
    """
    return min(MOST_TOKENS, round(TOKENS_PER_S * (4.0 + 0.6 * max(map(len, texts)))))


def _language(options: SpeechOptions) -> str:
    if not options.language:
        return "Auto"
    code = options.language.lower().replace("_", "-").partition("-")[0]
    return LANGUAGES.get(code, code)


def _seed(description: str) -> None:
    import torch  # noqa: PLC0415, TID251 - as above

    torch.manual_seed(zlib.crc32(description.encode()))


Runner = tts_service("qwen", Qwen, Resources(gpu=1.0, cpu=2, memory="8Gi"))
