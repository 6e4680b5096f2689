"""Settings: OpenAI's Realtime API and the language model of its sessions."""

from __future__ import annotations

from pydantic import BaseModel, Field


class RealtimeSettings(BaseModel):
    """OpenAI's Realtime API and the language model of its sessions."""

    os_realtime_enabled: bool = Field(True, description="Serve OpenAI's Realtime API at `/v1/realtime`.")
    os_realtime_max_sessions: int = Field(32, ge=1, description="Maximum number of open Realtime sessions. Further sessions are refused.")
    os_realtime_max_buffer_mb: int = Field(
        64, ge=1, description="Maximum audio that one Realtime session may append without a commit, in MiB as sent."
    )
    os_realtime_idle_timeout_s: float = Field(
        600.0, gt=0, description="Time without a message in either direction after which a Realtime session is closed, in seconds."
    )
    llm_base_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Base URL of the language model for Realtime sessions: an OpenAI-compatible server, `http://host:port/v1`. "
        "Empty: none.",
    )
    llm_api_key: str = Field("", repr=False, description="API key of the language model's server. Empty: none is sent.")
    llm_model: str = Field("default", description="Name of the language model.")
    llm_timeout_s: float = Field(30.0, gt=0, description="Maximum wait for the first token and for each further one, in seconds.")
