"""Upload requests in every form that clients use -> fields and media."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from open_speech.errors import InvalidRequest, InvalidValue, MissingField, UploadTooLarge
from open_speech.http.json_bodies import json_body

_FD = Path("/dev/fd")
_FILES_OF_ONE = 16
"""Maximum number of files in a request that needs one; the others are ignored."""
_FIELD_BYTES = 4 << 20
"""Maximum size of a field other than a file, which is held in memory; the longest is a data URL with ten seconds of a known speaker."""
_FIELDS_BYTES = 17 << 20
"""Maximum size of all these fields together: four known speakers and the rest."""
DEPLOYMENT = "deployment"
"""Path parameter that names the model in Azure's paths; it has priority over a field `model`."""
_NESTED = re.compile(r"(\w+)\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Media:
    """One media file of a request."""

    filename: str
    source: bytes | Path
    """A path is valid only while the form of the request is open."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The fields of an upload request, including those in its URL, and its media file."""

    fields: dict[str, Any]
    source: bytes | Path
    """A path is valid only within the block of `read_upload`."""


@asynccontextmanager
async def read_upload(request: Request, *names: str) -> AsyncIterator[Upload]:
    """Read a multipart form with a file in one of the parts `names` (`file`), or JSON with base64 audio in `input_audio.data`.

    Raises MissingField, InvalidValue or InvalidRequest.
    """
    if _content_type(request) == "application/json":
        async with json_body(request) as (body, audio):
            yield _from_json(request, body, audio)
        return
    async with _form(request, max_files=_FILES_OF_ONE) as form:
        file = next((form[name] for name in names or ("file",) if name in form), None)
        yield Upload(_fields(request, form), await _source(file))


@asynccontextmanager
async def read_uploads(request: Request, limit: int) -> AsyncIterator[tuple[dict[str, Any], list[Media]]]:
    """Read the fields and the files of a multipart form, at most `limit` of them, in parts named `file`, `files` or either with `[]`.

    Raises MissingField, InvalidValue or InvalidRequest.
    """
    # One file more than the limit is accepted here, so that the error can name the field.
    async with _form(request, max_files=limit + 1) as form:
        files = [value for name, value in form.multi_items() if name in ("file", "files", "file[]", "files[]")]
        if not files:
            raise MissingField("The required parameter `file` is missing.", param="file")
        if len(files) > limit:
            raise InvalidValue(f"At most {limit} files can be sent at once.", param="file")
        names = [file.filename or "" if isinstance(file, UploadFile) else "" for file in files]
        yield _fields(request, form), [Media(name, await _source(file)) for name, file in zip(names, files, strict=True)]


async def read_sample(request: Request, name: str, *, max_bytes: int) -> tuple[dict[str, Any], bytes | None]:
    """Read the fields of a multipart form and the file in its part `name`; None if there is no file.

    Raises InvalidRequest, or UploadTooLarge naming the part.
    """
    async with _form(request, max_files=_FILES_OF_ONE, part=name) as form:
        file = form.get(name)
        if not isinstance(file, UploadFile):
            return _fields(request, form), None
        if (file.size or 0) > max_bytes:
            raise UploadTooLarge(f"`{name}` has {file.size} bytes; the limit is {max_bytes}.", param=name)
        return _fields(request, form), await file.read()


def form_schema(model: type[BaseModel], name: str, *, required: bool = True) -> dict[str, Any]:
    """Return the OpenAPI description of the form that `read_sample` reads."""
    fields = model.model_json_schema()
    form = {**fields, "properties": {**fields["properties"], name: {"type": "string", "format": "binary"}}}
    form["required"] = [*fields.get("required", []), *([name] if required else [])]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@asynccontextmanager
async def _form(request: Request, *, max_files: int, part: str = "file") -> AsyncIterator[FormData]:
    if _content_type(request) != "multipart/form-data":
        raise InvalidRequest(f"Send the audio as `multipart/form-data`, with the media file in the part `{part}`.")
    try:
        async with aclosing(request.stream()) as stream:
            parser = _Parser(request.headers, stream, max_files=max_files, max_part_size=_FIELD_BYTES)
            form = await parser.parse()
    except MultiPartException as problem:
        raise InvalidRequest(problem.message) from None
    try:
        yield form
    finally:
        await form.close()


class _Parser(MultiPartParser):
    """A parser that also limits the total size of fields; files are on disk."""

    _fields_bytes = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Receive a chunk of a part. Raises MultiPartException."""
        if self._current_part.file is None:
            self._fields_bytes += end - start
            if self._fields_bytes > _FIELDS_BYTES:
                raise MultiPartException(f"The fields of the form have more than {_FIELDS_BYTES} bytes, files not counted.")
        super().on_part_data(data, start, end)


def _fields(request: Request, form: FormData) -> dict[str, Any]:
    sent = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return fields_of(request.query_params.multi_items()) | fields_of(sent) | _deployment(request)


def _deployment(request: Request) -> dict[str, str]:
    return {"model": request.path_params[DEPLOYMENT]} if DEPLOYMENT in request.path_params else {}


def fields_of(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Collect form fields: `name[]` or a repeated `name` becomes a list, `name[key]` an object; empty values are dropped."""
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
    # Starlette stores a large part in an unnamed file on disk. The path of its descriptor avoids a copy. Reading the descriptor of a small
    # part would write it to disk.
    if (file.size or 0) > MultiPartParser.spool_max_size and _FD.exists():
        return _FD / str(file.file.fileno())
    return await file.read()


def _from_json(request: Request, body: dict[str, Any], source: bytes | Path | None) -> Upload:
    if source is None:
        raise MissingField("The required parameter `input_audio.data` is missing.", param="input_audio")
    fields = {name: value for name, value in body.items() if name != "input_audio"}
    return Upload(fields_of(request.query_params.multi_items()) | fields | _deployment(request), source)
