"""Bodies of the audio and model endpoints, after OpenAI's API reference (audio/*, models/*). See `transcription_request.py` as well."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from open_speech.config.types import AudioFormat, lower
from open_speech.transcript import TranscriptInfo

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
"""Formats of every transcription."""
AnswerFormat = TranscriptFormat | Literal["diarized_json"]
"""The same formats, and the one that needs diarization."""
AnyCase = BeforeValidator(lower)
"""Marks a field whose values are accepted in any case: clients send `MP3` and `Verbose_JSON`."""


class VoiceName(BaseModel):
    """A voice named by its id."""

    id: str


class SpeechRequest(BaseModel):
    """Body of `POST /v1/audio/speech`. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)

    model: Annotated[str, BeforeValidator(lambda name: name or "tts-1")] = Field(
        "tts-1", description="Model id, or one of OpenAI's names such as `tts-1`. Default: the model of `TTS_MODEL`."
    )
    input: str = Field(description="The text to speak. It may contain `[pause:0.5]` and `[voice:af_sky]`.")
    input_type: Literal["text", "ssml"] | None = Field(None, description="Extension. When unset, text that begins with `<speak` is SSML.")
    voice: str | VoiceName | None = Field(None, description="Voice id or one of OpenAI's voice names. Default: the default voice.")
    instructions: str | None = Field(
        None, max_length=4096, description="Style of speech in plain language. Ignored by models without support for instructions."
    )
    response_format: Annotated[AudioFormat | None, AnyCase] = Field(
        None, description="Audio format. Default: `TTS_DEFAULT_FORMAT`, which is `mp3` unless configured otherwise."
    )
    speed: float | None = Field(None, ge=0.25, le=4)
    stream_format: Annotated[Literal["audio", "sse", "json"] | None, AnyCase] = Field(
        "audio", description="`json`, which returns everything in one object, is an extension."
    )
    timestamps: Literal["word"] | None = Field(None, description="Extension: return the time of each word, in the events or the JSON.")
    captions: Annotated[Literal["vtt", "srt"] | None, AnyCase] = Field(
        None, description="Extension: return subtitles, in the last event or the JSON."
    )
    progress: bool = Field(False, description="Extension: send events with the progress through the text.")
    language: str | None = Field(None, description="Extension: language of the text, for voices with several languages.")
    sample_rate: int | None = Field(
        None, ge=8_000, le=48_000, description="Extension: sample rate in Hz. Default: the voice's own, and 24000 for `pcm`."
    )
    cache: bool = Field(True, description="Extension: `false` bypasses the speech cache. Also accepted as a query parameter.")
    reference_audio: str | None = Field(
        None, description="Extension: recording of the voice to clone, 1 to 60 s, in base64 or as a data URL."
    )
    reference_text: str | None = Field(None, max_length=4096, description="Transcript of `reference_audio`. Some models require it.")
    voice_design: str | None = Field(None, max_length=4096, description="Extension: description of a voice to design.")
    ignore_unsupported: bool | None = Field(
        None,
        description="Extension: `false` returns an error if the model does not support `reference_audio` or `voice_design`, which are"
        " otherwise ignored with a `Warning` header. `true` also ignores a stored voice that the model cannot clone.",
    )

    @property
    def voice_id(self) -> str | None:
        """Id of the voice, whether sent as a string or as an object."""
        return self.voice.id if isinstance(self.voice, VoiceName) else self.voice


class DurationUsage(BaseModel):
    """Usage in whole seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: int

    @classmethod
    def of(cls, info: TranscriptInfo) -> Self:
        """Return the duration, rounded up to whole seconds."""
        return cls(seconds=math.ceil(info.duration))


TEXT_CHARS_PER_TOKEN = 4
INPUT_AUDIO_TOKENS_PER_S = 10
OUTPUT_AUDIO_TOKENS_PER_S = 20


class TokenUsage(BaseModel):
    """Usage in tokens. Local engines do not count tokens: these are estimates on OpenAI's scale, so that dashboards add up."""

    input_tokens: int
    output_tokens: int
    total_tokens: int

    @classmethod
    def of_synthesis(cls, text: str, seconds: float) -> Self:
        """Estimate the usage for text that became `seconds` of audio."""
        return cls._sum(_text_tokens(text), math.ceil(seconds * OUTPUT_AUDIO_TOKENS_PER_S))

    @classmethod
    def of_transcription(cls, seconds: float, text: str) -> Self:
        """Estimate the usage for `seconds` of audio that became text."""
        return cls._sum(math.ceil(seconds * INPUT_AUDIO_TOKENS_PER_S), _text_tokens(text))

    @classmethod
    def _sum(cls, input_tokens: int, output_tokens: int) -> Self:
        return cls(input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=input_tokens + output_tokens)


