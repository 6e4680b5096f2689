"""A setting name of another server, and the conversion of its value to a setting of this one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class System(StrEnum):
    """A server whose settings are known."""

    OPEN_SPEECH = "open-speech"
    """Open Speech up to 0.7, by will-assistant; including the plan of its first version."""
    WYOMING_OPENAI = "wyoming-openai"
    VOICE_STACK = "voice-stack"
    GEMMAVOICE = "gemmavoice"
    SPEACHES = "speaches"
    """Also faster-whisper-server, its former name."""
    KOKORO_FASTAPI = "kokoro-fastapi"
    WHISPER_ASR = "whisper-asr-webservice"


AT_START = frozenset({System.OPEN_SPEECH, System.WYOMING_OPENAI, System.VOICE_STACK, System.GEMMAVOICE})
"""Systems that this server replaces. It reads their names at the start; those of the others are only read by `open-speech migrate`."""

PREFIXES = ("OS_", "STT_", "TTS_", "OPENAUDIO_")
"""Prefixes of this server's settings. An unknown name with one of them is an error."""

Environ = Mapping[str, str]
Convert = Callable[[str, Environ], str | None]
"""(value, environment) -> the value of the current setting; None if the value has no counterpart."""

Implies = Callable[[str, Environ], Mapping[str, str]]
"""(value, environment) -> settings."""

OFF = frozenset({"false", "0", "no", "off", "f", "n"})
ON = frozenset({"true", "1", "yes", "on", "t", "y"})


@dataclass(frozen=True, slots=True)
class OldName:
    """One environment variable of another server."""

    name: str
    systems: tuple[System, ...]
    setting: str = ""
    """The current setting that takes its value; empty if there is none."""
    note: str = ""
    """What differs, or why there is no counterpart and what to use instead: one or two sentences."""
    convert: Convert | None = None
    """Conversion of the value; None keeps it."""
    shared: bool = False
    """Whether other programs have a variable of this name. It is then read only beside an unshared name of the same system."""
    when: tuple[str, frozenset[str]] | None = None
    """A switch of the same system, and its values with which that system reads this name; `""`: the switch is not set."""
    implies: Implies | None = None
    """Further settings that follow from the converted value. They only apply where the environment does not set them."""
    same: tuple[str, ...] = ()
    """Values with which the other server behaves as this one does anyway; they need no message. In lower case."""
    silent: bool = False
    """Whether the name may stay as it is: this server, or a library in it, reads it. No message; `migrate` copies the variable."""

    def ignored(self, environ: Environ) -> str:
        """Return why the other server ignores this name, as `NAME is VALUE`; empty if it reads the name."""
        if self.when is None:
            return ""
        name, values = self.when
        given = environ.get(name, "").strip().lower()
        return "" if given in values else f"{name} is {given or 'not set'}"


@dataclass(frozen=True, slots=True)
class OldValue:
    """A value that another server accepts for a setting which has the same name here."""

    setting: str
    systems: tuple[System, ...]
    note: str
    applies: Callable[[str, Environ], bool]
    """Whether (value, environment) is such a case."""
    becomes: str | None = None
    """The value instead; None: the setting is as if it were not set."""
    keeps: bool = False
    """Whether the value is kept, and only `implies` applies."""
    implies: Implies | None = None
    beside: System | None = None
    """The system of which the environment must have another name; None: the value alone is enough."""


def words(value: str) -> tuple[str, ...]:
    """Split a list at spaces and commas."""
    return tuple(value.replace(",", " ").split())


def as_list(value: str, environ: Environ) -> str:
    """Convert a list with spaces or commas to one with commas."""
    return ",".join(words(value))


def items(value: str, environ: Environ) -> str | None:
    """Convert a JSON list of strings, or a list with commas, to a list with commas."""
    if not value.strip().startswith("["):
        return ",".join(part.strip() for part in value.split(",") if part.strip())
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return ",".join(found) if all(isinstance(item, str) for item in found) else None


def one_of(**values: str) -> Convert:
    """Return a conversion by a table; keys in lower case with `_` for `-`. Other values have no counterpart."""
    return lambda value, environ: values.get(value.strip().lower().replace("-", "_"))


def switch(value: str, environ: Environ) -> str | None:
    """Convert any spelling of yes and no to `true` and `false`."""
    given = value.strip().lower()
    return "true" if given in ON else "false" if given in OFF else None


