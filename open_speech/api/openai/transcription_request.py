"""The fields of a transcription request, in every form that clients use, after OpenAI's API reference (audio/createTranscription)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from open_speech.api.openai.schemas import AnswerFormat, AnyCase, TranscriptFormat
from open_speech.backends import WHISPER_TEMPERATURES, TranscribeOptions, Vad
from open_speech.config import Settings
from open_speech.errors import InvalidRequest, UnsupportedValue
from open_speech.http import json_screen
from open_speech.languages import requested_language, requested_languages
from open_speech.recognition.channels import ChannelMode
from open_speech.recognition.denoise import Cleaning
from open_speech.recognition.subtitle_layout import Shape

Granularity = Literal["word", "segment"]

IGNORES_STREAM = "whisper-1"
"""OpenAI's API ignores `stream` for this model name, as documented."""
RETURNS_LANGUAGES = ("gpt-transcribe", "gpt-live-transcribe")
"""OpenAI's model names whose responses list the detected languages."""
MAX_KNOWN_SPEAKERS = 4
"""The limit of OpenAI's API."""
_MOST_VALUES = 10_000
"""Maximum number of values in a list separated by commas: 4 MiB of `a,` would become two million strings."""
_DEFAULT_WIDTH = 42
"""Characters per subtitle line, as on television, for a request that sets the number of lines only."""


def _as_list(value: object) -> object:
    """Parse a list given as JSON, as values separated by commas, or as one value."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        if value.count(",") >= _MOST_VALUES:
            raise ValueError(f"there are more than {_MOST_VALUES} values")
        return [part.strip() for part in value.split(",") if part.strip()]
    return _as_json(value)


def _as_whole_values(value: object) -> object:
    """Parse a list given as JSON or as one value, which may contain commas."""
    return [value] if isinstance(value, str) and not value.lstrip().startswith("[") else _as_json(value)


def _as_json(value: object) -> object:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json_screen.loads(value)
    except InvalidRequest as problem:
        raise ValueError(problem.message) from None
    except ValueError:
        raise ValueError("not valid JSON") from None


def _null_word(value: object) -> object:
    return None if value in ("null", "None", "") else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
WholeValues = Annotated[tuple[str, ...], BeforeValidator(_as_whole_values)]
OptionalBool = Annotated[bool | None, BeforeValidator(_null_word)]


USUAL_VAD = Vad()


class ServerVad(BaseModel):
    """Voice activity detection with parameters of the request."""

    type: Literal["server_vad"]
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(200, ge=0, le=60_000)
    threshold: float = Field(0.5, gt=0, lt=1)

    def vad(self) -> Vad:
        """Convert to the options of the engine."""
        return Vad(self.threshold, min_silence_ms=self.silence_duration_ms, pad_ms=self.prefix_padding_ms)


ChunkingStrategy = Annotated[
    Literal["auto"] | ServerVad,
    BeforeValidator(_as_json),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "object"}], "description": "`auto`, or a `server_vad` object."}),
]


class SubtitleFields(BaseModel):
    """Layout of subtitles. Extension. Without these fields, each segment is one cue."""

    max_line_width: int | None = Field(None, ge=8, le=200, description="Subtitles: maximum number of characters per line.")
    max_line_count: int | None = Field(None, ge=1, le=4, description="Subtitles: maximum number of lines per cue. Default: 2.")
    max_chars_per_second: float | None = Field(None, gt=0, le=100, description="Subtitles: maximum reading speed in characters per second.")
    min_gap_ms: int | None = Field(None, ge=0, le=2000, description="Subtitles: minimum gap between two cues, in milliseconds.")

    @property
    def shape(self) -> Shape | None:
        """The layout that the fields request; None if none of them is set."""
        if all(value is None for value in (self.max_line_width, self.max_line_count, self.max_chars_per_second, self.min_gap_ms)):
            return None
        return Shape(
            line_width=self.max_line_width or (_DEFAULT_WIDTH if self.max_line_count else None),
            line_count=self.max_line_count or 2,
            reading_speed=self.max_chars_per_second or 0.0,
            gap=(self.min_gap_ms or 0) / 1000,
        )


class ChannelFields(BaseModel):
    """Handling of the channels of a file. Extension."""

    channels: ChannelMode = Field(
        "mix",
        description="`mix` mixes all channels, `separate` transcribes each with a label, `auto` separates two with different speech.",
    )
    multichannel: OptionalBool = Field(
        None, description="`true` is the same as `channels=separate`: the name that Deepgram and AssemblyAI use."
    )

    @property
    def channel_mode(self) -> ChannelMode:
        """The mode that `channels` and `multichannel` together request."""
        return "separate" if self.multichannel and self.channels == "mix" else self.channels


class SpeakerFields(ChannelFields):
    """Diarization. All fields except those of known speakers are extensions."""

    diarize: OptionalBool = Field(None, description="Label the speakers (diarization).")
    min_speakers: int | None = Field(None, ge=1, le=50)
    max_speakers: int | None = Field(None, ge=1, le=50)
    known_speaker_names: WholeValues = Field((), max_length=MAX_KNOWN_SPEAKERS, description="Names of known speakers.")
    known_speaker_references: WholeValues = Field(
        (), max_length=MAX_KNOWN_SPEAKERS, description="Data URLs with 2 to 10 seconds of speech of each known speaker."
    )

    @property
    def diarizes(self) -> bool:
        """Whether the response contains speaker labels."""
        return bool(self.diarize)


class CleaningFields(BaseModel):
    """Processing of the audio before recognition. Extension. The server's settings apply when a field is omitted."""

    noise_reduce: OptionalBool = Field(None, description="Remove steady noise.")
    normalize: OptionalBool = Field(None, description="Raise the level of a very quiet recording.")

    def cleaning(self, settings: Settings) -> Cleaning | None:
        """Convert to the options of the engine; None if no field is set."""
        if self.noise_reduce is None and self.normalize is None:
            return None
        return Cleaning(
            noise_reduce=settings.stt_noise_reduce if self.noise_reduce is None else self.noise_reduce,
            normalize=settings.stt_normalize if self.normalize is None else self.normalize,
        )


