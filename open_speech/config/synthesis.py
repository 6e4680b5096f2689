"""Settings: text-to-speech: backends, model, voice, postprocessing, cache and pronunciation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from open_speech.config.types import AudioFormat, Device, Names, OptionalPath


class SynthesisSettings(BaseModel):
    """Text-to-speech: backends, model, voice, postprocessing, cache and pronunciation."""

    tts_enabled: bool = Field(True, description="Serve speech synthesis.")
    tts_backends: Names = Field(("kokoro", "piper"), description="Text-to-speech backends, written as in `STT_BACKENDS`.")
    tts_model: str = Field("kokoro", description="Model used for `tts-1` and OpenAI's other model names.")
    tts_voice: str = Field("af_heart", description="Voice of the default model when the request names none.")
    tts_speed: float = Field(1.0, ge=0.25, le=4.0, description="Speed when the request sets none.")
    tts_device: Device | Literal[""] = Field("", description="Device of text-to-speech backends. Empty: as `STT_DEVICE`.")
    tts_voices_config: OptionalPath = Field(None, description="YAML file of voice presets and of the voices behind OpenAI's voice names.")
    tts_voice_dir: OptionalPath = Field(None, description="Folder of recordings to clone, named `{speaker}_{language}.wav`. Read only.")
    tts_max_input_length: int = Field(4096, ge=1, description="Maximum length of the text of one request, in characters.")
    tts_default_format: AudioFormat = Field("mp3", description="Audio format when the request names none.")
    tts_trim_silence: bool = Field(True, description="Remove silence before the first and after the last word.")
    tts_normalize_output: bool = Field(True, description="Bring all voices to the same loudness (-19 LUFS) and limit peaks.")
    tts_cache_enabled: bool = Field(False, description="Cache synthesized speech on disk.")
    tts_cache_max_mb: int = Field(
        500, ge=8, description="Maximum size of the speech cache, in MiB. The least recently used entries are removed first."
    )
    tts_cache_dir: Path = Field(Path("~/.cache/open-speech/speech"), description="Folder of the speech cache.")
    tts_preload_models: Names = Field((), description="Text-to-speech models to load at start, separated by commas.")
    tts_other_scripts: Literal["skip", "voice"] = Field(
        "skip",
        description=(
            "What happens to text in a script that the voice does not read, such as Chinese for an English voice. `skip`: it is left out,"
            " with a `Warning` header and a log line. `voice`: another voice reads it where there is one: of the same model,"
            " or of another model that is downloaded."
        ),
    )
    tts_pronunciation_dict: OptionalPath = Field(
        None, description="YAML file of words and their pronunciation. Read again when it changes."
    )
    tts_kokoro_g2p: Literal["auto", "espeak", "hibari"] = Field(
        "auto",
        description=(
            "What converts English text to phonemes for Kokoro. `espeak`: espeak-ng, which is under the GPL. `hibari`: the lexicon of"
            " hibari-tts, which is under Apache-2.0. `auto`: espeak-ng if it is installed, otherwise hibari. Spanish, French, Hindi,"
            " Italian and Portuguese always need espeak-ng."
        ),
    )
    tts_qwen3_size: Literal["0.6B", "1.7B"] = Field("1.7B", description="Size of the model that the name `qwen3-tts` stands for.")
    tts_qwen3_device: Device | Literal[""] = Field("", description="Device of Qwen3-TTS. Empty: as `TTS_DEVICE`.")
    tts_qwen3_flash_attn: bool = Field(False, description="Use FlashAttention 2 for Qwen3-TTS on a GPU. Requires the package `flash-attn`.")