def also(**templates: str) -> Implies:
    """Return further settings by templates: `{value}` is the value, `{first}` the first item of a list."""
    return lambda value, environ: {
        name: template.format(value=value, first=value.partition(",")[0]) for name, template in templates.items()
    }


def if_on(result: str) -> Convert:
    """Return a conversion of a switch that is on to `result`, and of one that is off to nothing."""
    return lambda value, environ: result if value.strip().lower() in ON else None


def device(value: str, environ: Environ) -> str | None:
    """Convert a device; None for one that this server does not have, such as Apple's `mps`."""
    given = value.strip().lower()
    return {"gpu": "cuda", "": "auto"}.get(given, given if re.fullmatch(r"auto|cpu|cuda(:\d+)?", given) else None)


def log_level(value: str, environ: Environ) -> str | None:
    """Convert a level of Python's logging; None for another word."""
    given = value.strip().lower()
    return {"critical": "error", "fatal": "error", "warn": "warning", "trace": "debug"}.get(
        given, given if given in ("debug", "info", "warning", "error") else None
    )


def seconds_to_keep(value: str, environ: Environ) -> str | None:
    """Convert an idle time in seconds in which -1 means no limit and 0 means at once; here 0 means no limit."""
    return {"-1": "0", "0": "1"}.get(value.strip(), value.strip())


TURBO = "deepdml/faster-whisper-large-v3-turbo-ct2"
_SIZE = re.compile(r"(?:tiny|base|small|medium)(?:\.en)?|large-v[123]")


def whisper(value: str, environ: Environ) -> str:
    """Convert the size of a Whisper model (`base`, `large-v3`, `distil-large-v3`) to the id of the model; keep every other name."""
    size = value.strip().lower()
    if size in ("turbo", "large-v3-turbo"):
        return TURBO
    if size == "large":
        size = "large-v3"
    if size.startswith("distil-"):
        return f"Systran/faster-distil-whisper-{size.removeprefix('distil-')}"
    return f"Systran/faster-whisper-{size}" if _SIZE.fullmatch(size) else value.strip()


ENGINES = one_of(
    faster_whisper="faster-whisper", whisper="openai-whisper", openai_whisper="openai-whisper", whisperx="faster-whisper",
)  # fmt: skip


def engine_model(value: str, environ: Environ) -> str:
    """Convert the size of a Whisper model for the engine in ASR_ENGINE."""
    if ENGINES(environ.get("ASR_ENGINE", ""), environ) != "openai-whisper":
        return whisper(value, environ)
    size = value.strip().lower()
    return "openai-whisper/" + {"large": "large-v3", "large-v3-turbo": "turbo"}.get(size, size)


def stt_models(value: str, environ: Environ) -> str:
    """Join the models of wyoming_openai: those that stream first."""
    return ",".join(dict.fromkeys((*words(environ.get("STT_STREAMING_MODELS", "")), *words(value))))


def tts_models(value: str, environ: Environ) -> str:
    """Join the models of wyoming_openai: those that stream first."""
    return ",".join(dict.fromkeys((*words(environ.get("TTS_STREAMING_MODELS", "")), *words(value))))


def per_minute(value: str, environ: Environ) -> str | None:
    """Convert a number of requests in RATE_LIMIT_WINDOW_SECONDS to requests per minute, at least 1."""
    try:
        return str(max(1, round(int(value) * 60 / float(environ.get("RATE_LIMIT_WINDOW_SECONDS") or 60))))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def burst(value: str, environ: Environ) -> str | None:
    """Convert a factor of RATE_LIMIT_REQUESTS to a number of requests."""
    try:
        return str(max(1, round(float(value) * int(environ.get("RATE_LIMIT_REQUESTS") or 120))))
    except (ValueError, OverflowError):
        return None


def gguf_model(value: str, environ: Environ) -> str | None:
    """Convert a repository to the model in it: the file in LLM_MODEL_FILENAME, or the usual file of a repository of GGUF files."""
    repository, file = value.strip(), environ.get("LLM_MODEL_FILENAME", "").strip()
    if file.endswith(".gguf"):
        return f"{repository}/{file}"
    return repository if repository.lower().endswith("-gguf") else None


def threads(value: str, environ: Environ) -> str | None:
    """Convert a number of threads; a negative one lets the engine choose, which is 0 here."""
    number = value.strip()
    if number.removeprefix("-").isdecimal():
        return number if number[0] != "-" else "0"
    return None
