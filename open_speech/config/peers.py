"""Settings: other servers as backends, OpenAI-compatible and Wyoming."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import OPENAI_URL, WEB_ADDRESS, WYOMING_ADDRESS, Names, UpstreamDialect


class PeerSettings(BaseModel):
    """Other servers as backends, OpenAI-compatible and Wyoming."""

    os_peer_refresh_s: float = Field(
        60.0, gt=0, description="Interval at which upstream and Wyoming servers are asked for their models and voices, in seconds."
    )
    stt_upstream_url: str = Field(
        OPENAI_URL,
        pattern=WEB_ADDRESS,
        description="Base URL (ending in `/v1`) of the OpenAI-compatible server behind the backend `upstream`.",
    )
    stt_upstream_api_key: str = Field("", repr=False, description="API key of that server. Empty: none is sent.")
    stt_upstream_dialect: UpstreamDialect = Field("auto", description="How that server lists its models and voices. `auto` detects it.")
    stt_upstream_models: Names = Field((), description="Models of that server, separated by commas. Empty: the server is asked.")
    stt_upstream_streaming_models: Names = Field(
        (), description="Models whose text is streamed as it is recognized, without times, separated by commas. `*`: all."
    )
    stt_upstream_timeout_s: float = Field(600.0, gt=0, description="Maximum time for ten minutes of audio, including retries, in seconds.")
    stt_upstream_max_retries: int = Field(
        3, ge=0, le=10, description="Retries when that server is busy, failing or unreachable, before any text has arrived."
    )
    tts_upstream_url: str = Field(
        OPENAI_URL,
        pattern=WEB_ADDRESS,
        description="Base URL (ending in `/v1`) of the OpenAI-compatible server behind the backend `upstream-tts`.",
    )
    tts_upstream_api_key: str = Field("", repr=False, description="API key of that server. Empty: none is sent.")
    tts_upstream_dialect: UpstreamDialect = Field("auto", description="How that server lists its models and voices. `auto` detects it.")
    tts_upstream_models: Names = Field((), description="Models of that server, separated by commas. Empty: the server is asked.")
    tts_upstream_voices: Names = Field(
        (), description="Voices of all its models, separated by commas; the first is the default. Empty: the server is asked."
    )
    tts_upstream_timeout_s: float = Field(120.0, gt=0, description="Maximum time for one chunk of text, including retries, in seconds.")
    tts_upstream_max_retries: int = Field(
        3, ge=0, le=10, description="Retries when that server is busy, failing or unreachable, before any audio has arrived."
    )
    stt_wyoming_uri: str = Field(
        "tcp://127.0.0.1:10300", pattern=WYOMING_ADDRESS, description="Wyoming server behind the backend `wyoming`."
    )
    stt_wyoming_timeout_s: float = Field(300.0, gt=0, description="Maximum time for one transcription, including retries, in seconds.")
    stt_wyoming_max_retries: int = Field(
        2, ge=0, le=10, description="Retries when that server is unreachable or disconnects, before any text has arrived."
    )
    tts_wyoming_uri: str = Field(
        "tcp://127.0.0.1:10200", pattern=WYOMING_ADDRESS, description="Wyoming server behind the backend `wyoming-tts`."
    )
    tts_wyoming_timeout_s: float = Field(120.0, gt=0, description="Maximum time for one chunk of text, including retries, in seconds.")
    tts_wyoming_max_retries: int = Field(
        2, ge=0, le=10, description="Retries when that server is unreachable or disconnects, before any audio has arrived."
    )
