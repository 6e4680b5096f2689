"""A request id, OpenAI's headers and an access-log line for every HTTP response, and a 500 without details for unexpected exceptions.

A WebSocket has the id and the log line as well. Requests and sessions are counted here.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech import logs
from open_speech.errors import InvalidRequest, SpeechError
from open_speech.http.disconnect import ResponseTruncated
from open_speech.http.errors import error_response
from open_speech.metrics.labels import OTHER, PROBE, door_of, method_of
from open_speech.metrics.meter import Meter

access = logging.getLogger("open_speech.access")
log = logging.getLogger("open_speech.http")

REQUEST_ID = "x-request-id"
"""Header with the request id."""
_SANE_ID = re.compile(rb"[\w.:-]{1,128}")
_CLIENT_CLOSED = 499
"""nginx's status for a client that disconnected; it is only logged and counted."""
MODEL_HEADER = b"x-open-speech-model"
"""Header of a response with output of a model: the id of the model, which is not the requested one after a fallback."""
_PLAIN = "/:@+"
"""Characters of a model id that are not quoted in the header, besides letters, digits and `_.-~`."""
_ABNORMAL = 1006
"""Close code of a WebSocket that neither side has closed."""
CATCH_ALL = "/{path:path}"
"""The route of requests that match no other route."""


def _id_of(scope: Scope, names: Sequence[bytes]) -> str:
    """Return the id that the request sends in one of the headers `names`, in their order, or else a new id."""
    sent = [(name, value) for name, value in scope["headers"] if name in names and _SANE_ID.fullmatch(value)]
    if sent:
        return str(min(sent, key=lambda header: names.index(header[0]))[1].decode("latin-1"))
    return f"req_{uuid.uuid4().hex}"


def _route_of(scope: Scope) -> str:
    """Return the template of the matched route, never the path, which can have any number of values."""
    path = getattr(scope.get("route"), "path", "")
    return path if path and path != CATCH_ALL else OTHER


