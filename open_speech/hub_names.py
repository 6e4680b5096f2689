"""Names of models on the Hugging Face hub that no catalog lists: repositories, and single GGUF files in them. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

QUANTIZATION = "Q4_K_M"
"""The file of a repository of GGUF files that is used if a name does not say which."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_GGUF = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/(?P<name>[\w.-]+?)-GGUF)(?::(?P<quantization>\w+))?", re.ASCII | re.IGNORECASE)
_UNUSUAL = re.compile(r"[^\w.-]+", re.ASCII)
_GGUF_FILE = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/(?P<file>[A-Za-z0-9][\w.-]*\.gguf)", re.ASCII)


def is_repository(name: str) -> bool:
    """Return whether a name may be that of a repository: `owner/name`."""
    return _REPOSITORY.fullmatch(name) is not None and ".." not in name


def gguf_id(name: str) -> str:
    """Return the model id of a GGUF file: `owner/repository/file.gguf`; any other name is returned unchanged.

    `owner/name-GGUF` and `owner/name-GGUF:Q8_0` mean the file `name-Q8_0.gguf`, as the usual publishers of such repositories name them.
    """
    if ".." not in name and (found := _GGUF.fullmatch(name)):
        return f"{found['repo']}/{found['name']}-{found['quantization'] or QUANTIZATION}.gguf"
    return name


def gguf_file(name: str) -> tuple[str, str] | None:
    """Return the repository and the file of the id of a GGUF file; None if it is none."""
    found = _GGUF_FILE.fullmatch(name)
    return (found["repo"], found["file"]) if found and ".." not in name else None


def local_id(path: str) -> str:
    """Return the model id of a GGUF file that a setting names by its path; empty if the setting is no path."""
    return (
        f"local/{_UNUSUAL.sub('-', PurePosixPath(path).stem).strip('-.') or 'model'}"
        if path.endswith(".gguf") and path[:1] in ("/", ".", "~")
        else ""
    )
