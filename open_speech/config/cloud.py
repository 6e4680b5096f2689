"""Settings: Deepgram, ElevenLabs and Cartesia, each for both tasks."""

from __future__ import annotations

from pydantic import BaseModel, Field

from open_speech.config.types import WEB_ADDRESS, Names


class CloudSettings(BaseModel):
    """Deepgram, ElevenLabs and Cartesia, each for both tasks."""

    os_deepgram_url: str = Field(
        "https://api.deepgram.com", pattern=WEB_ADDRESS, description="Base URL of Deepgram, for the backends `deepgram` and `deepgram-tts`."
    )
    os_deepgram_api_key: str = Field("", repr=False, description="API key of Deepgram.")
    os_deepgram_stt_models: Names = Field(("nova-3",), description="Speech-to-text models of Deepgram that are listed.")
    os_deepgram_tts_models: Names = Field(("aura-2",), description="Text-to-speech models of Deepgram that are listed.")
    os_deepgram_voices: Names = Field(
        ("thalia-en",),
        description="Voices of Deepgram that are listed: the part of its model names after `aura-2-`. The first is the default.",
    )
    os_deepgram_timeout_s: float = Field(
        120.0, gt=0, description="Maximum time for ten minutes of audio or one chunk of text, including retries, in seconds."
    )
    os_deepgram_max_retries: int = Field(
        2, ge=0, le=10, description="Retries when Deepgram is busy, failing or unreachable, before any output has arrived."
    )
    os_elevenlabs_url: str = Field(
        "https://api.elevenlabs.io",
        pattern=WEB_ADDRESS,
        description="Base URL of ElevenLabs, for the backends `elevenlabs` and `elevenlabs-tts`.",
    )
    os_elevenlabs_api_key: str = Field("", repr=False, description="API key of ElevenLabs.")
    os_elevenlabs_stt_models: Names = Field(("scribe_v2",), description="Speech-to-text models of ElevenLabs that are listed.")
    os_elevenlabs_tts_models: Names = Field(
        ("eleven_multilingual_v2", "eleven_flash_v2_5"), description="Text-to-speech models of ElevenLabs that are listed."
    )
    os_elevenlabs_voices: Names = Field(
        ("JBFqnCBsd6RMkjVDRZzb",), description="Ids of ElevenLabs' voices that are listed. The first is the default."
    )
    os_elevenlabs_timeout_s: float = Field(
        120.0, gt=0, description="Maximum time for ten minutes of audio or one chunk of text, including retries, in seconds."
    )
    os_elevenlabs_max_retries: int = Field(
        2, ge=0, le=10, description="Retries when ElevenLabs is busy, failing or unreachable, before any output has arrived."
    )
    os_cartesia_url: str = Field(
        "https://api.cartesia.ai", pattern=WEB_ADDRESS, description="Base URL of Cartesia, for the backends `cartesia` and `cartesia-tts`."
    )
    os_cartesia_api_key: str = Field("", repr=False, description="API key of Cartesia.")
    os_cartesia_stt_models: Names = Field(("ink-whisper",), description="Speech-to-text models of Cartesia that are listed.")
    os_cartesia_tts_models: Names = Field(("sonic-2",), description="Text-to-speech models of Cartesia that are listed.")
    os_cartesia_voices: Names = Field(
        ("694f9389-aac1-45b6-b726-9d9369183238",), description="Ids of Cartesia's voices that are listed. The first is the default."
    )
    os_cartesia_timeout_s: float = Field(
        120.0, gt=0, description="Maximum time for ten minutes of audio or one chunk of text, including retries, in seconds."
    )
    os_cartesia_max_retries: int = Field(
        2, ge=0, le=10, description="Retries when Cartesia is busy, failing or unreachable, before any output has arrived."
    )
