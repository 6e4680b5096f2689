"""The flags and environment variables of wyoming_openai -> settings of this server. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from open_speech.backends import TranscribeOptions
from open_speech.config.old_names import TABLE, System

DIALECTS = ("OPENAI", "SPEACHES", "KOKORO_FASTAPI", "LOCALAI")
LISTS = (
    "--languages", "--stt-models", "--stt-streaming-models", "--stt-realtime-models", "--tts-models", "--tts-streaming-models",
    "--tts-realtime-models", "--tts-voices",
)  # fmt: skip
"""Options that accept several words."""
THEIRS = frozenset(row.name for row in TABLE if row.systems == (System.WYOMING_OPENAI,))
"""Variables of wyoming_openai. The options read those that this server has; none is a setting of it."""


@dataclass(frozen=True, slots=True)
class Side:
    """The options for the transcription server, or for the speech server."""

    url: str | None = None
    key: str | None = None
    models: tuple[str, ...] = ()
    streaming: tuple[str, ...] = ()
    """Further models, which return or accept text piece by piece."""
    dialect: str | None = None
    """One of DIALECTS; None detects it."""
    voices: tuple[str, ...] = ()

    def settings(self, task: str) -> dict[str, str]:
        """Return the options as settings of this server; `task` is `STT` or `TTS`."""
        values = {
            "URL": self.url,
            "API_KEY": self.key,
            "MODELS": ",".join(dict.fromkeys((*self.streaming, *self.models))),
            "DIALECT": self.dialect and self.dialect.lower().replace("_", "-"),
        }
        values |= {"STREAMING_MODELS": ",".join(self.streaming)} if task == "STT" else {"VOICES": ",".join(self.voices)}
        return {f"{task}_UPSTREAM_{name}": value for name, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options from a command line or the environment."""

    stt: Side = Side()
    tts: Side = Side()
    upstream: str | None = None
    """URL of a server for both tasks."""
    languages: tuple[str, ...] = ()
    temperature: float | None = None
    prompt: str | None = None

    local: bool = False
    """Whether the local backends are used instead of another server."""

    def settings(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the options as settings of this server, added to an environment without wyoming_openai's own variables.

        If a server is given for one task only, the other task is disabled.
        """
        ours = {name: value for name, value in environ.items() if name not in THEIRS}
        ours |= {"OS_WYOMING_LANGUAGES": ",".join(self.languages)} if self.languages else {}
        if self.local:
            return ours
        both = self.upstream is not None or (self.stt == Side() and self.tts == Side())
        shared = {"STT_UPSTREAM_URL": self.upstream, "TTS_UPSTREAM_URL": self.upstream} if self.upstream else {}
        return {
            **ours,
            "STT_BACKENDS": "upstream" if both or self.stt != Side() else "",
            "TTS_BACKENDS": "upstream-tts" if both or self.tts != Side() else "",
            **shared,
            **self.stt.settings("STT"),
            **self.tts.settings("TTS"),
        }

    def options(self) -> TranscribeOptions:
        """Return the options of every transcription."""
        temperatures = TranscribeOptions().temperatures if self.temperature is None else (self.temperature,)
        return TranscribeOptions(temperatures=temperatures, prompt=self.prompt or None)


def joined(arguments: Sequence[str], lists: Collection[str] = LISTS) -> list[str]:
    """Join all words after an option that accepts several, up to the next option, into one argument."""
    merged: list[str] = []
    for argument in arguments:
        if len(merged) > 1 and merged[-2] in lists and not argument.startswith("-"):
            merged[-1] = f"{merged[-1]} {argument}"
        else:
            merged.append(argument)
    return merged
