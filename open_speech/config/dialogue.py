"""Settings: spoken dialogues, their memory and the limits of an answer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import OptionalPath


class DialogueSettings(BaseModel):
    """Spoken dialogues: their memory and the limits of an answer."""

    os_dialogue_instructions: str = Field(
        "", max_length=32_768, description="Instructions for the language model in dialogues whose request has none."
    )
    os_dialogue_dir: OptionalPath = Field(
        None, description="Folder in which dialogue sessions are kept across restarts. Empty: in memory only, until the server stops."
    )
    os_dialogue_max_turns: int = Field(
        20, ge=0, le=1000, description="Earlier turns of a dialogue session that the language model receives. `0`: none are kept."
    )
    os_dialogue_max_tokens: int = Field(
        2048, ge=1, description="Maximum size of these turns together, in tokens; the oldest turns are dropped first."
    )
    os_dialogue_ttl_s: float = Field(
        3600.0, gt=0, description="Time since the last turn after which a dialogue session is forgotten, in seconds."
    )
    os_dialogue_max_sessions: int = Field(
        1000, ge=1, description="Maximum number of dialogue sessions that are kept. Beyond it the least recently used one is forgotten."
    )
    os_dialogue_max_speech_s: float = Field(
        120.0, gt=0, le=3600, description="Speech after which a spoken answer begins no further sentence, in seconds."
    )
