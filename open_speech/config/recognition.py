"""Settings: speech-to-text: backends, model, device, speech detection and clean-up of audio."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.backends import Vad
from open_speech.config.types import Device, Names


class RecognitionSettings(BaseModel):
    """Speech-to-text: backends, model, device, speech detection and clean-up of audio."""

    stt_backends: Names = Field(
        ("faster-whisper",),
        description="Speech-to-text backends, separated by commas: `name`, `name@inproc` or `name@http://host:port`. Replicas: "
        "`name@http://a:3000|http://b:3000`, or `name@dns+http://host:port` for a host name with several addresses.",
    )
    stt_model: str = Field("auto", description="Model used for `whisper-1` and OpenAI's other model names. `auto` chooses by device.")
    stt_device: Device = Field("auto", description="Device of speech-to-text backends: `auto`, `cpu`, `cuda` or `cuda:N`.")
    stt_compute_type: str = Field("auto", description="CTranslate2 compute type (`int8`, `float16`, …). `auto` chooses by device.")
    stt_preload_models: Names = Field((), description="Speech-to-text models to load at start, separated by commas.")
    stt_diarize_backends: Names = Field((), description="Diarization backends, written as in `STT_BACKENDS`. Empty: none.")
    stt_vad_enabled: bool = Field(True, description="Remove silence from files before recognition.")
    stt_vad_threshold: float = Field(0.5, gt=0, lt=1, description="Speech probability above which a frame counts as speech.")
    stt_vad_min_speech_ms: int = Field(
        250, ge=0, description="Minimum length of a stretch of speech, in milliseconds. Shorter ones are ignored."
    )
    stt_vad_silence_ms: int = Field(800, ge=0, description="Silence that ends a stretch of speech, in milliseconds.")
    stt_noise_reduce: bool = Field(False, description="Remove steady noise (hiss, fan, hum) from files before recognition.")
    stt_normalize: bool = Field(True, description="Raise the level of very quiet files before recognition.")

    @property
    def vad(self) -> Vad:
        """Options of speech detection in files."""
        return Vad(self.stt_vad_threshold, self.stt_vad_min_speech_ms, self.stt_vad_silence_ms)