class MediaRequest(SubtitleFields, CleaningFields, ChannelFields):
    """The fields that transcription and translation share. Unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(
        "whisper-1", description="Model id, or one of OpenAI's names such as `whisper-1`. Default: the model of `STT_MODEL`."
    )
    prompt: str | None = Field(None, description="Preceding text, or text in the desired style.")
    temperature: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Sampling temperature. 0 tries 0, 0.2 … 1 until the text passes the checks; any other value is used as it is.",
    )

    def temperatures(self) -> tuple[float, ...]:
        """Return the temperatures that the decoder tries in turn."""
        return (self.temperature,) if self.temperature else WHISPER_TEMPERATURES


class TranslationRequest(MediaRequest):
    """Body of `POST /v1/audio/translations`."""

    response_format: Annotated[TranscriptFormat, AnyCase] = "json"

    def options(self) -> TranscribeOptions:
        """Convert to the options of the engine."""
        return TranscribeOptions(task="translate", prompt=self.prompt, temperatures=self.temperatures())


class TranscriptionRequest(MediaRequest, SpeakerFields):
    """Body of `POST /v1/audio/transcriptions`."""

    response_format: Annotated[AnswerFormat, AnyCase] = "json"
    language: str | None = Field(
        None, description="Language of the speech: ISO 639 code (`en`, `eng`, `en-US`) or English name. Default: detect it, as `auto` does."
    )
    languages: Words = Field((), max_length=100, description="Candidate languages for detection. A single candidate sets the language.")
    keywords: Words = Field((), description="Words that are likely to occur.")
    hotwords: str | None = Field(None, description="The same as one text. Extension.")
    timestamp_granularities: Annotated[tuple[Granularity, ...], BeforeValidator(_as_list)] = Field(
        ("segment",), description="What `verbose_json` returns with times. With `stream`, what the events contain with times, if given."
    )
    include: Annotated[tuple[Literal["logprobs"], ...], BeforeValidator(_as_list)] = Field(
        (), description="Additional fields for the format `json`."
    )
    stream: OptionalBool = Field(None, description="Return server-sent events.")
    chunking_strategy: ChunkingStrategy | None = None
    vad_filter: OptionalBool = Field(
        None,
        description="Remove silence. `false` without a chunking strategy selects Whisper's own algorithm for the whole file.",
    )
    condition_on_previous_text: OptionalBool = Field(None, description="Use the preceding text of the transcript as context. Extension.")

    @property
    def streams(self) -> bool:
        """Whether the response is a stream of events. Raises UnsupportedValue for a format that cannot be streamed."""
        if not self.stream or self.model == IGNORES_STREAM:
            return False
        if self.response_format not in ("json", "text", "diarized_json"):
            raise UnsupportedValue(f"`stream` cannot be combined with the format `{self.response_format}`.", param="stream")
        return True

    @property
    def diarizes(self) -> bool:
        """Whether the response contains speaker labels."""
        return bool(self.diarize) or self.response_format == "diarized_json"

    @property
    def wants_logprobs(self) -> bool:
        """Whether the response contains log probabilities of tokens, which only `json` has."""
        return "logprobs" in self.include and self.response_format == "json"

    @property
    def wants_languages(self) -> bool:
        """Whether the response lists the detected languages."""
        return self.model in RETURNS_LANGUAGES or bool(self.languages)

    @property
    def word_times(self) -> bool:
        """Whether the response contains word timestamps."""
        return "word" in (self.timestamp_granularities if self.response_format == "verbose_json" else self.streamed_times)

    @property
    def streamed_times(self) -> tuple[Granularity, ...]:
        """The timestamps in the events of a stream; none by default, because OpenAI's events have none."""
        return self.timestamp_granularities if self.stream and "timestamp_granularities" in self.model_fields_set else ()

    def options(self, default_vad: Vad = USUAL_VAD) -> TranscribeOptions:
        """Convert to the options of the engine. Raises UnsupportedLanguage for a value that is not a language.

        `default_vad` is the speech detection of this server, for a request that enables it without parameters of its own.
        """
        candidates = requested_languages(self.languages, "languages")
        language = requested_language(self.language, "language") or (candidates[0] if len(candidates) == 1 else None)
        chunking = self.chunking_strategy
        return TranscribeOptions(
            language=language,
            languages=() if language else candidates,
            prompt=self.prompt,
            hotwords=", ".join([*filter(None, [self.hotwords]), *self.keywords]) or None,
            temperatures=self.temperatures(),
            word_times=self.word_times,
            logprobs=self.wants_logprobs,
            condition_on_previous_text=bool(self.condition_on_previous_text),
            vad=chunking.vad() if isinstance(chunking, ServerVad) else default_vad if chunking or self.vad_filter else None,
            sequential=chunking is None and self.vad_filter is False,
        )
