"""Log lines of every process in one form, text or JSON, each telling which request it is about.

No line of ours above `debug` holds what somebody said or wrote, and none holds a key; what other servers answer in error is quoted.
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
"""What else every line tells, asked anew for each of them."""

_OWN = frozenset(vars(logging.makeLogRecord({})))
"""Names of a record that are the logging package's; what else a record has came in `extra`."""


@dataclass(slots=True)
class RequestContext:
    """What is being done, and for whom: a request, or a session of many."""

    id: str
    door: str = ""
    key: str = ""
    """The name of the key it came with, never the key."""
    model: str = ""
    failed: Callable[[str], None] | None = None
    """Counts the errors that its client is told, by code."""


_NOBODY = RequestContext("")
_context: ContextVar[RequestContext] = ContextVar("errand", default=_NOBODY)


def context() -> RequestContext | None:
    """Give what is being done here, if it is known; a task or `asyncio.to_thread` does what the code that began it did."""
    found = _context.get()
    return None if found is _NOBODY else found


@contextmanager
def on(new: RequestContext) -> Iterator[RequestContext]:
    """Do an errand: every line that is written in the block, and in what it begins, tells of it."""
    token = _context.set(new)
    try:
        yield new
    finally:
        _context.reset(token)


def note_model(model: str) -> None:
    """Note the model that the errand needs."""
    if (found := context()) is not None:
        found.model = model


def note_key(name: str | None) -> None:
    """Note the name of the key that the errand came with."""
    if (found := context()) is not None:
        found.key = name or ""


def note_error(code: str | None) -> None:
    """Note that the client is told of an error."""
    if (found := context()) is not None and found.failed is not None:
        found.failed(code or "server_error")


def note_event(event: Mapping[str, Any]) -> None:
    """Note an event for the client of a session, if it tells of an error."""
    if event.get("type") == "error" and isinstance(error := event.get("error"), Mapping):
        note_error(error.get("code") or error.get("type"))


def install(form: str, level: str, *, fields: Fields = dict, foreign: tuple[str, ...] = ()) -> None:
    """Have all log lines of this process written to stdout: `form` is `text` or `json`; safe to call again.

    Our own lines are written from `level` on, those of other packages from `warning` on. `foreign` names loggers that others have set up:
    they lose their handlers and keep their levels.
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
    """Make what writes records as `text` or `json`."""
    return JsonLines(fields) if form == "json" else TextLines(fields)


def _told(fields: Fields, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what a line tells beside its message, without what is not known."""
    doing = context()
    about = {} if doing is None else {"request_id": doing.id, "door": doing.door, "key": doing.key, "model": doing.model}
    return {name: value for name, value in {**about, **fields(), **extra}.items() if value not in ("", None)}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what is known of the request, and the traceback of an exception."""

    def __init__(self, fields: Fields = dict) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        extra = {name: value for name, value in vars(record).items() if name not in _OWN}
        line = {
            "time": _moment(record.created, record.msecs),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_told(self._fields, extra),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # all of it ASCII: no line of a client's making can pass for two


class TextLines(logging.Formatter):
    """One line for people to read; what is known of the request stands at its end, and what came in `extra` only in its message."""

    def __init__(self, fields: Fields = dict) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; a traceback follows on lines of its own."""
        told = _told(self._fields, {})
        service = told.pop("service", "")
        head = f"{_moment(record.created, record.msecs)} [{record.levelname}] [{service}] {record.getMessage()}"
        if told:
            head += " (" + " ".join(f"{name}={value}" for name, value in told.items()) + ")"
        return f"{head}\n{self.formatException(record.exc_info)}" if record.exc_info else head


def _moment(created: float, milliseconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(created))}.{int(milliseconds):03d}Z"