class Trace:
    """Outermost ASGI middleware. Plain ASGI, because Starlette's base class buffers streams and hides disconnects."""

    def __init__(self, app: ASGIApp, meter: Meter | None = None, id_header: str = REQUEST_ID) -> None:
        """`id_header` is the name of one more header with the request id, in requests and in responses."""
        self._app = app
        self._meter = meter or Meter()
        self._id_headers = tuple(dict.fromkeys(name.lower().encode("ascii") for name in (id_header, REQUEST_ID)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the time in `openai-processing-ms` ends with the beginning of the response."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        door = door_of(scope["path"])
        with logs.on(logs.RequestContext(_id_of(scope, self._id_headers), door, failed=partial(self._meter.failed, door))) as context:
            if scope["type"] == "websocket":
                await self._hold(_Connection(scope, receive, send, context, self._meter, self._id_headers))
                return
            exchange = _Exchange(scope, receive, send, context, self._id_headers)
            in_progress = self._meter.figures.under_way.labels(door)
            in_progress.inc()
            try:
                await self._serve(exchange)
            finally:
                in_progress.dec()
                exchange.end(self._meter)

    async def _hold(self, connection: _Connection) -> None:
        with connection.open_:
            try:
                await self._app(connection.scope, connection.receive, connection.send)
            except Exception:  # noqa: BLE001 - the process boundary: the server closes the connection
                log.exception("%s: connection failed", connection.context.id)
                logs.note_error("server_error")
                raise
            finally:
                connection.write_log()

    async def _serve(self, exchange: _Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.disconnected = True
            if not exchange.status:
                # No client reads this response, but BentoML's timeout layer waits for a first message before it ends a request.
                await exchange.answer(InvalidRequest("The client disconnected before it had sent the whole request."))
        except ResponseTruncated as cut:
            log.error("%s: response truncated: %s", exchange.id, cut)
            logs.note_error("answer_cut_short")
            raise  # the server then drops the connection, so that the client does not treat the response as complete
        except Exception:  # noqa: BLE001 - the process boundary: the client may receive the id only
            if exchange.status:
                log.exception("%s: response truncated", exchange.id)
                logs.note_error("answer_cut_short")
                raise
            log.exception("%s: unexpected failure", exchange.id)
            await exchange.answer(SpeechError(f"The server had an internal error: see the log lines of request {exchange.id}."))


class _Exchange:
    """One request and its response, as seen by the client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, context: logs.RequestContext, id_headers: Sequence[bytes]) -> None:
        self.scope = scope
        self.id = context.id
        self._id_headers = id_headers
        self.status = 0
        self.disconnected = False
        self._context = context
        self._receive = receive
        self._send = send
        self._sent = 0
        self._first_s: float | None = None
        self._complete = False
        self._start = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        # Servers also report a disconnect after a complete response, when the client has not left early.
        self.disconnected = self.disconnected or (message["type"] == "http.disconnect" and not self._complete)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
            if self._first_s is None and self._sent:
                self._first_s = self._seconds()
            self._complete = not message.get("more_body", False)
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            *((name, self.id.encode("latin-1")) for name in self._id_headers),
            (b"openai-processing-ms", str(self._milliseconds()).encode()),
            (b"openai-version", b"2020-10-01"),
        ]
        if self._context.answered_by and self.status < 400:  # noqa: PLR2004 - an error has no output of a model
            # The id of a model of another server may contain any character of the request.
            models = ", ".join(quote(model, safe=_PLAIN) for model in self._context.answered_by)
            headers.append((MODEL_HEADER, models.encode()))
        return headers

    def _seconds(self) -> float:
        return time.perf_counter() - self._start

    def _milliseconds(self) -> int:
        return int(self._seconds() * 1000)

    async def answer(self, error: SpeechError) -> None:
        await error_response(error)(self.scope, self.receive, self.send)

    def end(self, meter: Meter) -> None:
        """Write the access-log line, and count the request."""
        scope, status = self.scope, self.status or (_CLIENT_CLOSED if self.disconnected else 500)
        method, route, took_s = method_of(scope["method"]), _route_of(scope), self._seconds()
        meter.answered(self._context.door, route, method, status, took_s=took_s, first_byte_s=self._first_s)
        fields = {"status": status, "route": route, "bytes": self._sent, "client_left": self.disconnected or None}
        # The path without its query, which may contain a key. `%r` escapes control characters.
        # Probes arrive every few seconds and are all alike.
        level = logging.DEBUG if self._context.door == PROBE and status < 400 else logging.INFO
        access.log(
            level, "%s %s %r %d %d ms %d bytes%s",
            _client_of(scope), scope["method"], scope["path"], status, int(took_s * 1000), self._sent,
            " (client disconnected)" if self.disconnected else "",
            extra={**fields, **_fields_of(scope, took_s)},
        )  # fmt: skip


class _Connection:
    """One WebSocket, as seen by the client."""

    def __init__(  # noqa: PLR0913 - the three parts of ASGI, and what is written about them
        self, scope: Scope, receive: Receive, send: Send, context: logs.RequestContext, meter: Meter, id_headers: Sequence[bytes]
    ) -> None:
        self.scope = scope
        self.context = context
        self._id_headers = id_headers
        self.open_ = ExitStack()
        """Clean-up to run when the connection is closed."""
        self._code = _ABNORMAL
        self._answered = 0
        """HTTP status with which the handshake was rejected."""
        self._receive = receive
        self._send = send
        self._meter = meter
        self._start = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._code = message.get("code") or _ABNORMAL
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            ids = [(name, self.context.id.encode("latin-1")) for name in self._id_headers]
            message = {**message, "headers": [*message.get("headers", ()), *ids]}
            self.open_.enter_context(self._meter.session(self.context.door))
        elif message["type"] == "websocket.close":
            self._code = message.get("code") or 1000
        await self._send(message)
        if message["type"] == "websocket.http.response.start":
            self._answered = message["status"]

    def write_log(self) -> None:
        took_s = time.perf_counter() - self._start
        status = self._answered or self._code
        access.info(
            "%s WEBSOCKET %r %d %d ms", _client_of(self.scope), self.scope["path"], status, int(took_s * 1000),
            extra={"status": status, "route": _route_of(self.scope), **_fields_of(self.scope, took_s)},
        )  # fmt: skip


def _client_of(scope: Scope) -> str:
    """Return the address of the peer; `unix` for a client of a Unix socket, which has no address."""
    return str((scope.get("client") or ("unix",))[0])


def _fields_of(scope: Scope, took_s: float) -> dict[str, Any]:
    """Return the fields of a request for the JSON log."""
    method = scope.get("method", "WEBSOCKET")
    return {"client": _client_of(scope), "method": method, "path": scope["path"], "duration_s": round(took_s, 4)}
