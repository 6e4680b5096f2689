"""The parser of a model index: TOML -> checked tables, with an error per field in words. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from open_speech.model_indexes.schema import RULES, IndexFile
from open_speech.model_indexes.values import MAX_BYTES, IndexRefused

_SHOWN = 20
"""Number of faults that an error names; it counts the others."""
_WORDS = dict(RULES.values())
_TAGS = frozenset({"hub", "urls", "archives"})


def parse(content: bytes) -> IndexFile:
    """Parse an index. Raises IndexRefused that names each faulty row and field."""
    if len(content) > MAX_BYTES:
        raise IndexRefused(f"The index is larger than {MAX_BYTES} bytes.")
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise IndexRefused(f"The index is not TOML in UTF-8: {error}.") from error
    try:
        return IndexFile.model_validate(table)
    except ValidationError as invalid:
        raise refusal([_fault(error, table) for error in invalid.errors(include_url=False)]) from invalid


def refusal(faults: Sequence[str]) -> IndexRefused:
    """Return the error for an index with faults."""
    more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    return IndexRefused("The index is invalid:\n" + "\n".join([*faults[:_SHOWN], *more]))


def row_name(number: int, model_id: object) -> str:
    """Name a row in an error, by its number from 1 and its id."""
    # The id may be invalid itself: it is shown only if it cannot disturb a terminal.
    shown = f" (`{model_id}`)" if isinstance(model_id, str) and model_id.isprintable() and len(model_id) <= 128 else ""
    return f"model {number}{shown}"


def _fault(error: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Return one fault as a line: the row, the field and the reason."""
    path = list(error["loc"])
    row = ""
    if path[:1] == ["model"] and len(path) > 1:
        rows = table.get("model")
        number = path[1]
        model = rows[number] if isinstance(rows, list) else {}
        row = row_name(number + 1, model.get("id") if isinstance(model, dict) else None) + ": "
        path = path[2:]
    field = "".join(_steps(path)).removeprefix(".")
    return f"{row}`{field}` {_reason(error)}" if field else f"{row}{_reason(error)}"


def _steps(path: Sequence[Any]) -> Iterator[str]:
    for number, step in enumerate(path):
        if isinstance(step, int):
            yield f"[{step + 1}]"
        elif step == "[key]":
            yield " (the key)"
        elif not (step in _TAGS and number and isinstance(path[number - 1], int)):  # pydantic adds the kind of a source after its number
            yield f".{step}" if re.fullmatch(r"\w+", step, re.ASCII) else f".{json.dumps(step)}"


def _reason(error: Mapping[str, Any]) -> str:
    """Return the reason of one fault, as a verb phrase."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a field of this table"
        case "string_pattern_mismatch":
            return f"must be {_WORDS[context['pattern']]}"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_type":
            return "must be a string"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_too_short":
            return f"must have at least {context['min_length']} characters"
        case "no_source":
            return str(error["msg"])
    return f"is invalid: {error['msg'][:1].lower()}{error['msg'][1:]}"
