"""JSON bodies within limits. The structure is checked and audio is decoded while the body arrives; large bodies are parsed in a thread.

FastAPI would read the whole body into memory and parse it on the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from open_speech.concurrency.blocking_iterators import in_turn
from open_speech.errors import InvalidRequest, SpeechError, UploadTooLarge
from open_speech.http import json_screen
from open_speech.http.base64_stream import Base64File
from open_speech.http.json_bounds import OTHER, JsonBounds

INLINE_BYTES = 1 << 16
"""Maximum size of a body that is screened and parsed on the event loop, which takes two milliseconds at most."""
SPOOL_BYTES = 1 << 20
"""Longer bodies are stored on disk until they are parsed."""
_AUDIO = "open_speech.json_audio"


class JsonBody:
    """One JSON body: reads and parses it, and stores its audio until `close`."""

    def __init__(self, bounds: JsonBounds) -> None:
        self._bounds = bounds
        audio = bounds.audio
        self._screen = json_screen.Screen(bounds.structure, {audio.path: self._new_audio} if audio else None)
        self._text: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=SPOOL_BYTES)
        self._text_bytes = 0
        self._audio: Base64File | None = None
        self._problem: InvalidRequest | None = None

    async def read(self, chunks: AsyncIterator[bytes]) -> bool:
        """Read the body to its end; return False if there is none.

        Raises UploadTooLarge or InvalidRequest at the end: a client that is still sending would not receive the response.
        """
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if self._problem is None and chunk:
                if size > INLINE_BYTES:
                    await asyncio.to_thread(self._feed, chunk)
                else:
                    self._feed(chunk)
        if self._problem is not None:
            raise self._problem
        return size > 0

    async def parsed(self) -> Any:
        """Parse the body. Raises JSONDecodeError, or InvalidRequest for any other error of the parser."""
        return await in_turn(self._parse) if self._text_bytes > INLINE_BYTES else self._parse()

    @property
    def audio(self) -> bytes | Path | None:
        """The audio; None if the body has none. A path is valid until `close`. Raises InvalidValue or UploadTooLarge naming the field."""
        return None if self._audio is None or self._audio.is_empty else self._audio.source()

    def close(self) -> None:
        """Delete the body and its audio."""
        self._text.close()
        if self._audio is not None:
            self._audio.close()

    def _feed(self, chunk: bytes) -> None:
        try:
            for start in range(0, len(chunk), json_screen.STEP):
                text = self._screen.feed(chunk[start : start + json_screen.STEP])
                self._text_bytes += len(text)
                if self._text_bytes > self._bounds.text_bytes:
                    besides = " besides audio" if self._bounds.audio else ""
                    raise UploadTooLarge(f"The JSON body is larger than the limit of {self._bounds.text_bytes} bytes{besides}.")
                self._text.write(text)
        except InvalidRequest as problem:
            self._problem = problem
            self.close()

    def _new_audio(self) -> Base64File:
        field = self._bounds.audio
        assert field is not None
        if self._audio is not None:  # the field occurs twice: the last one counts, as for `json.loads`
            self._audio.close()
        self._audio = Base64File(field.name, field.max_bytes)
        return self._audio

    def _parse(self) -> Any:
        self._text.seek(0)
        constant = json_screen.refuse if self._bounds.strict else None
        try:
            return json.loads(self._text.read().decode("utf-8-sig", "surrogatepass"), parse_constant=constant)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError):  # not UTF-8, or a number of more than 4300 digits
            raise InvalidRequest("The request body is not valid JSON.") from None


class JsonRequest(Request):
    """A request whose JSON body FastAPI reads through JsonBody."""

    _json_body: JsonBody | None = None
    _has_body = False

    async def body(self) -> bytes:
        """Read and check the body. FastAPI uses the return value only to find out whether there is a body."""
        if self._json_body is None:
            self._json_body = JsonBody(bounds_of(self))
            self._has_body = await self._json_body.read(self.stream())
        return b"{" if self._has_body else b""

    async def json(self) -> Any:
        """Return the parsed body."""
        await self.body()
        assert self._json_body is not None
        self.scope[_AUDIO] = self._json_body
        return await self._json_body.parsed()

    def release(self) -> None:
        """Delete the body."""
        if self._json_body is not None:
            self._json_body.close()


class JsonRoute(APIRoute):
    """A route that reads its JSON body within the limits of its path."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_within_bounds(request: Request) -> Response:
            json_request = JsonRequest(request.scope, request.receive)
            try:
                return await handle(json_request)
            except HTTPException as failed:  # FastAPI raises it for any error while it reads a body
                if isinstance(failed.__cause__, SpeechError):
                    raise failed.__cause__ from None
                raise
            finally:
                json_request.release()

        return handle_within_bounds


@asynccontextmanager
async def json_body(request: Request) -> AsyncIterator[tuple[dict[str, Any], bytes | Path | None]]:
    """Read the JSON object in the body of a request, and its audio; a path is valid only within the block.

    Raises InvalidRequest, or InvalidValue and UploadTooLarge naming the field of the audio.
    """
    body = JsonBody(bounds_of(request))
    try:
        await body.read(request.stream())
        try:
            value = await body.parsed()
        except ValueError:
            raise InvalidRequest("The request body is not valid JSON.") from None
        if not isinstance(value, dict):
            raise InvalidRequest("The request body must be a JSON object.")
        yield value, body.audio
    finally:
        body.close()


def audio_of(request: Request) -> bytes | Path | None:
    """Return the audio in the JSON body of a request to a JsonRoute; None if there is none. A path is valid until the handler returns.

    Raises InvalidValue or UploadTooLarge naming the field.
    """
    body: JsonBody | None = request.scope.get(_AUDIO)
    return None if body is None else body.audio


def bounds_of(request: Request) -> JsonBounds:
    """Return the limits for the path of a request."""
    by_path: dict[str, JsonBounds] = request.app.state.json_bounds
    return by_path.get(request.scope["path"], OTHER)
