"""Presets: a YAML file that names voices with their defaults, and maps OpenAI's thirteen voice names.

voices:
  narrator: af_bella(2)+af_sky(1)      # a voice, or a blend, of whichever model the request names
  newsreader:
    model: piper/en_US-joe-medium
    voice: en_US-joe-medium
    speed: 1.1
    language: en
    description: Calm and quick.
openai:
  alloy: narrator                      # a preset, or a voice of the model
  nova: af_nova
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from open_speech.config import SettingsError
from open_speech.registry import OPENAI_VOICES

FILE_BYTES = 1 << 20
"""Maximum size of the file."""
_NAME = re.compile(r"[^\W_]([\w .-]{0,62}[\w.-])?")


def is_name(text: str) -> bool:
    """Return whether a text is a valid name of a voice: 1 to 64 letters, digits, and `_`, `-`, `.` or space in between.

    These characters have no meaning in a blend, in a speaker number or in a tag.
    """
    return _NAME.fullmatch(text) is not None


def _named(text: str) -> str:
    if not is_name(text):
        raise ValueError("a voice's name has 1 to 64 letters, digits, spaces, dots, dashes or underscores")
    return text


class Preset(BaseModel):
    """A named voice, with defaults for fields that a request omits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voice: str | None = Field(None, min_length=1, max_length=256)
    """A voice of the model, a blend, or the name of a recording; None is the model's default."""
    model: str | None = Field(None, min_length=1)
    """None is the model that the request names."""
    speed: float | None = Field(None, ge=0.25, le=4)
    language: str | None = Field(None, min_length=1)
    instructions: str | None = Field(None, max_length=4096)
    design: str | None = Field(None, max_length=4096)
    description: str = ""
    gender: str | None = None


def _spelled_out(value: object) -> object:
    return {"voice": value} if isinstance(value, str) else value


class Presets(BaseModel):
    """The content of the file; empty without a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voices: Mapping[Annotated[str, AfterValidator(_named)], Annotated[Preset, BeforeValidator(_spelled_out)]] = Field(default_factory=dict)
    openai: Mapping[str, str] = Field(default_factory=dict)
    """OpenAI's voice names -> a preset, or a voice of the model."""

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_none(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _only_openais_names_are_mapped(self) -> Presets:
        for name in self.openai:
            if name not in OPENAI_VOICES:
                raise ValueError(f"openai: `{name}` is none of OpenAI's voices; put names of your own under `voices`")
        for name in self.voices:
            if name in OPENAI_VOICES:
                raise ValueError(f"voices: `{name}` is one of OpenAI's voices; set it under `openai`")
        return self

    def find(self, name: str | None) -> Preset | None:
        """Find a preset by its name (ignoring case if only one matches), or the target of one of OpenAI's names."""
        if name is None or name in self.voices:
            return None if name is None else self.voices[name]
        target = self.openai.get(name.lower())
        if target is not None:
            return self.voices.get(target, Preset(voice=target))
        matches = [preset for own, preset in self.voices.items() if own.lower() == name.lower()]
        return matches[0] if len(matches) == 1 else None


def read_presets(path: Path) -> Presets:
    """Read a file of presets. Blocking. Raises SettingsError naming the file and the invalid entry."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise SettingsError(f"TTS_VOICES_CONFIG: {path} is larger than {FILE_BYTES >> 20} MiB")
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"TTS_VOICES_CONFIG: {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"TTS_VOICES_CONFIG: {path} is not YAML: {error}") from None
    try:
        return Presets.model_validate({} if data is None else data)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        problem = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"TTS_VOICES_CONFIG: {path}: {where + ': ' if where else ''}{problem}") from None
