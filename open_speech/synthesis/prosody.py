"""Resolves the prosody of each step of a text: the voice and speed of the request, and those that the text itself requests. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions
from open_speech.errors import OutOfRange, UnsupportedLanguage
from open_speech.text.steps import Say

MIN_SPEED, MAX_SPEED = 0.25, 4.0
Rewrite = Callable[[str, str], str]
"""A sentence and its language (a BCP-47 tag, empty when unknown) -> the sentence as it is to be spoken."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """The voice, speed, volume and language of a step of text."""

    options: SpeechOptions
    stretch: float = 1.0
    """Speed factor beyond the range of the engine, applied to its audio."""
    gain: float = 1.0
    """Factor for the samples."""
    say: Callable[[str], str] = str
    """Rewrites a sentence to its spoken form."""
    language: str = ""
    """BCP-47 tag of the text; empty when unknown."""
    model: str = ""
    """Id of the model that speaks the text; empty for the model of the request."""


class ProsodyResolver:
    """Resolves the prosody of each step of one request."""

    def __init__(
        self,
        entry: ModelEntry,
        backend: BackendEntry,
        options: SpeechOptions,
        *,
        voice: Callable[[str], str],
        rewrite: Rewrite,
        other: Callable[[str], ProsodyResolver] | None = None,
    ) -> None:
        """`options` are those of the request, with a speed that may exceed the range of the engine; `voice` resolves a voice name.

        `other` returns the resolver of another model, for text that is handed over to it.

        Raises OutOfRange naming `speed`.
        """
        if not MIN_SPEED <= options.speed <= MAX_SPEED:
            raise OutOfRange(f"speed must be between {MIN_SPEED} and {MAX_SPEED}.", param="speed")
        self._entry = entry
        self._speed_range = backend.speed_range
        self._is_phonemic = backend.phonemes
        self._options = options
        self._voice = voice
        self._rewrite = rewrite
        self._other = other

    @property
    def language(self) -> str:
        """The language of text without a language of its own, as a BCP-47 tag; empty when unknown."""
        return self._options.language or self._language_of(self._options.voice)

    def resolve(self, step: Say) -> Prosody:
        """Return the prosody of one step. Raises UnknownVoice, and UnsupportedLanguage naming `input`."""
        if step.model:
            assert self._other is not None
            return replace(self._other(step.model).resolve(replace(step, model="")), model=step.model)
        options = self._options
        if step.voice is not None:
            options = replace(options, voice=self._voice(step.voice), reference=None, design=None)
        own = self._language_of(options.voice)
        if step.language is not None and (options.language or _primary(step.language) != _primary(own)):
            options = replace(options, language=self._checked(step.language))
        target = min(max(options.speed * step.speed, MIN_SPEED), MAX_SPEED)
        low, high = self._speed_range
        speed = min(max(target, low), high)
        language = step.language or options.language or own
        return Prosody(
            replace(options, speed=speed), target / speed, 10 ** (step.volume_db / 20), lambda text: self._rewrite(text, language), language
        )

    def speaker(self, step: Say) -> tuple[str, str]:
        """Return the voice of a step and the language that it reads; the language is empty for a backend that reads every script.

        Raises UnknownVoice.
        """
        voice = self._options.voice if step.voice is None else self._voice(step.voice)
        return voice, (step.language or self._options.language or self._language_of(voice)) if self._is_phonemic else ""

    def _language_of(self, voice: str) -> str:
        """Return the default language of a voice; a blend has that of its first voice."""
        names = (voice, voice.partition("#")[0], voice.partition("+")[0].partition("(")[0])
        known = {known.id: known.language for known in self._entry.voices}
        only = self._entry.languages[0] if len(self._entry.languages) == 1 else ""
        return next((known[name] for name in names if name in known), only)

    def _checked(self, language: str) -> str:
        if self._entry.languages and _primary(language) not in self._entry.languages:
            raise UnsupportedLanguage(f"The model `{self._entry.id}` does not speak `{language[:40]}`, as the text asks.", param="input")
        return language


def _primary(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]
