"""The configuration of a Realtime session: its defaults, changes by the client, and the values for the driver. Pure.

A change is merged deeply into the configuration; `null` clears fields that can be cleared. Fields that this server does not use are
stored and returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from open_speech.api.realtime.checking import UnknownParameter, Value, checked
from open_speech.api.realtime.effects import AudioFormat, TranscriptionSettings, TurnRules
from open_speech.errors import InvalidValue, TextTooLong, UnknownModel, UnknownVoice, UnsupportedLanguage, UnsupportedValue, WrongTask
from open_speech.languages import requested_language, requested_languages
from open_speech.recognition.live.speakers import NO_BACKEND
from open_speech.recognition.live.turn_detection import LONGEST_SILENCE_MS, SILENCE_MS, Eagerness

Kind = Literal["realtime", "transcription"]

CONFIG_CHARS = 262_144
"""Maximum characters of a session as JSON: every event must stay under 512 KiB."""
PCM_RATES = (8000, 48_000)
"""Hertz, lowest and highest."""
DIARIZING = "gpt-4o-transcribe-diarize"
"""OpenAI's model that labels speakers."""
LOGPROBS = "item.input_audio_transcription.logprobs"


@dataclass(frozen=True, slots=True)
class Defaults:
    """The defaults of a session, and the models and voices of this server."""

    stt_model: str
    tts_model: str
    voice: str
    has_llm: bool
    knows_voice: Callable[[str], bool]
    knows_model: Callable[[str], Literal["stt", "tts", "llm", None]]
    languages_of: Callable[[str], Collection[str]] = lambda _: ()
    """The language codes that a transcription model supports; empty if it supports any, or if they are unknown."""
    can_diarize: bool = False
    """Whether a backend of this server labels speakers in live sessions."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one session."""

    buffer_bytes: int = 15 * 1024 * 1024
    """Bytes of decoded audio that is not committed."""
    frame_bytes: int = 24 * 1024 * 1024
    """Characters of one message of the client."""
    session_s: float = 3600.0
    idle_s: float = 0.0
    """Seconds without a message of the client after which the session is closed; 0: never."""
    items: int = 1000
    """Maximum items of a conversation; the oldest are removed first."""
    tool_rounds: int = 16
    """Responses in a row that may have tool calls only; after them, the model is offered no tools until the user says something."""


class Pcm(Value):
    """16-bit little-endian mono PCM; OpenAI supports only 24 000 Hz."""

    type: Literal["audio/pcm"]
    rate: int = Field(24_000, ge=PCM_RATES[0], le=PCM_RATES[1])


class Law(Value):
    """G.711."""

    type: Literal["audio/pcmu", "audio/pcma"]


Format = Annotated[Pcm | Law, Field(discriminator="type")]


