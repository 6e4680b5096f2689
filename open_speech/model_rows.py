"""The reader of the `[[model]]` tables in TOML files, in which the server and other packages list the models of a backend.

The top-level keys of a file are the defaults of every `[[model]]` in it. docs/backends.md describes the keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.model_files import Archive, ArchiveSource, HubSource, Source, UrlSource, WeightFile


def read_models(path: Path) -> tuple[ModelEntry, ...]:
    """Read the models of one file. Raises TypeError, KeyError or ValueError if a row is invalid."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = table.pop("model")
    return tuple(_model({**table, **row}) for row in rows)


def _model(row: dict[str, Any]) -> ModelEntry:
    """Build one entry. Raises TypeError for a key that ModelEntry does not have, so that a misspelled key is not ignored.

    The parts of a row inherit its values unless they override them. The files belong to the parts; the row has the abilities of all parts.
    """
    aliases, stop = tuple(row.pop("aliases", ())), tuple(row.pop("stop", ()))
    parts = tuple(_model({**row, **part}) for part in row.pop("part", ()))
    if parts:
        del row["file"]
        row |= {ability: any(getattr(part, ability) for part in parts) for ability in ("clones", "designs", "instructs")}
    sources = tuple(_source(source) for source in row.pop("source", ()))
    files = tuple(WeightFile(**file) for file in row.pop("file", ()))
    voices = tuple(Voice(**{**voice, "speakers": tuple(voice.get("speakers", ()))}) for voice in row.pop("voice", ()))
    languages = (*row.pop("languages"), *row.pop("more_languages", ()))
    return ModelEntry(
        task=Task(row.pop("task")),
        languages=languages,
        voices=voices,
        files=files,
        sources=sources,
        aliases=aliases,
        stop=stop,
        parts=parts,
        **row,
    )


def _source(row: Mapping[str, Any]) -> Source:
    """Build one source; its first key determines its type."""
    match row:
        case {"hub": repo, **rest}:
            return HubSource(repo, **rest)
        case {"urls": urls}:
            return UrlSource(urls)
        case {"archives": archives, "members": members}:
            joined = {path: tuple((index, name) for index, name in parts) for path, parts in members.items()}
            return ArchiveSource(tuple(Archive(**archive) for archive in archives), joined)
        case _:
            raise ValueError(f"a source needs `hub`, `urls`, or `archives` with `members`: {dict(row)}")
