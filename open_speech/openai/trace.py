"""What every HTTP answer has: a request id, OpenAI's headers, one access-log line, and a blank 500 when all else failed."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextvars import ContextVar

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from open_speech.errors import InvalidRequest, SpeechError
from open_speech.openai.errors import error_response
from open_speech.openai.live import AnswerCutShort

access = logging.getLogger("open_speech.access")
log = logging.getLogger("open_speech.http")

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the request being served, for log lines anywhere below."""

_SANE_ID = re.compile(rb"[\w.:-]{1,128}")
_LEFT = 499
"""nginx's status for a client that left; it is only ever logged."""


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value.decode("latin-1"))
    return f"req_{uuid.uuid4().hex}"


class Trace:
    """Outermost ASGI middleware. Plain ASGI, because Starlette's base class buffers streams and hides disconnects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the time in `openai-processing-ms` ends where the answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        token = request_id.set(exchange.id)
        try:
            await self._serve(exchange)
        finally:
            request_id.reset(token)
            exchange.write_log()

    async def _serve(self, exchange: _Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.left = True
            if not exchange.status:
                # Nobody reads it, but BentoML's timeout layer waits for a first message before it lets a request go.
                await exchange.answer(InvalidRequest("The client left before it had sent the whole request."))
        except AnswerCutShort as cut:
            log.error("%s: answer cut short: %s", exchange.id, cut)
            raise  # the server then drops the connection, so that no client takes the part for the whole
        except Exception:  # noqa: BLE001 - the process boundary: nothing but the id may reach the client
            if exchange.status:
                log.exception("%s: answer cut short", exchange.id)
                raise
            log.exception("%s: unexpected failure", exchange.id)
            await exchange.answer(SpeechError(f"The server had an error. The log has the details under {exchange.id}."))


class _Exchange:
    """One request and its answer, as seen from outside."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.id = _id_of(scope)
        self.status = 0
        self.left = False
        self._receive = receive
        self._send = send
        self._sent = 0
        self._complete = False
        self._start = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        # Servers also report a disconnect after a complete answer: that is no client leaving.
        self.left = self.left or (message["type"] == "http.disconnect" and not self._complete)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        elif message["type"] == "http.response.body":
            self._sent += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-request-id", self.id.encode("latin-1")),
            (b"openai-processing-ms", str(self._milliseconds()).encode()),
            (b"openai-version", b"2020-10-01"),
        ]

    def _milliseconds(self) -> int:
        return int((time.perf_counter() - self._start) * 1000)

    async def answer(self, error: SpeechError) -> None:
        await error_response(error)(self.scope, self.receive, self.send)

    def write_log(self) -> None:
        client = (self.scope.get("client") or ("-",))[0]
        status = self.status or (_LEFT if self.left else 500)
        # The path without its query, which may hold a key. `%r` keeps control characters out of the log.
        access.info(
            "%s %s %r %d %d ms %d bytes %s%s",
            client, self.scope["method"], self.scope["path"], status, self._milliseconds(), self._sent, self.id,
            " (client left)" if self.left else "",
        )  # fmt: skip
