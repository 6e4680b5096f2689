"""The configuration of Kokoro-82M v1.0: its vocabulary, and the sizes of its layers, which torch needs to open the original weights.

`kokoro_config.json` has the values of `config.json` in the repository hexgrad/Kokoro-82M, which is under the Apache license 2.0.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


@functools.cache
def config() -> dict[str, Any]:
    """Return the whole configuration, as the package `kokoro` expects it."""
    found: dict[str, Any] = json.loads(resources.files("runners.support").joinpath("kokoro_config.json").read_text(encoding="utf-8"))
    return found


def vocabulary() -> Mapping[str, int]:
    """Return the number of each sign that the model was trained on: phonemes, stress marks, punctuation and the space."""
    numbers: dict[str, int] = config()["vocab"]
    return numbers


def known(phonemes: str) -> str:
    """Return the phonemes that are in the vocabulary, in order."""
    return "".join(sign for sign in phonemes if sign in vocabulary())
