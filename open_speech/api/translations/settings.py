"""The configuration of a translation session: its strict schema, and the checks of a change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field

from open_speech.api.realtime.checking import Value, checked
from open_speech.dialogue.language_models import HOW
from open_speech.errors import InvalidValue, UnknownModel, UnsupportedValue, WrongTask
from open_speech.languages import language_name, requested_language

ENGLISH = "en"
"""The language into which some speech-to-text models translate by themselves, and the target if a session names none."""
LANGUAGE = "session.audio.output.language"
TRANSCRIPTION = "session.audio.input.transcription.model"


class StrictValue(Value):
    """A part of a client's message in which unknown fields are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class NoiseReduction(StrictValue):
    """Stored and returned, without an effect."""

    type: Literal["near_field", "far_field"]
    strength: float | None = Field(None, ge=0, le=1)


class Transcription(StrictValue):
    """The model of the source transcript."""

    model: str = Field(min_length=1, max_length=200)


class Input(StrictValue):
    """How the incoming audio is processed."""

    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    """None: the client is not sent what was said in its own language."""


class Output(StrictValue):
    """The translation."""

    language: str = Field(ENGLISH, min_length=1, max_length=35)


class AudioConfig(StrictValue):
    """Both directions."""

    input: Input = Input()
    output: Output = Output()


class Config(StrictValue):
    """What a client may change."""

    audio: AudioConfig = AudioConfig()

    @property
    def language(self) -> str:
        """The ISO 639-1 code of the target language."""
        return requested_language(self.audio.output.language, LANGUAGE) or ENGLISH

    @property
    def source_model(self) -> str | None:
        """The model of the source transcript; None if the client did not request one."""
        chosen = self.audio.input.transcription
        return chosen.model if chosen else None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the server can do in one session."""

    stt_model: str
    translates: bool
    """Whether the speech-to-text model translates into English."""
    has_llm: bool
    voices: Collection[str]
    """ISO 639-1 codes of the languages that a voice of the server speaks."""
    task_of: Callable[[str], str | None]
    """Returns the task of a model; None for an unknown one."""

    def by_recognizer(self, language: str) -> bool:
        """Return whether the speech-to-text model itself translates into a language."""
        return language == ENGLISH and self.translates


def updated(config: Config, change: Mapping[str, Any], abilities: Abilities) -> Config:
    """Return the configuration with the fields that are present in `change`; null clears `transcription` and `noise_reduction`.

    Raises subclasses of InvalidRequest that name the field by its whole path.
    """
    new = checked(Config, _merged(config.model_dump(), change, ()), "session")
    check(new, abilities)
    return new


def check(config: Config, abilities: Abilities) -> None:
    """Raise a subclass of InvalidRequest, naming the field, if the server cannot translate as configured."""
    code = requested_language(config.audio.output.language, LANGUAGE)
    if code is None:
        raise InvalidValue("The target language cannot be detected: name a language such as `es`.", param=LANGUAGE)
    name = language_name(code).title()
    if not abilities.has_llm and not abilities.by_recognizer(code):
        if code != ENGLISH:
            raise UnsupportedValue(f"Without a language model, speech is translated into English only, not {name}: {HOW}.", param=LANGUAGE)
        message = f"The model `{abilities.stt_model}` does not translate, and the server has no language model: {HOW}."
        raise UnsupportedValue(message, param=LANGUAGE)
    if code not in abilities.voices:
        raise UnsupportedValue(f"This server has no voice that speaks {name}: see `/v1/audio/voices`.", param=LANGUAGE)
    if (model := config.source_model) is not None:
        task = abilities.task_of(model)
        if task is None:
            raise UnknownModel("No such transcription model.", param=TRANSCRIPTION)
        if task != "stt":
            raise WrongTask("This model does not transcribe.", param=TRANSCRIPTION)


def body(config: Config, *, id: str, model: str, expires_at: int) -> dict[str, Any]:
    """Build the session object of `session.created` and `session.updated`."""
    audio = config.audio
    reduction = audio.input.noise_reduction
    parts = {
        "noise_reduction": reduction.model_dump(exclude_none=True) if reduction else None,
        "transcription": audio.input.transcription.model_dump() if audio.input.transcription else None,
    }
    return {
        "type": "translation", "id": id, "model": model, "expires_at": expires_at,
        "audio": {"input": parts, "output": {"language": audio.output.language}},
    }  # fmt: skip


_CLEARABLE = {("audio", "input", "noise_reduction"), ("audio", "input", "transcription")}


def _merged(old: Mapping[str, Any], change: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    new = dict(old)
    for name, value in change.items():
        here = (*path, name)
        was = old.get(name)
        # The strength survives a change of the other field: OpenAI documents that for this object.
        if isinstance(value, Mapping) and isinstance(was, Mapping):
            new[name] = _merged(was, value, here)
        elif value is None and here not in _CLEARABLE and name in old:
            raise InvalidValue(f"`session.{'.'.join(here)}` must not be null.", param=f"session.{'.'.join(here)}")
        else:
            new[name] = value
    return new
