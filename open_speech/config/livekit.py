"""Settings: the LiveKit server for which this server signs access tokens."""

from __future__ import annotations

from pydantic import BaseModel, Field

LIVEKIT_ADDRESS = r"^((wss?|https?)://[^\s/@]+(/\S*)?)?$"
"""Empty, or without user name and password, because the address is sent to clients."""


class LiveKitSettings(BaseModel):
    """The LiveKit server for which this server signs access tokens."""

    livekit_url: str = Field(
        "",
        pattern=LIVEKIT_ADDRESS,
        description="Address of the LiveKit server that clients receive with a token from `/v1/livekit/token`, such as "
        "`wss://livekit.example.org`. Empty: the server signs no tokens.",
    )
    livekit_api_key: str = Field("", repr=False, description="API key of the LiveKit server.")
    livekit_api_secret: str = Field("", repr=False, description="API secret of the LiveKit server, with which tokens are signed.")
    livekit_room_name: str = Field(
        "gemma-voice-room",
        min_length=1,
        max_length=128,
        description="Room of a token when the request names none. The default is that of GemmaVoice.",
    )
    livekit_agent_name: str = Field(
        "gemma-voice-agent",
        max_length=128,
        description="Agent that LiveKit dispatches to a room that a token creates. Empty: no agent is named, and LiveKit "
        "dispatches agents that have no name. The default is that of GemmaVoice.",
    )
    livekit_token_ttl: int = Field(86400, ge=1, description="Lifetime of a token, in seconds.")

    @property
    def missing_for_livekit(self) -> list[str]:
        """Return the names of the settings without which no token can be signed; empty if all are set."""
        required = {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.livekit_api_key,
            "LIVEKIT_API_SECRET": self.livekit_api_secret,
        }
        return [name for name, value in required.items() if not value]
