"""What models and voices of somebody else's server are called here, and there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from open_speech.registry import OPENAI_VOICES

_NOT_OURS = re.compile(r"[^A-Za-z0-9._-]+")
_LEADING = re.compile(r"^[^A-Za-z0-9]+")


def id_of(prefix: str, name: str) -> str:
    """Make a model's id: `upstream/` and the name; of a path only the last two parts, and `-` for signs that no id of ours may have."""
    parts = [_LEADING.sub("", _NOT_OURS.sub("-", part)) for part in name.split("/")]
    return prefix + "/".join([part for part in parts if part][-2:])


def name_of(prefix: str, model_id: str, known: Iterable[str]) -> str:
    """Find the server's own name of a model among those that it is known to have; one that is not known is called what the id says."""
    return next((name for name in known if id_of(prefix, name) == model_id), model_id.removeprefix(prefix))


def voice_of(name: str, known: Sequence[str]) -> str:
    """Say a voice as the server knows it: one of OpenAI's names that it has not is its first voice, as everywhere else here.

    The front turns such a name into a voice once it knows what the server has; a request may come before.
    """
    return known[0] if known and name in OPENAI_VOICES and name not in known else name
