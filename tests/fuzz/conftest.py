"""The settings of a server without weights, as a user would write them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tones() -> dict[str, str]:
    return {
        "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
        "TTS_VOICE": "tone", "OS_OFFLINE": "true",
    }  # fmt: skip
