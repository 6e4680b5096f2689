"""The parameters of a speech request, the defaults and limits of the server, and the plan that combines them. Values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from open_speech.backends import ModelEntry
from open_speech.synthesis.legibility import OtherScripts
from open_speech.synthesis.postprocess import Finish
from open_speech.synthesis.prosody import ProsodyResolver
from open_speech.text.steps import Step
from open_speech.voices import ResolvedVoice, VoiceOptions

MIN_RATE, MAX_RATE = 8_000, 48_000
"""Sample rates, in Hertz, that a request may ask for."""


@dataclass(frozen=True, slots=True)
class SynthesisRequest:
    """The text of a request and how to speak it. A field that is None has the server's default."""

    model: str
    text: str = ""
    """Empty if the text is streamed."""
    voice: str | None = None
    speed: float | None = None
    language: str | None = None
    voice_options: VoiceOptions = VoiceOptions()
    input_type: Literal["text", "ssml"] | None = None
    """None detects SSML."""
    is_long: bool = False
    """Accept a text of up to a million characters."""
    rate: int | None = None
    """Sample rate of the audio in Hertz; None uses that of the model."""
    gain_db: float = 0.0
    """Change of the volume in dB, after loudness normalization. Peaks are limited, so that a positive gain does not clip."""
    normalize: bool | None = None
    """Whether loudness is normalized."""
    cache: bool = True
    """False bypasses the cache: the speech is synthesized and not stored."""
    is_live: bool = False
    """True if a live user waits for the audio: it takes precedence over speech for a file."""


@dataclass(frozen=True, slots=True)
class SynthesisDefaults:
    """The limit of one text, and the values for fields that a request omits."""

    max_text_chars: int
    speed: float = 1.0
    finish: Finish = Finish()
    other_scripts: OtherScripts = "skip"
    """Handling of text in scripts that the voice cannot read."""


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A text and how it is spoken: everything that can be decided before there is audio."""

    voice: ResolvedVoice
    prosody: ProsodyResolver
    steps: Sequence[Step]
    finish: Finish
    is_cached: bool
    is_live: bool = False
    warnings: Sequence[str] = ()
    """Sentences about the text that was left out and the options that were ignored, for users."""
    others: Sequence[ModelEntry] = ()
    """Models that may speak parts of the text."""
    request: SynthesisRequest | None = None
    """The request that was planned, so that it can be planned for a fallback model."""
