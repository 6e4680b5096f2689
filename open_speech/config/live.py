"""Settings: WebSocket streams, and the library of uploaded voices."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

AUTO_DETECTOR, SMART_TURN = "auto", "smart-turn"
"""Values of OS_TURN_DETECTOR: the model if it is downloaded, and the model."""


class LiveSettings(BaseModel):
    """WebSocket streams, and the library of uploaded voices."""

    os_stream_max_connections: int = Field(
        10, ge=1, description="Maximum number of open WebSockets at the live endpoints. Further connections are refused."
    )
    os_stream_idle_timeout_s: float = Field(
        120.0, gt=0, description="Time without a message in either direction after which a live WebSocket is closed, in seconds."
    )
    os_stream_endpointing_ms: int = Field(
        300,
        ge=100,
        le=10_000,
        description=(
            "Silence that ends an utterance at `/v1/audio/stream`, in milliseconds, unless the client sets it."
            " When unset, `STT_VAD_SILENCE_MS` applies if that is set."
        ),
    )
    os_stream_vad_threshold: float = Field(
        0.5,
        gt=0,
        lt=1,
        description=(
            "Speech probability above which a frame counts as speech at `/v1/audio/stream`."
            " When unset, `STT_VAD_THRESHOLD` applies if that is set."
        ),
    )
    os_turn_detector: str = Field(
        AUTO_DETECTOR,
        min_length=1,
        max_length=100,
        description=(
            "Decides for semantic turns (`semantic_vad`) whether the speaker has finished: `smart-turn` (a model, 8.7 MB), `timer`"
            " (no model: the length of the silence decides) or the name of a plugin. `auto` is `smart-turn` if its weights are downloaded"
            " when the server starts, else `timer`."
        ),
    )
    os_voice_library_path: Path = Field(Path("~/.local/share/open-speech/voices"), description="Folder of uploaded voices and consents.")
    os_voice_library_max_count: int = Field(100, ge=0, description="Maximum number of uploaded voices, and of consents. 0 refuses uploads.")
