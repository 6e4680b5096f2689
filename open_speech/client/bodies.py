"""The responses of the server, as they are sent: JSON objects with known keys. Keys that not every response has are `NotRequired`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Event = dict[str, Any]
"""An event of a stream; its `type` says which."""


class Language(TypedDict):
    """A detected language."""

    code: str


class Token(TypedDict):
    """One token of a text, with the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class DurationUsage(TypedDict):
    """Usage in whole seconds of audio."""

    type: Literal["duration"]
    seconds: int


class Transcription(TypedDict):
    """A transcript in the format `json`."""

    text: str
    languages: NotRequired[list[Language]]
    logprobs: NotRequired[list[Token]]
    usage: DurationUsage


class Segment(TypedDict):
    """A segment of `verbose_json`; times in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: NotRequired[str]
    channel: NotRequired[int]
    language: NotRequired[str]


class Word(TypedDict):
    """A word of `verbose_json`; times in seconds."""

    word: str
    start: float
    end: float
    speaker: NotRequired[str]


class VerboseTranscription(TypedDict):
    """A transcript in the format `verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    language_probability: float
    duration: float
    text: str
    segments: NotRequired[list[Segment]]
    words: NotRequired[list[Word]]
    usage: DurationUsage


class DiarizedSegment(TypedDict):
    """A segment of one speaker; times in seconds."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    text: str
    speaker: str
    channel: NotRequired[int]


class DiarizedTranscription(TypedDict):
    """A transcript in the format `diarized_json`."""

    task: Literal["transcribe"]
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: DurationUsage


class Voice(TypedDict):
    """A voice; `id` is its name in requests."""

    id: str
    name: str
    object: Literal["audio.voice"]
    kind: Literal["builtin", "preset", "library", "alias"]
    display_name: NotRequired[str]
    description: NotRequired[str]
    language: NotRequired[str]
    gender: NotRequired[str]
    model: NotRequired[str]
    engine: NotRequired[str]
    licence: NotRequired[str]
    voice: NotRequired[str]
    sample: str
    created_at: NotRequired[int]
    type: NotRequired[Literal["audio_sample"]]
    unusable: NotRequired[str]


class Progress(TypedDict):
    """Progress of a download or a load; `percent` is None while the size is unknown."""

    what: Literal["download", "load"]
    state: Literal["waiting", "checking", "downloading", "unpacking", "loading", "done"]
    file: str
    done_bytes: int
    total_bytes: int | None
    percent: float | None
    source: str


class ErrorDetail(TypedDict):
    """Details of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ModelReplica(TypedDict):
    """The state of a model at one replica of its backend."""

    where: str
    ready: bool
    reachable: bool
    state: Literal["available", "downloading", "downloaded", "loading", "loaded"]
    device: str | None
    memory_bytes: int | None
    last_use_s: float | None
    in_flight: int


class Model(TypedDict):
    """The state of a model on the server."""

    id: str
    object: Literal["model"]
    task: Literal["speech-to-text", "text-to-speech", "diarization", "voice-activity-detection"]
    backend: str
    where: str
    reachable: bool
    state: Literal["available", "downloading", "downloaded", "loading", "loaded"]
    default: bool
    description: str
    licence: str
    languages: list[str]
    size_bytes: int | None
    disk_bytes: int
    device: str | None
    memory_bytes: int | None
    last_use_s: float | None
    in_flight: int
    progress: Progress | None
    error: ErrorDetail | None
    replicas: list[ModelReplica]


class DeletedModel(TypedDict):
    """A model whose files were deleted."""

    id: str
    object: Literal["model.deleted"]
    deleted: bool
    freed_bytes: int


class JobResult(TypedDict):
    """Where the result of a job is."""

    url: str
    response_format: str
    bytes: int


class Webhook(TypedDict):
    """The state of the webhook of a job."""

    url: str
    status: Literal["waiting", "pending", "delivered", "failed"]
    attempts: int
    last_error: str | None
    next_attempt_at: int | None


class Job(TypedDict):
    """A job; times are Unix seconds, `progress` is in [0, 1]."""

    id: str
    object: Literal["audio.job"]
    type: Literal["transcription", "translation", "speech"]
    model: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    progress: float
    audio_seconds: float
    audio_seconds_total: float | None
    filename: str | None
    batch_id: str | None
    batch_index: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    error: ErrorDetail | None
    result: JobResult | None
    webhook: Webhook | None


JobOutput = dict[str, Any] | str | bytes
"""The result of a job: a JSON object, text, or the bytes of an audio file."""
ModelList = list[Model]
JobList = list[Job]
