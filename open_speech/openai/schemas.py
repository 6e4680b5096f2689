"""Request and response bodies of the audio and model endpoints, after OpenAI's API reference (audio/*, models/*)."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from open_speech.backends import WHISPER_TEMPERATURES, TranscribeOptions, Vad
from open_speech.config import AudioFormat
from open_speech.errors import UnsupportedLanguage
from open_speech.languages import language_code
from open_speech.transcript import Transcript

TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]


def _as_list(value: object) -> object:
    """Take a list written as JSON, separated by commas, or as one value."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _as_json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _as_json(value: object) -> object:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("not valid JSON") from None


def _null_word(value: object) -> object:
    return None if value in ("null", "None", "") else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Granularities = Annotated[tuple[Granularity, ...], BeforeValidator(_as_list)]


class ServerVad(BaseModel):
    """Voice activity detection as the request wants it."""

    type: Literal["server_vad"]
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(200, ge=0, le=60_000)
    threshold: float = Field(0.5, gt=0, lt=1)

    def vad(self) -> Vad:
        """Give the engine's own value."""
        return Vad(self.threshold, min_silence_ms=self.silence_duration_ms, pad_ms=self.prefix_padding_ms)


ChunkingStrategy = Annotated[
    Literal["auto"] | ServerVad,
    BeforeValidator(_as_json),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "object"}], "description": "`auto`, or a `server_vad` object."}),
]


class ListenRequest(BaseModel):
    """The fields that transcription and translation share. What is unknown is ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(description="Model id, or one of OpenAI's names such as `whisper-1`.")
    prompt: str | None = Field(None, description="Text that came before, or in the style that is wanted.")
    response_format: TranscriptFormat = "json"
    temperature: float = Field(0.0, ge=0, le=1, description="0 tries 0, 0.2 … 1 until the text looks right; else this one value.")

    def temperatures(self) -> tuple[float, ...]:
        """Give the decoder's ladder."""
        return (self.temperature,) if self.temperature else WHISPER_TEMPERATURES


class TranslationRequest(ListenRequest):
    """Body of `POST /v1/audio/translations`."""

    def options(self) -> TranscribeOptions:
        """Say the same to the engine."""
        return TranscribeOptions(task="translate", prompt=self.prompt, temperatures=self.temperatures())


class TranscriptionRequest(ListenRequest):
    """Body of `POST /v1/audio/transcriptions`."""

    language: str | None = Field(None, description="ISO-639-1 code or English name of the language; unset detects it.")
    languages: Words = Field((), description="Candidate languages; one candidate is the language.")
    keywords: Words = Field((), description="Words that are likely to be said.")
    timestamp_granularities: Granularities = Field(("segment",), description="What `verbose_json` lists with times.")
    stream: Annotated[bool | None, BeforeValidator(_null_word)] = Field(None, description="Answer as server-sent events.")
    chunking_strategy: ChunkingStrategy | None = None

    @property
    def word_times(self) -> bool:
        """Whether times of words will be shown."""
        return self.response_format == "verbose_json" and "word" in self.timestamp_granularities

    def options(self) -> TranscribeOptions:
        """Say the same to the engine. Raises UnsupportedLanguage for what is no language."""
        chunking = self.chunking_strategy
        return TranscribeOptions(
            language=self._language(),
            prompt=self.prompt,
            hotwords=", ".join(self.keywords) or None,
            temperatures=self.temperatures(),
            word_times=self.word_times,
            vad=Vad() if chunking == "auto" else chunking.vad() if chunking else None,
        )

    def _language(self) -> str | None:
        if self.language:
            return _known_language(self.language, "language")
        candidates = [_known_language(name, "languages") for name in self.languages]
        return candidates[0] if len(candidates) == 1 else None


def _known_language(name: str, field: str) -> str:
    code = language_code(name)
    if code is None:
        raise UnsupportedLanguage(f"`{name}` is not a language: give an ISO-639-1 code such as `en`.", param=field)
    return code


class VoiceReference(BaseModel):
    """A voice named by its id."""

    id: str


class SpeechRequest(BaseModel):
    """Body of `POST /v1/audio/speech`. What is unknown is ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(description="Model id, or one of OpenAI's names such as `tts-1`.")
    input: str = Field(description="The text to speak.")
    voice: str | VoiceReference | None = Field(None, description="Voice id, one of OpenAI's voices, or unset for the default.")
    instructions: str | None = Field(None, description="Accepted for OpenAI's sake; no backend follows instructions yet.")
    response_format: AudioFormat | None = Field(None, description="Unset is the server's default, mp3 unless it says otherwise.")
    speed: float | None = Field(None, ge=0.25, le=4)
    stream_format: Literal["audio", "sse"] | None = "audio"
    language: str | None = Field(None, description="Not OpenAI's: language of the text, where the voice can speak several.")

    @property
    def voice_id(self) -> str | None:
        """The voice's name, in whichever way it was given."""
        return self.voice.id if isinstance(self.voice, VoiceReference) else self.voice


class DurationUsage(BaseModel):
    """What was used, as whole seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: int

    @classmethod
    def of(cls, transcript: Transcript) -> Self:
        """Round the duration up."""
        return cls(seconds=math.ceil(transcript.info.duration))


TEXT_CHARS_PER_TOKEN = 4
HEARD_TOKENS_PER_S = 10
SPOKEN_TOKENS_PER_S = 20


class TokenUsage(BaseModel):
    """What was used, in tokens. Local engines count none: these are estimates on OpenAI's scale, so that dashboards add up."""

    input_tokens: int
    output_tokens: int
    total_tokens: int

    @classmethod
    def spoken(cls, text: str, seconds: float) -> Self:
        """Estimate for text that became `seconds` of sound."""
        return cls._sum(_text_tokens(text), math.ceil(seconds * SPOKEN_TOKENS_PER_S))

    @classmethod
    def heard(cls, transcript: Transcript) -> Self:
        """Estimate for sound that became text."""
        return cls._sum(math.ceil(transcript.info.duration * HEARD_TOKENS_PER_S), _text_tokens(transcript.text))

    @classmethod
    def _sum(cls, given: int, made: int) -> Self:
        return cls(input_tokens=given, output_tokens=made, total_tokens=given + made)


def _text_tokens(text: str) -> int:
    return math.ceil(len(text) / TEXT_CHARS_PER_TOKEN)


class TranscriptionBody(BaseModel):
    """Answer in `json`."""

    text: str
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


class WordBody(BaseModel):
    """One word of `verbose_json`; times in seconds."""

    word: str
    start: float
    end: float


class VerboseBody(BaseModel):
    """Answer in `verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: tuple[SegmentBody, ...] | None = None
    words: tuple[WordBody, ...] | None = None
    usage: DurationUsage


class VoiceBody(BaseModel):
    """One voice. `name` is what a request may send back, as some clients read only that."""

    id: str
    name: str
    object: Literal["audio.voice"] = "audio.voice"
    display_name: str | None = None
    language: str
    gender: str | None = None
    model: str


class ModelBody(BaseModel):
    """One model: OpenAI's four keys, then what it can do."""

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
    """The same as `languages`; the name that clients of Speaches read."""
    languages: tuple[str, ...]
    formats: tuple[str, ...]
    sample_rate: int | None = None
    voices: tuple[VoiceBody, ...] | None = None
    default_voice: str | None = None
    word_times: bool | None = None
    translates: bool | None = None


class ModelList(BaseModel):
    """Answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelBody]


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every failure of every endpoint."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorBody, "description": "A failure, in OpenAI's envelope."}}
"""For a router's `responses`."""
