"""The voice of a language: which model of the server speaks it, and in which voice."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.backends import ModelEntry, Task
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import SpeechError
from open_speech.languages import LANGUAGES, language_code
from open_speech.synthesis.other_models import installed


@dataclass(frozen=True, slots=True)
class LanguageVoice:
    """A voice that speaks a language."""

    model: str
    voice: str | None = None
    """None: the voice of the model for all languages."""
    language: str | None = None
    """The language of the request; None if the voice has only one."""


async def language_voices(pool: RunnerPool, model: str = "") -> dict[str, LanguageVoice]:
    """Return a voice for each language that the server speaks, by ISO 639-1 code; takes 2 seconds at most.

    `model` is preferred, then the default model, then the other models whose files are on this machine. The default voice is used for its
    own language. Voices whose language needs packages that are not installed are left out.
    """
    registry = pool.registry
    found: dict[str, LanguageVoice] = {}
    try:
        first = registry.find(model or registry.defaults.tts_model, Task.TTS)
        pool.permit(first)
    except SpeechError:
        return found
    for entry in (first, *await installed(pool, first)):
        default = registry.voice(entry, None) if entry.voices else ""
        for code, voice in voices_of(entry, default).items():
            found.setdefault(code, voice)
    return found


def voices_of(entry: ModelEntry, default: str) -> dict[str, LanguageVoice]:
    """Return a voice of one model for each of its languages: the voice `default` for its own language, else the first in the list."""
    if not entry.voices:
        # A model without any list is that of another server: it speaks what that server's model does.
        return {code: LanguageVoice(entry.id, language=code) for code in entry.languages or LANGUAGES}
    found: dict[str, LanguageVoice] = {}
    for voice in sorted(entry.voices, key=lambda voice: voice.id != default):
        code = language_code(voice.language)
        if code is not None and not voice.needs:
            found.setdefault(code, LanguageVoice(entry.id, voice.id))
    return found
