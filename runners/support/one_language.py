"""The check of a request's language against a model with a single language. Pure."""

from __future__ import annotations

from open_speech.backends import ModelEntry, TranscribeOptions
from open_speech.errors import UnsupportedLanguage
from open_speech.languages import language_code, language_name


def settle(options: TranscribeOptions, model: ModelEntry) -> str:
    """Return the model's one language. Raises UnsupportedLanguage, with `language` or `languages`, if the request excludes it."""
    (known,) = model.languages
    field, wanted = ("language", (options.language,)) if options.language else ("languages", options.languages)
    if wanted and known not in [language_code(value) for value in wanted]:
        names = ", ".join(f"`{value}`" for value in wanted)
        raise UnsupportedLanguage(f"The model `{model.id}` supports {language_name(known).title()} only, not {names}.", param=field)
    return known
