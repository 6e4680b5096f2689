"""Settings: fallback models, and the API keys whose data never leaves the server."""

from __future__ import annotations

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from open_speech.config.types import Names
from open_speech.security.api_keys import KeyRing


class FallbackSettings(BaseModel):
    """Fallback models, and the API keys whose data never leaves the server."""

    stt_fallback: Names = Field(
        (),
        description="Speech-to-text models that are tried in this order when the model of a request fails, is overloaded or is too slow, "
        "separated by commas. Their backends must be in `STT_BACKENDS`. Empty: none.",
    )
    stt_fallback_after_s: float = Field(
        0.0,
        ge=0,
        description="Maximum time until the first text of a model, in seconds, before the next fallback model is tried. Includes loading "
        "the model. 0: no limit.",
    )
    tts_fallback: Names = Field(
        (), description="Text-to-speech models that are tried like those of `STT_FALLBACK`. Their backends must be in `TTS_BACKENDS`."
    )
    tts_fallback_after_s: float = Field(
        0.0, ge=0, description="Maximum time until the first audio of a model, in seconds, as in `STT_FALLBACK_AFTER_S`."
    )
    os_local_only_keys: Names = Field(
        (),
        description="Names of the API keys in `OS_API_KEY` whose audio and text are never sent to other servers, separated by commas: "
        "models of other servers are refused, and are no fallback.",
    )

    @field_validator("os_local_only_keys")
    @classmethod
    def _validate_key_names(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known = {key.name for key in KeyRing.read(info.data.get("os_api_key", "")).keys}
        if unknown := [name for name in value if name not in known]:
            raise ValueError(f"OS_API_KEY has no key named {', '.join(unknown)}")
        return value

    def is_local_only(self, key: str) -> bool:
        """Return whether data of requests with the API key of this name must stay on this server."""
        return key in self.os_local_only_keys
