"""A streaming client of any server with OpenAI's `/chat/completions`. Every wait has a deadline; closing the generator ends the request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from open_speech.dialogue.completions import CompletionParser, Piece, TextDelta
from open_speech.errors import (
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelRefused,
    LanguageModelTimeout,
    LanguageModelUnavailable,
)

log = logging.getLogger("open_speech.realtime")

CONNECT_S = 5.0
"""Seconds in which the server must accept the connection."""
ANSWER_CHARS = 200_000
"""Maximum characters of a response; a longer one is aborted, because no user listens that long."""
NEW_LIMIT = "max_completion_tokens"
BODY_BYTES = 4 << 20
"""Bytes that are read of a response that is one JSON body, or of an error response."""
Chunk = tuple[bool, bytes]
"""Whether the bytes are part of an event stream (otherwise a body that is the whole response), and the bytes."""


class LanguageModel:
    """One model of one server. The connection is kept open between requests."""

    def __init__(self, base_url: str, *, model: str, key: str = "", timeout_s: float = 30.0) -> None:
        """`base_url` is the part of the URL before `/chat/completions`; `timeout_s` bounds the wait for each next part of the response."""
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None
        self._limit = "max_tokens"
        """The server's name of the parameter for the maximum number of tokens in a response."""

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Send a request, and yield the response as it is generated: text and tool calls, then one Ended.

        `request` is a body of `/chat/completions` without `model` and `stream`. Raises LanguageModelFailed and its subclasses.
        """
        body = {**request, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        answer, chars, wait_s = CompletionParser(), 0, self._timeout_s
        async with aclosing(self._chunks(body)) as chunks:
            while not answer.is_done and (chunk := await self._next(chunks, wait_s)) is not None:
                is_event, data, wait_s = chunk
                for piece in answer.feed(data) if is_event else answer.feed_body(data):
                    chars += len(piece.text) if isinstance(piece, TextDelta) else 0
                    if chars > ANSWER_CHARS:
                        raise LanguageModelFailed(f"The response of the language model is longer than {ANSWER_CHARS} characters.")
                    yield piece
                    wait_s = self._timeout_s
        yield answer.finish()

    async def aclose(self) -> None:
        """Close the connection; safe to call again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _next(self, chunks: AsyncIterator[Chunk], wait_s: float) -> tuple[bool, bytes, float] | None:
        """Wait for the next bytes; return them, and the seconds left of the wait for content, which a keep-alive does not extend."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(wait_s):
                chunk = await anext(chunks, None)
        except (TimeoutError, httpx.TimeoutException) as late:
            raise LanguageModelTimeout(f"The language model server sent nothing for {self._timeout_s:g} s.") from late
        except httpx.ConnectError as gone:
            raise LanguageModelUnavailable("The language model server cannot be reached: check LLM_BASE_URL.", retry_after_s=5) from gone
        except httpx.HTTPError as broken:
            raise LanguageModelFailed("The response of the language model server ended early.") from broken
        except httpx.InvalidURL as wrong:
            raise LanguageModelUnavailable("LLM_BASE_URL is not a valid URL.") from wrong
        return None if chunk is None else (*chunk, wait_s - (time.monotonic() - began))

    async def _chunks(self, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """Send the request, and yield the bytes of the response. A request is repeated once with the other name of the token limit."""
        if self._http is None:
            # In a thread: loading the certificates takes longer than a spoken word.
            self._http = await asyncio.to_thread(httpx.AsyncClient, headers=self._headers, follow_redirects=True)
        timeout = httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
        while True:
            async with self._http.stream("POST", self._url, json=self._with_limit_name(body), timeout=timeout) as answer:
                if answer.status_code < 400:
                    async with aclosing(_pieces(answer)) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                refusal = await _body_start(answer)
                if not self._learn_limit_name(body, refusal):
                    raise _refusal(answer.status_code, refusal)

    def _with_limit_name(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with the token limit under the name that the server uses."""
        return {self._limit if name == "max_tokens" else name: value for name, value in body.items()}

    def _learn_limit_name(self, body: Mapping[str, Any], refusal: bytes) -> bool:
        """Learn the name of the token limit from the server's error: OpenAI's newer models accept it only as `max_completion_tokens`."""
        if self._limit == NEW_LIMIT or "max_tokens" not in body or NEW_LIMIT.encode() not in refusal:
            return False
        self._limit = NEW_LIMIT
        return True


async def _pieces(answer: httpx.Response) -> AsyncGenerator[Chunk, None]:
    if answer.headers.get("content-type", "").startswith("application/json"):
        yield False, await _body_start(answer)
        return
    async for data in answer.aiter_bytes():
        yield True, data


async def _body_start(answer: httpx.Response) -> bytes:
    body = b""
    async for data in answer.aiter_bytes():
        body += data
        if len(body) > BODY_BYTES:
            break
    return body[:BODY_BYTES]


def _refusal(status: int, body: bytes) -> LanguageModelFailed:
    """Return the error for an HTTP status. The body may contain what a client must not see, so it is only logged."""
    log.warning("the language model server returned %d: %s", status, body[:500].decode(errors="replace"))
    if status == 429:
        return LanguageModelBusy("The language model server is overloaded.", retry_after_s=5)
    if status < 500:
        return LanguageModelRefused(f"The language model server refused the request (status {status}).")
    return LanguageModelFailed(f"The language model server failed (status {status}).")
