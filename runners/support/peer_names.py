"""Conversion between our names of models and voices and those of another server. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from open_speech.registry import OPENAI_VOICES

_NOT_OURS = re.compile(r"[^A-Za-z0-9._-]+")
_LEADING = re.compile(r"^[^A-Za-z0-9]+")


def id_of(prefix: str, name: str) -> str:
    """Return our id of a model: `prefix` and the last two parts of its name, with `-` for characters that are not allowed in an id."""
    parts = [_LEADING.sub("", _NOT_OURS.sub("-", part)) for part in name.split("/")]
    return prefix + "/".join([part for part in parts if part][-2:])


def name_of(prefix: str, model_id: str, known: Iterable[str]) -> str:
    """Return the server's name of a model, from its known names; for an unknown model, the id without `prefix`."""
    return next((name for name in known if id_of(prefix, name) == model_id), model_id.removeprefix(prefix))


def voice_of(name: str, known: Sequence[str]) -> str:
    """Return the server's name of a voice: its first voice for one of OpenAI's names that it does not have, as for all our models.

    The front converts such a name once the voices of the server are known; a request may arrive earlier.
    """
    return known[0] if known and name in OPENAI_VOICES and name not in known else name
