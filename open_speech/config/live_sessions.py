"""Settings: OpenAI's Live API."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LiveSessionSettings(BaseModel):
    """OpenAI's Live API."""

    os_live_enabled: bool = Field(
        True,
        description=(
            "Serve OpenAI's Live API at `/v1/live/sessions`. Live sessions count as Realtime sessions (`OS_REALTIME_MAX_SESSIONS`)."
        ),
    )
    os_live_max_session_s: float = Field(
        3600.0, ge=10, le=24 * 3600, description="Maximum duration of a Live session, in seconds. Clients read it as `expires_at`."
    )
    os_live_idle_timeout_s: float = Field(
        30.0, gt=0, description="Time without input audio after which a Live session ends with the reason `expired`, in seconds."
    )
