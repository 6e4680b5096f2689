"""Transcripts as values: a transcript has segments, a segment has words. Times are seconds from the start of the audio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SpeechTask = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the text, with its leading space if the language uses spaces."""

    text: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    probability: float = 1.0
    """In [0, 1]; 1.0 if the backend does not report it."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the text and its log probability."""

    text: str
    logprob: float
    """Natural logarithm of its probability; at most 0."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence-like part of the text with its time, and the metrics of the decoder if it has any."""

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
    """A label such as `A`, or the name of a known speaker; None without diarization."""
    logprobs: tuple[Token, ...] = ()
    channel: int | None = None
    """Channel of the file that contains the segment, from 0; None if channels were mixed."""
    language: str | None = None
    """ISO-639-1 code of the language of the segment; None if the backend does not report it."""


@dataclass(frozen=True, slots=True)
class TranscriptInfo:
    """Information about the whole audio that is known before its text."""

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
        """The whole text, without leading or trailing space; empty if there is no speech."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All words of all segments; empty unless word timestamps were requested."""
        return tuple(word for segment in self.segments for word in segment.words)
