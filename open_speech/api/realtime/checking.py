"""Validation of client data: a value, or an error that names the field by its whole path. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from open_speech.errors import InvalidRequest, InvalidValue, MissingField

V = TypeVar("V", bound="Value")

NAME_CHARS = 64
"""Maximum characters of a name in a path; a client may have chosen a longer one."""


class Value(BaseModel):
    """A part of a client's message: types are checked strictly, unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class StrictValue(Value):
    """A part of a client's message that may have no unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class UnknownParameter(InvalidRequest):
    """A field that does not exist in this version of the protocol."""

    code = "unknown_parameter"


def checked(kind: type[V], data: object, path: str = "") -> V:
    """Build a value from the client's data under `path`. Raises subclasses of InvalidRequest with the whole path as `param`."""
    if not isinstance(data, Mapping):
        raise InvalidValue(f"`{path}` must be a JSON object.", param=path)
    try:
        return kind.model_validate(dict(data))
    except ValidationError as invalid:
        # If a field may have several shapes, the client most likely meant the one whose error is deepest.
        problem = max(invalid.errors(include_url=False, include_input=False), key=lambda problem: len(problem["loc"]))
    tag = ("type",) if problem["type"].startswith("union_tag") else ()
    param = _joined(path, (*problem["loc"], *tag), data)
    if problem["type"] in ("missing", "union_tag_not_found"):
        raise MissingField(f"The required parameter `{param}` is missing.", param=param)
    if problem["type"] == "extra_forbidden":
        raise UnknownParameter(f"Unknown parameter: `{param}`.", param=param)
    raise InvalidValue(f"The value of `{param}` is not valid: {problem['msg'].removeprefix('Value error, ')}.", param=param)


def _joined(path: str, parts: Sequence[int | str], data: object) -> str:
    """Format a path with dots and brackets, without the names that pydantic adds for the branches of a union."""
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if isinstance(part, int):
            path = f"{path}[{part}]"
        elif isinstance(data, Mapping) and (part in data or (is_last and _is_name(part))):
            path = f"{path}.{part[:NAME_CHARS]}" if path else part[:NAME_CHARS]
        else:
            continue
        data = _inner(data, part)
    return path


def _inner(data: object, part: int | str) -> object:
    if isinstance(data, Mapping):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _is_name(part: str) -> bool:
    return part.isidentifier() and part not in ("str", "int", "float", "bool", "dict", "list")
