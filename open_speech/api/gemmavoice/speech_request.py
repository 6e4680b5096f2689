"""The body of a synthesis in GemmaVoice's API, and its response in JSON. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from open_speech.api.openai.schemas import AnyCase
from open_speech.config.types import AudioFormat, lower
from open_speech.synthesis.plan import MAX_RATE, MIN_RATE

DEFAULT_REFERENCE = "default"
"""Reference id of the default voice."""
MOST_REFERENCES = 8


def _file_format(value: object) -> object:
    """Return the name of a format in this server; `ogg` is Opus in an Ogg file."""
    name = lower(value)
    return "opus" if name == "ogg" else name


class TextToSpeechRequest(BaseModel):
    """Body of `POST /v1/text-to-speech`. A field that is null counts as omitted; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)

    text: str = Field(validation_alias=AliasChoices("text", "input"), description="The text to speak. Also accepted as `input`.")
    format: Annotated[AudioFormat | None, BeforeValidator(_file_format)] = Field(
        None,
        validation_alias=AliasChoices("format", "response_format"),
        description="Audio format, also accepted as `response_format`; `ogg` is `opus`. Default: `TTS_DEFAULT_FORMAT` if it is set, or "
        "else `wav`.",
    )
    sample_rate: int | None = Field(None, ge=MIN_RATE, le=MAX_RATE, description="Sample rate in Hz. Default: the voice's own.")
    reference_id: str | None = Field(None, max_length=500, description="Voice id. `default` is the default voice.")
    references: tuple[str, ...] = Field(
        (),
        max_length=MOST_REFERENCES,
        description="Recordings of the voice to clone, 1 to 60 s, in base64 or as data URLs. The first one is used. Ignored with a "
        "`Warning` header if the model does not clone voices.",
    )
    normalize: bool | None = Field(None, description="Normalize the loudness. Default: `TTS_NORMALIZE_OUTPUT`.")
    speed: float | None = Field(None, ge=0.25, le=4)
    volume: float = Field(0.0, ge=-60, le=24, description="Gain in dB. Peaks are limited, so that a positive gain does not clip.")
    stream: bool | None = Field(None, description="Send the audio while it is synthesized. Default: false, and true on the WebSocket.")
    top_p: float | None = Field(None, ge=0, le=1, description="Accepted and ignored: the settings of the model apply.")
    temperature: float = Field(0.7, ge=0, le=2, description="Accepted and ignored, as `top_p`.")
    chunk_length: int = Field(200, ge=1, le=1000, description="Accepted and ignored: the server splits text into sentences.")
    latency: Annotated[Literal["normal", "balanced", "low"], AnyCase] = Field("normal", description="Accepted and ignored.")
    ignore_unsupported: bool | None = Field(
        None, description="Extension, as in `POST /v1/audio/speech`: `false` returns an error for `references` that cannot be used."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @property
    def voice(self) -> str | None:
        """Name of the voice; None for the default voice."""
        return None if self.reference_id in (None, "", DEFAULT_REFERENCE) else self.reference_id


class SpeechBody(BaseModel):
    """Response of `POST /v1/text-to-speech` in JSON."""

    audio_base64: str
    response_format: str
    media_type: str
    sample_rate: int
    """Hertz."""
    reference_id: str | None
