"""Settings: the fish-speech server behind the backend `fish`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from open_speech.config.types import OptionalFloat


class FishSettings(BaseModel):
    """The fish-speech server behind the backend `fish`."""

    openaudio_api_base: str = Field(
        "http://127.0.0.1:8080",
        pattern=r"^https?://[^\s/]+",
        description="Address of the fish-speech server that the backend `fish` calls.",
    )
    openaudio_api_key: str = Field("", repr=False, description="API key of the fish-speech server. Empty: none is sent.")
    openaudio_tts_path: str = Field("/v1/tts", pattern=r"^/", description="Path of its speech endpoint.")
    openaudio_default_format: Literal["wav", "pcm"] = Field("wav", description="Audio format that the fish-speech server returns.")
    openaudio_default_reference_id: str = Field(
        "", description="Voice (reference id) when the request names none. Empty: the server's default."
    )
    openaudio_default_normalize: bool = Field(
        True, description="Let the fish-speech server normalize numbers and the like; for English and Chinese."
    )
    openaudio_chunk_length: int = Field(200, ge=100, le=300, description="Length at which the fish-speech server splits text.")
    openaudio_latency: Literal["normal", "balanced"] = Field(
        "normal", description="Latency mode of the fish-speech server: `normal` or `balanced`."
    )
    openaudio_temperature: OptionalFloat = Field(None, ge=0.1, le=1.0, description="Sampling temperature. Empty: the server's default.")
    openaudio_top_p: OptionalFloat = Field(None, ge=0.1, le=1.0, description="Nucleus sampling probability. Empty: the server's default.")
    openaudio_timeout_seconds: float = Field(120.0, gt=0, description="Maximum time for one chunk of text, including retries, in seconds.")
    openaudio_max_retries: int = Field(
        3, ge=0, le=10, description="Retries when the fish-speech server is busy, failing or unreachable, before any audio has arrived."
    )
