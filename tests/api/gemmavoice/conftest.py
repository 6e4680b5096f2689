"""The application of tests/tones_app.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from open_speech.config import Settings
from tests.tones_app import client, clip, engine, settings, spoken

__all__ = ["client", "clip", "engine", "settings", "spoken"]


@pytest.fixture
def guarded(tones_settings: Settings) -> Callable[..., Settings]:
    """Settings with a key, in the header that GemmaVoice's own settings name."""
    return lambda **more: tones_settings.model_copy(update={"os_api_key": "sesame", "os_api_key_header": "X-Our-Key", **more})
