"""The options of requests, as keyword arguments: the fields of the REST API under the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

TextFormat = Literal["text", "srt", "vtt"]
"""Formats of a transcript that are text."""
TranscriptFormat = Literal["json", "verbose_json", "diarized_json"] | TextFormat
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Channels = Literal["mix", "separate", "auto"]


class MediaOptions(TypedDict, total=False):
    """What transcriptions and translations share."""

    prompt: str
    """Preceding text, or text in the desired style."""
    temperature: float
    """Sampling temperature in [0, 1]."""
    channels: Channels
    """Whether the channels of a file are mixed or transcribed separately."""
    multichannel: bool
    noise_reduce: bool
    normalize: bool
    max_line_width: int
    """Subtitles: maximum number of characters per line."""
    max_line_count: int
    max_chars_per_second: float
    min_gap_ms: int


class TranscriptionOptions(MediaOptions, total=False):
    """Options of a transcription besides model and format."""

    language: str
    """ISO 639 code or English name; detected when omitted."""
    languages: Sequence[str]
    """Candidates for the detection."""
    keywords: Sequence[str]
    hotwords: str
    timestamp_granularities: Sequence[Literal["word", "segment"]]
    include: Sequence[Literal["logprobs"]]
    chunking_strategy: Literal["auto"] | Mapping[str, Any]
    vad_filter: bool
    condition_on_previous_text: bool
    diarize: bool
    min_speakers: int
    max_speakers: int
    known_speaker_names: Sequence[str]
    known_speaker_references: Sequence[str]
    """Data URLs with 2 to 10 seconds of speech of each known speaker."""


class SpeechOptions(TypedDict, total=False):
    """Options of speech synthesis besides text, voice and model."""

    input_type: Literal["text", "ssml"]
    instructions: str
    response_format: AudioFormat
    speed: float
    """In [0.25, 4]."""
    language: str
    sample_rate: int
    """Hertz, 8000 to 48000."""
    cache: bool
    """False bypasses the speech cache of the server."""
    reference_audio: bytes | str
    """Recording of the voice to clone: bytes of a file, or base64."""
    reference_text: str
    voice_design: str
    ignore_unsupported: bool


class SpeechEventOptions(SpeechOptions, total=False):
    """Options of speech synthesis that is received as events."""

    timestamps: Literal["word"]
    captions: Literal["vtt", "srt"]
    progress: bool


class JobOptions(TypedDict, total=False):
    """Options of every job."""

    webhook_url: str
    webhook_include: Literal["result"]
    idempotency_key: str
    """Two submissions with the same key create one job; when omitted, each submission has its own."""


class TranscriptionJobOptions(TranscriptionOptions, JobOptions, total=False):
    """Options of a transcription job."""

    type: Literal["transcription", "translation"]
    response_format: TranscriptFormat


class SpeechJobOptions(SpeechOptions, JobOptions, total=False):
    """Options of a speech job."""


class LiveOptions(TypedDict, total=False):
    """Options of a live transcription."""

    model: str
    language: str
    sample_rate: int
    """Hertz, 8000 to 192000; 16000 when omitted."""
    interim_results: bool
    """Whether drafts are received."""
    vad: bool
    """Whether silence ends an utterance; the server's setting when omitted."""
    endpointing: int
    """Milliseconds of silence that end an utterance, 100 to 10000."""
    turn_detection: Literal["timer", "semantic"]
    """Whether an utterance ends after that silence, or when the speaker has finished by meaning; `timer` when omitted."""
    eagerness: Literal["low", "medium", "high", "auto"]
    """How soon a semantic utterance ends that is not finished: after 8, 4, 2 or 4 seconds of silence."""
    diarize: bool
    """Whether each final transcript has its speaker."""
    max_speakers: int
    """Maximum number of speakers that are told apart."""
    prompt: str
    hotwords: str
