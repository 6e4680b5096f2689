"""Model indexes for tests, as Python values and as TOML."""

from __future__ import annotations

import copy
import json
from typing import Any

VALID: dict[str, Any] = {
    "format": 1,
    "name": "acme",
    "revision": 3,
    "description": "Voices of Acme.",
    "homepage": "https://acme.example/voices",
    "model": [
        {
            "id": "acme/ann",
            "backend": "piper",
            "task": "text-to-speech",
            "licence": "CC0-1.0",
            "languages": ["de", "en"],
            "description": "Ann, two languages.",
            "aliases": ["acme-ann"],
            "sample_rate": 22050,
            "default_voice": "ann",
            "voice": [{"id": "ann", "language": "de-DE", "name": "Änn", "gender": "female", "speakers": ["0", "1"]}],
            "file": [
                {"path": "ann.onnx", "sha256": "a" * 64, "size": 63201294},
                {"path": "data/ann.onnx.json", "sha256": "b" * 64, "size": 4794},
            ],
            "source": [
                {"urls": {"ann.onnx": "https://acme.example/ann.onnx", "data/ann.onnx.json": "https://acme.example/ann.json"}},
                {"hub": "acme/voices", "revision": "v1.0", "paths": {"ann.onnx": "voices/ann.onnx"}},
                {
                    "archives": [{"project": "acme", "version": "1.0+a", "filename": "acme-1.0-py3-none-any.whl", "sha256": "c" * 64}],
                    "members": {"ann.onnx": [[0, "acme/ann.onnx"]], "data/ann.onnx.json": [[0, "acme/ann.json"]]},
                },
            ],
        },
        {
            "id": "acme/listen",
            "backend": "tones-stt",
            "task": "speech-to-text",
            "licence": "MIT",
            "languages": ["en"],
            "description": "Tones.",
            "word_times": True,
        },
    ],
}
"""An index that is valid on a machine with Piper."""


def changed(path: tuple[str | int, ...], value: Any = None, *, base: dict[str, Any] = VALID) -> dict[str, Any]:
    """Return an index with one value replaced; without a value, the key is removed."""
    table = copy.deepcopy(base)
    *parents, last = path
    node: Any = table
    for step in parents:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return table


def toml(table: dict[str, Any]) -> bytes:
    """Write a table as TOML: nested tables become inline tables."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items()).encode()


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else json.dumps(value)
