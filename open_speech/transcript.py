"""What a transcription is: words in segments in a transcript. Values only; times are seconds from the start of the audio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SpeechTask = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True)
class Word:
    """One word as written, with its leading space if the language has one."""

    text: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    probability: float = 1.0
    """In [0, 1]; 1.0 where the engine does not tell."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the text and how sure the engine was of it."""

    text: str
    logprob: float
    """Natural logarithm of its probability; at most 0."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence-like stretch of text with its time, and the decoder's own figures where it has them."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    seek: int = 0
    """Position of the decoder window, in hundredths of a second (Whisper's frames)."""
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0
    speaker: str | None = None
    """A label such as `A`, or a known speaker's name; None where nobody asked who spoke."""
    logprobs: tuple[Token, ...] = ()
    channel: int | None = None
    """The channel of the file that holds it, counted from 0; None where channels were mixed."""
    language: str | None = None
    """ISO-639-1 code of its speech; None where the backend does not report it."""


@dataclass(frozen=True, slots=True)
class TranscriptInfo:
    """What is known of the whole audio before its text."""

    language: str
    """ISO-639-1 code, lower case."""
    language_probability: float
    """In [0, 1]; 1.0 when the language was given."""
    duration: float
    """Seconds of the original audio, silence included."""
    task: SpeechTask = "transcribe"


@dataclass(frozen=True, slots=True)
class Transcript:
    """A finished transcription; `segments` are in order of time."""

    info: TranscriptInfo
    segments: tuple[Segment, ...] = field(default=())

    @property
    def text(self) -> str:
        """The whole text, without leading or trailing space; empty when nobody spoke."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All words of all segments; empty unless word times were asked for."""
        return tuple(word for segment in self.segments for word in segment.words)
