"""The flags and environment variables of wyoming_openai, said in our settings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from open_speech.backends import TranscribeOptions

DIALECTS = ("OPENAI", "SPEACHES", "KOKORO_FASTAPI", "LOCALAI")
LISTS = ("--languages", "--stt-models", "--stt-streaming-models", "--tts-models", "--tts-streaming-models", "--tts-voices")
"""Options that take several words."""
THEIRS = (
    "STT_OPENAI_KEY", "STT_OPENAI_URL", "STT_MODELS", "STT_STREAMING_MODELS", "STT_BACKEND", "STT_TEMPERATURE", "STT_PROMPT",
    "TTS_OPENAI_KEY", "TTS_OPENAI_URL", "TTS_MODELS", "TTS_STREAMING_MODELS", "TTS_VOICES", "TTS_BACKEND", "TTS_INSTRUCTIONS",
    "TTS_STREAMING_MIN_WORDS", "TTS_STREAMING_MAX_CHARS",
)  # fmt: skip
"""Its variables with a prefix of ours that are no settings of ours."""


@dataclass(frozen=True, slots=True)
class Side:
    """What is said of the server that transcribes, or of the one that speaks."""

    url: str | None = None
    key: str | None = None
    models: tuple[str, ...] = ()
    streaming: tuple[str, ...] = ()
    """Further models, that give their text, or take theirs, piece by piece."""
    dialect: str | None = None
    """One of DIALECTS; None finds out."""
    voices: tuple[str, ...] = ()

    def settings(self, task: str) -> dict[str, str]:
        """Say it in our settings; `task` is `STT` or `TTS`."""
        said = {
            "URL": self.url,
            "API_KEY": self.key,
            "MODELS": ",".join(dict.fromkeys((*self.streaming, *self.models))),
            "DIALECT": self.dialect and self.dialect.lower().replace("_", "-"),
        }
        said |= {"STREAMING_MODELS": ",".join(self.streaming)} if task == "STT" else {"VOICES": ",".join(self.voices)}
        return {f"{task}_UPSTREAM_{name}": value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line, or the environment, says."""

    stt: Side = Side()
    tts: Side = Side()
    upstream: str | None = None
    """A server for both."""
    languages: tuple[str, ...] = ()
    temperature: float | None = None
    prompt: str | None = None

    local: bool = False
    """No other server is asked."""

    def settings(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Say it in our settings, over an environment from which theirs are taken out.

        Who names a server for one task only gets that task only.
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
        """Say how everything is transcribed."""
        temperatures = TranscribeOptions().temperatures if self.temperature is None else (self.temperature,)
        return TranscribeOptions(temperatures=temperatures, prompt=self.prompt or None)


def joined(arguments: Sequence[str], lists: Collection[str] = LISTS) -> list[str]:
    """Make one argument of all the words that follow an option which takes several, up to the next option."""
    found: list[str] = []
    for argument in arguments:
        if len(found) > 1 and found[-2] in lists and not argument.startswith("-"):
            found[-1] = f"{found[-1]} {argument}"
        else:
            found.append(argument)
    return found