def _text_tokens(text: str) -> int:
    return math.ceil(len(text) / TEXT_CHARS_PER_TOKEN)


class TokenBody(BaseModel):
    """One token of the text; `bytes` is its text in UTF-8."""

    token: str
    logprob: float
    bytes: tuple[int, ...]


class LanguageBody(BaseModel):
    """A detected language."""

    code: str


class TranscriptionBody(BaseModel):
    """Response in `json`."""

    text: str
    languages: tuple[LanguageBody, ...] | None = None
    logprobs: tuple[TokenBody, ...] | None = None
    usage: DurationUsage


class DiarizedSegmentBody(BaseModel):
    """A segment of one speaker, with times in seconds. Also sent as an event."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str
    channel: int | None = Field(None, description="Channel of the file, from 0, if channels are transcribed separately. Extension.")


class DiarizedBody(BaseModel):
    """Response in `diarized_json`."""

    task: Literal["transcribe"] = "transcribe"
    duration: float
    text: str
    segments: tuple[DiarizedSegmentBody, ...]
    usage: DurationUsage


class SegmentBody(BaseModel):
    """One segment of `verbose_json`; times in seconds."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: str | None = None
    channel: int | None = Field(None, description="Channel of the file, from 0, if channels are transcribed separately.")
    language: str | None = Field(None, description="ISO-639-1 code of the language of this segment.")


class WordBody(BaseModel):
    """One word of `verbose_json`; times in seconds."""

    word: str
    start: float
    end: float
    speaker: str | None = None


class VerboseBody(BaseModel):
    """Response in `verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    language_probability: float
    """In [0, 1], of the spoken language. Extension."""
    duration: float
    text: str
    segments: tuple[SegmentBody, ...] | None = None
    words: tuple[WordBody, ...] | None = None
    usage: DurationUsage


class BatchBody(BaseModel):
    """Response to several files: for each, in order, its index, its name, and either the fields of its format or an `error`."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]


class VoiceBody(BaseModel):
    """One voice. Requests may use `name`, because some clients read only that field."""

    id: str
    name: str
    object: Literal["audio.voice"] = "audio.voice"
    kind: Literal["builtin", "preset", "library", "alias"] = "builtin"
    """A voice of a model, a preset from the settings file, a recording to clone, or one of OpenAI's names."""
    display_name: str | None = None
    description: str | None = None
    language: str | None = None
    gender: str | None = None
    model: str | None = None
    """None for a recording if no model supports voice cloning."""
    engine: str | None = None
    licence: str | None = None
    """Licence of the model."""
    voice: str | None = None
    """The voice of the model behind a preset or an alias."""
    sample: str
    """Path of a sample of the voice."""
    created_at: int | None = None
    """Time at which a recording was stored, in Unix seconds."""
    type: Literal["audio_sample"] | None = None
    unusable: str | None = None
    """Reason why the voice cannot be used at present; absent for a usable voice."""


class DeletedVoiceBody(BaseModel):
    """A deleted voice."""

    id: str
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: Literal[True] = True


class ConsentBody(BaseModel):
    """The consent of a person to the use of a voice."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    name: str
    language: str
    created_at: int


class ConsentList(BaseModel):
    """One page of consents."""

    object: Literal["list"] = "list"
    data: list[ConsentBody]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedConsentBody(BaseModel):
    """A deleted consent."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    deleted: Literal[True] = True


class ModelBody(BaseModel):
    """One model: OpenAI's four fields, then its capabilities."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    alias_of: str | None = None
    task: str
    backend: str
    description: str
    licence: str
    language: tuple[str, ...]
    """The same as `languages`, under the name that clients of Speaches read."""
    languages: tuple[str, ...]
    formats: tuple[str, ...]
    sample_rate: int | None = None
    voices: tuple[VoiceBody, ...] | None = None
    default_voice: str | None = None
    word_times: bool | None = None
    translates: bool | None = None
    clones: bool | None = None
    designs: bool | None = None
    instructs: bool | None = None


class NamedModel(BaseModel):
    """One model, in the short form that clients of GemmaVoice read."""

    id: str
    name: str
    description: str


class ModelList(BaseModel):
    """Response of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelBody]
    models: list[NamedModel]
    """The same models for clients of GemmaVoice."""


class ErrorDetail(BaseModel):
    """Details of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The error response of every endpoint."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorBody, "description": "An error, in OpenAI's format."}}
"""Value for the `responses` of a router."""
