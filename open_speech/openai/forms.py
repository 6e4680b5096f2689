"""An upload request, in every spelling clients use, -> its fields and its audio."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from open_speech.errors import InvalidRequest, InvalidValue, MissingField

_FD = Path("/dev/fd")
_NESTED = re.compile(r"(\w+)\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Upload:
    """The fields of an upload request, and the media file that came with it."""

    fields: dict[str, Any]
    source: bytes | Path
    """A path is good only as long as `read_upload` is open."""


@asynccontextmanager
async def read_upload(request: Request) -> AsyncIterator[Upload]:
    """Read a multipart form with a `file`, or JSON with base64 audio in `input_audio.data`.

    Raises MissingField, InvalidValue or InvalidRequest.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        yield await _from_json(request)
    elif kind == "multipart/form-data":
        async with request.form() as form:
            parts = form.multi_items()
            yield Upload(fields_of((name, value) for name, value in parts if isinstance(value, str)), await _source(form.get("file")))
    else:
        raise InvalidRequest("Send the audio as `multipart/form-data`, with the media file in the part `file`.")


def fields_of(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Gather form fields: `name[]` or a repeated `name` becomes a list, `name[key]` an object, an empty value is as good as none."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if not value.strip():
            continue
        if nested := _NESTED.fullmatch(name):
            outer = fields.setdefault(nested[1], {})
            if isinstance(outer, dict):
                outer[nested[2]] = value
        elif name.endswith("[]"):
            _append(fields, name.removesuffix("[]"), [value])
        elif name in fields:
            _append(fields, name, [value])
        else:
            fields[name] = value
    return fields


def _append(fields: dict[str, Any], name: str, values: list[str]) -> None:
    before = fields.get(name, [])
    fields[name] = [*(before if isinstance(before, list) else [before]), *values]


async def _source(file: UploadFile | str | None) -> bytes | Path:
    if file is None:
        raise MissingField("The required parameter `file` is missing.", param="file")
    if isinstance(file, str):
        raise InvalidValue("`file` must be a file: give its part a `filename`.", param="file")
    # Starlette has spooled a large part to an unnamed file on disk. Its descriptor is a path to it, which saves a copy of it all.
    # A small part must not be asked for its descriptor, as that would write it to disk.
    if (file.size or 0) > MultiPartParser.spool_max_size and _FD.exists():
        return _FD / str(file.file.fileno())
    return await file.read()


async def _from_json(request: Request) -> Upload:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise InvalidRequest("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    audio = body.get("input_audio")
    data = audio.get("data") if isinstance(audio, dict) else None
    if not isinstance(data, str):
        raise MissingField("The required parameter `input_audio.data` is missing.", param="input_audio")
    try:
        source = await asyncio.to_thread(base64.b64decode, data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue("`input_audio.data` is not base64.", param="input_audio") from None
    return Upload({name: value for name, value in body.items() if name != "input_audio"}, source)
