"""Sends requests with httpx, blocking or on an event loop: one place for errors, retries and streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from typing import Any

import httpx

from open_speech.client.bodies import Event
from open_speech.client.calls import Call
from open_speech.client.endpoint import Endpoint
from open_speech.client.errors import ConnectionFailed, OpenSpeechError, TimedOut, from_response
from open_speech.client.retry import Attempts
from open_speech.client.sse import EventParser


class HTTP:
    """Blocking requests to one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = httpx.Client(**_options(endpoint))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def send(self, call: Call, *, stream: bool = False) -> httpx.Response:
        """Send a request and read the whole response, or with `stream` only its head. Raises OpenSpeechError's children."""
        attempts = Attempts(self._endpoint.retry, repeatable=call.repeatable)
        while True:
            try:
                with ExitStack() as files, _translated():
                    response = self._client.send(self._client.build_request(**_request(self._endpoint, call, files)), stream=stream)
                    if response.is_error:
                        raise from_response(response.status_code, response.headers, response.read())
                return response
            except OpenSpeechError as error:
                delay = attempts.delay_after(error)
            time.sleep(delay)

    def json(self, call: Call) -> Any:
        """Send a request and parse the response. Raises OpenSpeechError's children."""
        return parsed(self.send(call))

    def bytes(self, call: Call) -> Iterator[bytes]:
        """Send a request and yield the response as it arrives. It is repeated only before its first bytes."""
        response = self.send(call, stream=True)
        try:
            with _translated():
                yield from response.iter_bytes()
        finally:
            response.close()

    def events(self, call: Call) -> Iterator[Event]:
        """Send a request and yield its server-sent events as they arrive. Raises APIError for an event that reports an error."""
        parser = EventParser()
        for data in self.bytes(call):
            yield from parser.feed(data)


class AsyncHTTP:
    """The same on an event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = httpx.AsyncClient(**_options(endpoint))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, call: Call, *, stream: bool = False) -> httpx.Response:
        """Send a request and read the whole response, or with `stream` only its head. Raises OpenSpeechError's children."""
        attempts = Attempts(self._endpoint.retry, repeatable=call.repeatable)
        while True:
            try:
                with ExitStack() as files, _translated():
                    response = await self._client.send(self._client.build_request(**_request(self._endpoint, call, files)), stream=stream)
                    if response.is_error:
                        raise from_response(response.status_code, response.headers, await response.aread())
                return response
            except OpenSpeechError as error:
                delay = attempts.delay_after(error)
            await asyncio.sleep(delay)

    async def json(self, call: Call) -> Any:
        """Send a request and parse the response. Raises OpenSpeechError's children."""
        return parsed(await self.send(call))

    async def bytes(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Send a request and yield the response as it arrives. It is repeated only before its first bytes."""
        response = await self.send(call, stream=True)
        try:
            with _translated():
                async for data in response.aiter_bytes():
                    yield data
        finally:
            await response.aclose()

    async def events(self, call: Call) -> AsyncGenerator[Event, None]:
        """Send a request and yield its server-sent events as they arrive. Raises APIError for an event that reports an error."""
        parser = EventParser()
        async with aclosing(self.bytes(call)) as parts:
            async for data in parts:
                for event in parser.feed(data):
                    yield event


def parsed(response: httpx.Response) -> Any:
    """Return the JSON of a response; its text if it is text, its bytes if it is neither."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/json"):
        return response.json()
    return response.content.decode() if kind.startswith(("text/", "application/x-subrip")) else response.content


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise TimedOut("The server did not respond in time.") from error
    except (httpx.TransportError, httpx.StreamError) as error:
        raise ConnectionFailed(f"The connection to the server failed: {error or type(error).__name__}") from error


def _options(endpoint: Endpoint) -> dict[str, Any]:
    timeout = httpx.Timeout(endpoint.timeout_s, connect=endpoint.connect_timeout_s)
    return {"timeout": timeout, "headers": endpoint.all_headers, "verify": endpoint.tls()}


def _request(endpoint: Endpoint, call: Call, files: ExitStack) -> dict[str, Any]:
    """Return the arguments of a request; `files` closes the files that are opened for it. Raises OSError."""
    request: dict[str, Any] = {"method": call.method, "url": endpoint.root + call.path, "params": call.query, "headers": call.headers}
    if call.json is not None:
        request["json"] = call.json
    if call.uploads:
        request["data"] = call.form
        request["files"] = [
            ("file", (upload.name, upload.source if isinstance(upload.source, bytes) else files.enter_context(upload.source.open("rb"))))
            for upload in call.uploads
        ]
    return request
