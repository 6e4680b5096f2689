"""The checks of a request that a model's entry in the catalog answers, made once before any backend is called. Pure.

What only a loaded model knows, its backend checks: the speakers of a voice, the syntax of a blend, the languages of a model outside the
catalog, and everything about the models of an upstream server, which decides for itself.
"""

from __future__ import annotations

import difflib
import re

from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions, TranscribeOptions
from open_speech.dispatch.frames import SpeakCall, TranscribeCall
from open_speech.errors import NothingToSpeak, OutOfRange, UnknownVoice, UnsupportedLanguage, UnsupportedValue
from open_speech.languages import language_code, language_name
from open_speech.registry import Registry
from open_speech.text.cleanup import says_something

_WEIGHT = re.compile(r"\([^()]*\)\Z")
_MOST_SHOWN = 100
"""Characters of a client's value that are repeated in an error."""


def check_call(registry: Registry, call: TranscribeCall | SpeakCall) -> None:
    """Check a call against the entry of its model. Raises UnknownModel, NotInstalled, and what the other checks raise."""
    if isinstance(call, SpeakCall):
        text, spoken = call.unpack()
        entry = registry.find(registry.part(call.model, spoken))
        check_speech(registry.backends[entry.backend], entry, text, spoken)
    else:
        entry = registry.find(call.model)
        check_transcription(registry.backends[entry.backend], entry, call.unpack()[1])


def check_transcription(backend: BackendEntry, model: ModelEntry, options: TranscribeOptions) -> None:
    """Check the options of a transcription against the entry of the model.

    Raises UnsupportedLanguage (`language`, or `languages` if none of them is supported) and UnsupportedValue (`task` for a translation,
    `timestamp_granularities` for word timestamps).
    """
    if options.task == "translate" and not model.translates:
        raise UnsupportedValue(f"The model `{model.id}` does not translate.", param="task")
    if backend.prefix:
        return
    field, wanted = ("language", (options.language,)) if options.language else ("languages", options.languages)
    if wanted and model.languages and not any(_code(value) in model.languages for value in wanted):
        names = ", ".join(f"`{value[:_MOST_SHOWN]}`" for value in wanted)
        raise UnsupportedLanguage(f"The model `{model.id}` supports {_known(model)}, not {names}.", param=field)
    if options.word_times and not model.word_times:
        raise UnsupportedValue(f"The model `{model.id}` does not provide word timestamps.", param="timestamp_granularities")


def check_speech(backend: BackendEntry, model: ModelEntry, text: str, options: SpeechOptions) -> None:
    """Check a piece of text and its options against the entries of the backend and the model.

    Raises UnknownVoice (`voice`), UnsupportedLanguage (`language`), OutOfRange (`speed`) and NothingToSpeak (`input`).
    """
    if not backend.prefix:
        if options.reference is None and options.design is None:
            _check_voice(model, options.voice)
        if options.language and model.languages and _code(options.language) not in model.languages:
            message = f"The model `{model.id}` speaks {_known(model)}, not `{options.language[:_MOST_SHOWN]}`."
            raise UnsupportedLanguage(message, param="language")
    low, high = backend.speed_range
    if not low <= options.speed <= high:
        told = f"supports a `speed` from {low} to {high}" if low < high else "does not support `speed`"
        raise OutOfRange(f"The model `{model.id}` {told}.", param="speed")
    if not says_something(text):
        raise NothingToSpeak("The text contains nothing that can be spoken.", param="input")


def _check_voice(model: ModelEntry, voice: str) -> None:
    """Check the voice, or every voice of a blend; what follows `#` is the number or name of a speaker, which the backend checks."""
    known = {voice.id.lower() for voice in model.voices} | {name.lower() for voice in model.voices for name in voice.speakers}
    if not known or voice.lower() in known:
        return
    for part in voice.split("+"):
        name = _WEIGHT.sub("", part.partition("#")[0].strip())
        if name.lower() not in known:
            ids = [voice.id for voice in model.voices]
            near = ", ".join(difflib.get_close_matches(name[:_MOST_SHOWN], ids, n=3) or ids[:3])
            raise UnknownVoice(f"The model `{model.id}` has no voice `{name[:_MOST_SHOWN]}`. Nearest: {near}.", param="voice")


def _code(language: str) -> str:
    """Return the code of a language: as the catalog writes it if it is known, else the tag without its region."""
    return language_code(language) or language.lower().replace("_", "-").partition("-")[0]


def _known(model: ModelEntry) -> str:
    """Return the languages of a model in words: one by its name, few by their codes, many by their number."""
    if len(model.languages) == 1:
        return f"{language_name(model.languages[0]).title()} only"
    return ", ".join(model.languages) if len(model.languages) <= 8 else f"{len(model.languages)} languages"  # noqa: PLR2004 - as many as fit
