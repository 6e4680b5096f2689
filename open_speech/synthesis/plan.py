"""What is asked of a speech, and what was decided about it before there is sound. Values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from open_speech.synthesis.postprocess import Finish
from open_speech.synthesis.prosody import ProsodyResolver
from open_speech.text.steps import Step
from open_speech.voices import ResolvedVoice, VoiceOptions

MIN_RATE, MAX_RATE = 8_000, 48_000
"""Hertz that can be asked for."""


class SpeechRequest(TypedDict, total=False):
    """How a text is to be spoken; what is left out, or None, is the server's choice."""

    voice: str | None
    speed: float | None
    language: str | None
    manner: VoiceOptions | None
    input_type: Literal["text", "ssml"] | None
    """None looks whether it is SSML."""
    long: bool
    """Take a text of up to a million characters."""
    rate: int | None
    """Hertz of the sound; None is the model's own."""
    cache: bool
    """False has it made anew, and not kept."""
    live: bool
    """Somebody listens and waits: it goes before speech that is made for a file."""


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A text and how it is spoken, with everything decided that can be before there is sound."""

    role: ResolvedVoice
    director: ProsodyResolver
    steps: Sequence[Step]
    finish: Finish
    cached: bool
    live: bool = False
    warnings: Sequence[str] = ()
    """What was left out of the text, in sentences for people."""