class Transcription(Value):
    """The options for transcribing input."""

    model: str | None = Field(None, max_length=200)
    language: str | None = Field(None, max_length=35)
    languages: list[str] | None = Field(None, max_length=100)
    keywords: list[str] | None = Field(None, max_length=1000)
    prompt: str | None = Field(None, max_length=32_768)
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    diarize: bool | None = None
    """An extension of this server: whether speakers are labelled; None: with the model DIARIZING."""

    @property
    def labels_speakers(self) -> bool:
        """Whether the segments of the transcript are sent, with their speakers."""
        return (self.model or "").removeprefix("openai/") == DIARIZING if self.diarize is None else self.diarize

    def language_codes(self, path: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the code of the language, and the codes of the candidates; `path` is that of this object.

        Raises UnsupportedLanguage naming the field for a value that is not a language.
        """
        return requested_language(self.language, f"{path}.language"), requested_languages(self.languages or (), f"{path}.languages")


class ServerVad(Value):
    """Turns end after a silence of a fixed length."""

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=5000)
    silence_duration_ms: int = Field(500, ge=0, le=10_000)
    idle_timeout_ms: int | None = Field(None, ge=100, le=600_000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Value):
    """Turns end when the speaker has finished by meaning, or after a silence whose length depends on the eagerness."""

    type: Literal["semantic_vad"]
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class NoiseReduction(Value):
    """Noise reduction: stored and returned, not used."""

    type: Literal["near_field", "far_field"]
    strength: float | None = None


class Input(Value):
    """The configuration of input audio."""

    format: Format = Pcm(type="audio/pcm")
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] | None = ServerVad(type="server_vad")


class VoiceId(Value):
    """A voice by its id."""

    id: str


class Output(Value):
    """The configuration of output audio."""

    format: Format = Pcm(type="audio/pcm")
    voice: str | VoiceId
    speed: float = Field(1.0, ge=0.25, le=1.5)
    language: str | None = Field(None, max_length=35)
    """An extension of this server: the language for a voice that has several; None: the voice's default."""

    @property
    def voice_name(self) -> str:
        """The name of the voice, from either form."""
        return self.voice if isinstance(self.voice, str) else self.voice.id


class AudioConfig(Value):
    """The configuration of audio in both directions."""

    input: Input
    output: Output


class Config(Value):
    """The whole configuration of a session, of either kind."""

    output_modalities: list[Literal["text", "audio"]] = Field(["audio"], min_length=1, max_length=2)
    instructions: str = ""
    tools: list[dict[str, Any]] = []
    tool_choice: str | dict[str, Any] = "auto"
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] = "inf"
    tracing: str | dict[str, Any] | None = None
    truncation: str | dict[str, Any] = "auto"
    prompt: dict[str, Any] | None = None
    include: list[str] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    audio: AudioConfig

    @field_validator("include")
    @classmethod
    def _check_include(cls, names: list[str] | None) -> list[str] | None:
        if names and set(names) != {LOGPROBS}:
            raise ValueError(f"it may contain only {LOGPROBS!r}")
        return names

    @field_validator("tools")
    @classmethod
    def _check_tools(cls, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any(tool.get("type", "function") == "function" and not isinstance(tool.get("name"), str) for tool in tools):
            raise ValueError("a function needs a `name`")
        return tools

    @property
    def is_spoken(self) -> bool:
        """Whether responses are spoken."""
        return "audio" in self.output_modalities

    @property
    def format(self) -> AudioFormat:
        """The format of input audio."""
        return audio_format(self.audio.input.format)

    @property
    def turns(self) -> TurnRules | None:
        """The rules of turn detection; None: the client commits the audio."""
        match self.audio.input.turn_detection:
            case None:
                return None
            case SemanticVad(eagerness=eagerness):
                return TurnRules(silence_duration_ms=SILENCE_MS[eagerness], longest_silence_ms=LONGEST_SILENCE_MS[eagerness])
            case vad:
                return TurnRules(vad.threshold, vad.prefix_padding_ms, vad.silence_duration_ms)

    @property
    def transcription(self) -> TranscriptionSettings:
        """The options for transcribing input, if it is transcribed."""
        chosen = self.audio.input.transcription or Transcription()
        return TranscriptionSettings(
            chosen.model, *chosen.language_codes("transcription"), chosen.prompt, tuple(chosen.keywords or ()),
            LOGPROBS in (self.include or ()), chosen.labels_speakers,
        )  # fmt: skip


def audio_format(format: Pcm | Law) -> AudioFormat:
    """Convert a format to the driver's value."""
    return AudioFormat(rate=format.rate) if isinstance(format, Pcm) else AudioFormat(format.type, 8000)


_WHOLE = {"format", "tools", "tool_choice", "tracing", "truncation", "prompt", "include", "reasoning", "noise_reduction", "voice"}
"""Fields that are replaced as a whole."""
_CLEARABLE = {"turn_detection", "transcription", "noise_reduction", "tracing", "prompt", "include", "temperature"} | {
    "idle_timeout_ms", "language", "languages", "keywords", "delay", "parallel_tool_calls", "reasoning", "model", "diarize",
}  # fmt: skip
_FLAT = {
    "modalities": "output_modalities", "voice": "audio.output.voice", "speed": "audio.output.speed",
    "input_audio_format": "audio.input.format", "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription", "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection", "max_response_output_tokens": "max_output_tokens",
}  # fmt: skip
"""Names of the beta protocol -> current paths. Ignoring the old names would send a client audio in a format it did not request."""


def initial_config(kind: Kind, *, model: str, defaults: Defaults, configured: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration of a new session, `configured` merged in. Raises subclasses of InvalidRequest that name the field.

    Without a language model, transcripts are all that a session makes of its input, so input is transcribed unless the client sets
    `transcription` to null.
    """
    is_transcription = kind == "transcription"
    stt = model if is_transcription and defaults.knows_model(model) == "stt" else defaults.stt_model
    transcription = Transcription(model=stt) if is_transcription or not defaults.has_llm else None
    if transcription is not None:
        _check_speakers(transcription, defaults, "session.audio.input.transcription.model")
    config = Config(audio=AudioConfig(input=Input(transcription=transcription), output=Output(voice=defaults.voice)))
    return updated(config, configured, defaults) if configured else config


def updated(config: Config, change: Mapping[str, Any], defaults: Defaults) -> Config:
    """Merge a client's `session` into a configuration. Raises subclasses of InvalidRequest that name the field by its whole path."""
    for name in change:
        if name in _FLAT:
            raise UnknownParameter(f"Unknown parameter: `session.{name}`: send `session.{_FLAT[name]}`.", param=f"session.{name}")
    merged = _merged(config.model_dump(exclude_unset=False), change, "session")
    new = checked(Config, merged, "session")
    if len(json.dumps(merged)) > CONFIG_CHARS:
        raise TextTooLong(f"The session is longer than {CONFIG_CHARS} characters as JSON.", param="session.instructions")
    _check_names(new, config, defaults)
    chosen = new.audio.input.transcription
    if chosen is not None and chosen.model is None:
        merged["audio"]["input"]["transcription"]["model"] = defaults.stt_model
        new = checked(Config, merged, "session")
    return new


def _check_names(new: Config, old: Config, defaults: Defaults) -> None:
    """Check the names of voices and models, and the languages, that were changed."""
    if new.audio.output.voice != old.audio.output.voice:
        check_voice(new.audio.output.voice_name, defaults, "session.audio.output.voice")
    chosen, was = new.audio.input.transcription, old.audio.input.transcription
    if chosen is not None and chosen != was:
        _check_languages(chosen, defaults)
        name = "model" if chosen.diarize is None else "diarize"
        _check_speakers(chosen, defaults, f"session.audio.input.transcription.{name}")
    if chosen is not None and chosen.model is not None and chosen.model != (was and was.model):
        param = "session.audio.input.transcription.model"
        task = defaults.knows_model(chosen.model)
        if task is None:
            raise UnknownModel("No such transcription model.", param=param)
        if task != "stt":
            raise WrongTask("This model does not transcribe.", param=param)


def _check_speakers(chosen: Transcription, defaults: Defaults, param: str) -> None:
    """Raise UnsupportedValue naming the field if speakers are requested, and no backend labels them."""
    if chosen.labels_speakers and not defaults.can_diarize:
        raise UnsupportedValue(NO_BACKEND, param=param)


def _check_languages(chosen: Transcription, defaults: Defaults) -> None:
    """Raise UnsupportedLanguage, with the field's path, for a value that is not a language or that the model does not support."""
    path = "session.audio.input.transcription"
    language, candidates = chosen.language_codes(path)
    known = defaults.languages_of(chosen.model or defaults.stt_model)
    if known and language and language not in known:
        raise UnsupportedLanguage(f"The model does not support the language `{language}`.", param=f"{path}.language")
    if known and candidates and not set(candidates) & set(known):
        raise UnsupportedLanguage("The model supports none of these languages.", param=f"{path}.languages")


def check_voice(name: str, defaults: Defaults, param: str) -> None:
    """Raise UnknownVoice naming the field if the voice does not exist."""
    if len(name) > 500 or not defaults.knows_voice(name):
        raise UnknownVoice("No such voice.", param=param)


def _merged(old: Mapping[str, Any], change: Mapping[str, Any], path: str) -> dict[str, Any]:
    new = dict(old)
    for name, value in change.items():
        was = old.get(name)
        if value is None:
            if name in _CLEARABLE:
                new[name] = None
            continue
        if not isinstance(value, Mapping) or name in _WHOLE:
            if isinstance(was, Mapping) and name not in _WHOLE:
                raise InvalidValue(f"`{path}.{name}` must be a JSON object.", param=f"{path}.{name}")
            new[name] = value
            continue
        if name == "turn_detection":
            kind = value.get("type", (was or {}).get("type", "server_vad"))
            extra = was if isinstance(was, Mapping) and was.get("type") == kind else {}
            new[name] = _merged(extra, {**value, "type": kind}, f"{path}.{name}")
        else:
            new[name] = _merged(was if isinstance(was, Mapping) else {}, value, f"{path}.{name}")
    return new


def session_body(config: Config, kind: Kind, *, id: str, model: str, expires_at: int) -> dict[str, Any]:
    """Return a whole session, as `session.created` and `session.updated` contain it; `expires_at` in seconds since 1970."""
    data = config.model_dump()
    input_part, output_part = data["audio"]["input"], data["audio"]["output"]
    transcription = input_part["transcription"]
    if transcription is not None:
        input_part["transcription"] = {name: value for name, value in transcription.items() if value is not None}
    if output_part["language"] is None:
        del output_part["language"]
    if input_part["noise_reduction"] is not None and input_part["noise_reduction"]["strength"] is None:
        del input_part["noise_reduction"]["strength"]
    if kind == "transcription":
        return {
            "type": kind, "object": "realtime.transcription_session", "id": id, "expires_at": expires_at,
            "audio": {"input": input_part}, "include": data["include"],
        }  # fmt: skip
    extra = {name: data[name] for name in ("parallel_tool_calls", "reasoning", "temperature") if data[name] is not None}
    names = ("output_modalities", "instructions", "tools", "tool_choice", "max_output_tokens", "tracing", "truncation", "prompt")
    return {
        "type": kind, "object": "realtime.session", "id": id, "model": model, **{name: data[name] for name in names}, **extra,
        "expires_at": expires_at, "audio": {"input": input_part, "output": output_part}, "include": data["include"],
    }  # fmt: skip
