"""What the engine allows a request, and what it does where a request does not say."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.backends import Vad
from open_speech.recognition.denoise import Cleaning
from open_speech.synthesis.legibility import OtherScripts
from open_speech.synthesis.postprocess import Finish


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one request may ask for, and how many may wait."""

    max_audio_s: float
    max_queue: int
    max_text_chars: int
    patience_s: float = 30.0
    """Seconds that a request may wait for its turn."""


@dataclass(frozen=True, slots=True)
class EngineDefaults:
    """What a request gets that does not say."""

    vad: Vad | None = None
    """None takes whole files, with the silence in them."""
    cleaning: Cleaning = Cleaning()
    speed: float = 1.0
    finish: Finish = Finish()
    other_scripts: OtherScripts = "skip"
    """What becomes of letters that the voice cannot read."""
