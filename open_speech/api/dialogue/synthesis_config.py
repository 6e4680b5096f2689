"""How the answer of a dialogue is spoken: the fields of GemmaVoice's `synthesis_config`. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from open_speech.config.types import AudioFormat, lower
from open_speech.synthesis.plan import MAX_RATE, MIN_RATE, SynthesisRequest

DEFAULT_VOICE = "default"
"""Reference id of the default voice."""


class SynthesisConfig(BaseModel):
    """The voice and the format of the audio. A field that is null counts as omitted; unknown fields are ignored.

    `normalize`, `top_p`, `temperature`, `chunk_length`, `latency` and `volume` are accepted and ignored.
    """

    model_config = ConfigDict(frozen=True)

    model: str | None = Field(None, max_length=200, description="Extension: model of the speech. Default: `TTS_MODEL`.")
    format: Annotated[AudioFormat, BeforeValidator(lower)] = Field("wav", validation_alias=AliasChoices("format", "response_format"))
    sample_rate: int | None = Field(None, ge=MIN_RATE, le=MAX_RATE, description="Hertz. Default: that of the voice; 24000 for `pcm`.")
    reference_id: str | None = Field(None, validation_alias=AliasChoices("reference_id", "voice"), max_length=500)
    references: tuple[Any, ...] = Field((), max_length=0, description="Must be empty: store the recording as a voice, and name it.")
    speed: float | None = Field(None, ge=0.25, le=4)
    language: str | None = Field(None, max_length=35)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @property
    def voice(self) -> str | None:
        """Name of the voice; None for the default voice."""
        return None if self.reference_id in (None, "", DEFAULT_VOICE) else self.reference_id

    def request(self, default_model: str) -> SynthesisRequest:
        """Return the synthesis request, without its text."""
        return SynthesisRequest(
            self.model or default_model, voice=self.voice, speed=self.speed, language=self.language, rate=self.sample_rate, is_live=True
        )
