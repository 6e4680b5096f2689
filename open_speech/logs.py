"""Log lines of every process in one format, text or JSON, each with the request that it belongs to.

No log line of this project above `debug` contains speech or text of a user, and none contains a key. Error responses of other servers are
quoted.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Fields = Callable[[], Mapping[str, Any]]
"""Returns additional fields of a log line; called for each line."""

_OWN = frozenset(vars(logging.makeLogRecord({})))
"""Attributes of a record that are set by the logging package; all others were passed in `extra`."""


@dataclass(slots=True)
class RequestContext:
    """The request or live session that the current code works for."""

    id: str
    door: str = ""
    key: str = ""
    """Name of the API key of the request, never the key."""
    model: str = ""
    failed: Callable[[str], None] | None = None
    """Counts the errors that are sent to the client, by code."""
    answered_by: tuple[str, ...] = ()
    """Models whose output is in the response, in the order of their first output."""


_NONE = RequestContext("")
_context: ContextVar[RequestContext] = ContextVar("request", default=_NONE)


def context() -> RequestContext | None:
    """Return the current request context, if there is one. A task or `asyncio.to_thread` has the context of the code that started it."""
    found = _context.get()
    return None if found is _NONE else found


@contextmanager
def on(new: RequestContext) -> Iterator[RequestContext]:
    """Set the request context for the block and the tasks that it starts: their log lines name it."""
    token = _context.set(new)
    try:
        yield new
    finally:
        _context.reset(token)


def note_model(model: str) -> None:
    """Record the model that the request uses."""
    if (found := context()) is not None:
        found.model = model


def note_answer(model: str) -> None:
    """Record that the response contains output of a model: that of the request, or a fallback model."""
    if (found := context()) is not None:
        found.model = model
        if model not in found.answered_by:
            found.answered_by = (*found.answered_by, model)


def note_key(name: str | None) -> None:
    """Record the name of the API key of the request."""
    if (found := context()) is not None:
        found.key = name or ""


def note_error(code: str | None) -> None:
    """Count an error that is sent to the client."""
    if (found := context()) is not None and found.failed is not None:
        found.failed(code or "server_error")


def note_event(event: Mapping[str, Any]) -> None:
    """Count an event that is sent to the client of a session, if it reports an error."""
    if event.get("type") == "error" and isinstance(error := event.get("error"), Mapping):
        note_error(error.get("code") or error.get("type"))


def install(form: str, level: str, *, fields: Fields = dict, foreign: tuple[str, ...] = ()) -> None:
    """Write all log lines of this process to stdout; `form` is `text` or `json`. Safe to call again.

    Lines of this project are written from `level` on, those of other packages from `warning` on. `foreign` names loggers that other
    packages have configured: their handlers are removed, and their levels are kept.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter(form, fields))
    logging.getLogger().handlers = [handler]
    for name in ("open_speech", *foreign):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.getLogger("open_speech").setLevel(level.upper())


def formatter(form: str, fields: Fields = dict) -> logging.Formatter:
    """Return the formatter for `text` or `json`."""
    return JsonLines(fields) if form == "json" else TextLines(fields)


def _fields_of(fields: Fields, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a log line besides its message, without empty ones."""
    current = context()
    request_fields = {} if current is None else {"request_id": current.id, "door": current.door, "key": current.key, "model": current.model}
    return {name: value for name, value in {**request_fields, **fields(), **extra}.items() if value not in ("", None)}


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, fields of the request, and the traceback of an exception."""

    def __init__(self, fields: Fields = dict) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        extra = {name: value for name, value in vars(record).items() if name not in _OWN}
        line = {
            "time": _moment(record.created, record.msecs),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(self._fields, extra),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # ASCII only: text of a client cannot break a line in two


class TextLines(logging.Formatter):
    """One readable line, with the fields of the request at its end. Fields in `extra` are left out: the message contains them."""

    def __init__(self, fields: Fields = dict) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; a traceback follows on separate lines."""
        fields = _fields_of(self._fields, {})
        service = fields.pop("service", "")
        head = f"{_moment(record.created, record.msecs)} [{record.levelname}] [{service}] {record.getMessage()}"
        if fields:
            head += " (" + " ".join(f"{name}={value}" for name, value in fields.items()) + ")"
        return f"{head}\n{self.formatException(record.exc_info)}" if record.exc_info else head


def _moment(created: float, milliseconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(created))}.{int(milliseconds):03d}Z"
