"""GGUF files that tests write byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

_FORMATS = {"u32": (4, "I"), "i32": (5, "i"), "f32": (6, "f"), "bool": (7, "?"), "u64": (10, "Q")}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind: str, content: Any) -> bytes:
    """Write a value with its type; `kind` is `str`, a name of _FORMATS, or that of the items of an array in brackets."""
    if kind == "str":
        return struct.pack("<I", 8) + text(content)
    if kind == "[str]":
        return struct.pack("<IIQ", 9, 8, len(content)) + b"".join(map(text, content))
    number, form = _FORMATS[kind.strip("[]")]
    if kind.startswith("["):
        return struct.pack("<IIQ", 9, number, len(content)) + struct.pack(f"<{len(content)}{form}", *content)
    return struct.pack(f"<I{form}", number, content)


def tensor(name: str, sizes: Sequence[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def gguf(
    values: Mapping[str, tuple[str, Any]], tensors: Sequence[bytes] = (), *, data: int = 0, version: int = 3, order: str = "<"
) -> bytes:
    """Write a file: its metadata (name -> type and value), the descriptions of its tensors, and `data` bytes of them."""
    header = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(values))
    header += b"".join(text(name) + value(*content) for name, content in values.items()) + b"".join(tensors)
    return header + b"\0" * (-len(header) % 32) + b"\1" * data


ATTENTION: Mapping[str, tuple[str, Any]] = {
    "general.architecture": ("str", "gemma3"),
    "gemma3.block_count": ("u32", 18),
    "gemma3.embedding_length": ("u32", 640),
    "gemma3.attention.head_count": ("u32", 4),
    "gemma3.attention.head_count_kv": ("u32", 1),
    "gemma3.attention.key_length": ("u32", 256),
    "gemma3.attention.value_length": ("u32", 256),
}
"""The metadata of Gemma 3 270M that decides how much memory a context takes."""
