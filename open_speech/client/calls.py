"""The requests of the REST API as values. Pure: nothing is sent here."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

Media = bytes | bytearray | str | os.PathLike[str] | BinaryIO
"""An audio or video file: its bytes, its path, or a file that is open for reading bytes."""

AUDIO = "/v1/audio"
JOBS = f"{AUDIO}/jobs"
MODELS = "/api/models"
DEFAULT_STT, DEFAULT_TTS = "whisper-1", "tts-1"
"""OpenAI's names, which are aliases of the default models of the server."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request. A path is opened again for each attempt."""

    name: str
    source: bytes | Path

    @classmethod
    def of(cls, media: Media) -> Upload:
        """Return the upload of a file; an open file is read to its end. Raises OSError."""
        if isinstance(media, (bytes, bytearray)):
            return cls("audio", bytes(media))
        if isinstance(media, (str, os.PathLike)):
            path = Path(media)
            return cls(path.name, path)
        return cls(Path(str(getattr(media, "name", "audio"))).name or "audio", media.read())


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    uploads: Sequence[Upload] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """Whether the request has the same effect when it is sent twice."""


def transcription(media: Media, fields: Mapping[str, Any], *, task: str = "transcriptions") -> Call:
    """Transcribe or translate a file. Transcribing twice has no other effect than the work."""
    return Call("POST", f"{AUDIO}/{task}", form=form(fields), uploads=[Upload.of(media)])


def speech(text: str, fields: Mapping[str, Any]) -> Call:
    """Synthesize a text."""
    return Call("POST", f"{AUDIO}/speech", json={"input": text, **_speech_fields(fields)})


def voices(model: str | None) -> Call:
    """List voices."""
    return Call("GET", f"{AUDIO}/voices", query={} if model is None else {"model": model})


def model(name: str, action: str = "", *, method: str = "GET", events: bool = False) -> Call:
    """Perform an action on a model. All of them join or repeat without harm."""
    path = f"{MODELS}/{quote(name, safe='/')}{action and f'/{action}'}"
    return Call(method, path, query={"stream": "true"} if events else {})


def transcription_job(media: Iterable[Media], fields: Mapping[str, Any]) -> Call:
    """Submit a job for each file; the key makes sure that a repeated request creates no second job."""
    rest, headers = _with_key(fields)
    return Call("POST", JOBS, form=form(rest), uploads=[Upload.of(one) for one in media], headers=headers)


def speech_job(text: str, fields: Mapping[str, Any]) -> Call:
    """Submit a job that synthesizes a text."""
    rest, headers = _with_key(fields)
    return Call("POST", JOBS, json={"type": "speech", "input": text, **_speech_fields(rest)}, headers=headers)


def jobs(filters: Mapping[str, Any]) -> Call:
    """List jobs."""
    return Call("GET", JOBS, query={name: str(value) for name, value in filters.items() if value is not None})


def job(job_id: str, action: str = "", *, method: str = "GET", query: Mapping[str, str] | None = None) -> Call:
    """Read or change a job. Cancelling and deleting are not repeated: the second request finds another state."""
    path = f"{JOBS}/{quote(job_id, safe='')}{action and f'/{action}'}"
    return Call(method, path, query=query or {}, repeatable=method == "GET")


def form(fields: Mapping[str, Any]) -> dict[str, str]:
    """Encode the fields of a form: lists and objects as JSON, None left out."""
    return {name: _field(value) for name, value in fields.items() if value is not None}


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (Mapping, Sequence)):
        return json.dumps(value if isinstance(value, Mapping) else list(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _speech_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(reference := given.get("reference_audio"), (bytes, bytearray)):
        given["reference_audio"] = base64.b64encode(reference).decode()
    return given


def _with_key(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    rest = dict(fields)
    key = rest.pop("idempotency_key", None)
    return rest, {"Idempotency-Key": str(key or uuid.uuid4())}
