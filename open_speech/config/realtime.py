"""Settings: OpenAI's Realtime API."""

from __future__ import annotations

from pydantic import BaseModel, Field


class RealtimeSettings(BaseModel):
    """OpenAI's Realtime API."""

    os_realtime_enabled: bool = Field(True, description="Serve OpenAI's Realtime API at `/v1/realtime`.")
    os_realtime_max_sessions: int = Field(32, ge=1, description="Maximum number of open Realtime sessions. Further sessions are refused.")
    os_realtime_max_buffer_mb: int = Field(
        64, ge=1, description="Maximum audio that one Realtime session may append without a commit, in MiB as sent."
    )
    os_realtime_max_tool_rounds: int = Field(
        16,
        ge=1,
        le=1000,
        description=(
            "Responses in a row of a Realtime session that may consist of tool calls only."
            " After them the language model is offered no tools until the user says something, so that it answers."
        ),
    )
    os_realtime_idle_timeout_s: float = Field(
        600.0, gt=0, description="Time without a message in either direction after which a Realtime session is closed, in seconds."
    )
