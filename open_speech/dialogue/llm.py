"""The language model of another server: a streaming client of OpenAI's `/chat/completions`.

Every wait has a deadline; closing the generator ends the request.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from open_speech.dialogue.completions import ChunkParser, CompletionParser, Piece, TextDelta, has_output
from open_speech.errors import (
    ContextOverflow,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelRefused,
    LanguageModelTimeout,
    LanguageModelUnavailable,
    SpeechError,
)

log = logging.getLogger("open_speech.realtime")

CONNECT_S = 5.0
"""Seconds in which the server must accept the connection."""
ANSWER_CHARS = 200_000
"""Maximum characters of a response; a longer one is aborted, because no user listens that long."""
_OVERFLOW = re.compile(rb"context_length_exceeded|exceed_context_size|maximum context length|context (size|window)", re.IGNORECASE)
"""What servers write about a conversation that is too long: OpenAI, llama.cpp, vLLM and others."""
NEW_LIMIT = "max_completion_tokens"
BODY_BYTES = 4 << 20
"""Bytes that are read of a response that is one JSON body, or of an error response."""
Part = tuple[bool, bytes]
"""Whether the bytes are part of an event stream (otherwise a body that is the whole response), and the bytes."""


class RemoteLanguageModel:
    """One model of another server. The connection is kept open between requests."""

    def __init__(self, base_url: str, *, model: str, key: str = "", timeout_s: float = 30.0) -> None:
        """`base_url` is the part of the URL before `/chat/completions`; `timeout_s` bounds the wait for each next part of the response."""
        self.name = model
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None
        self._limit = "max_tokens"
        """The server's name of the parameter for the maximum number of tokens in a response."""

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Answer a conversation, as in LanguageModel. Raises LanguageModelFailed and its subclasses, and ContextOverflow."""
        answer, chars = CompletionParser(), 0
        async with aclosing(self.chunks(request)) as chunks:
            async for chunk in chunks:
                for piece in answer.feed(chunk):
                    chars += len(piece.text) if isinstance(piece, TextDelta) else 0
                    if chars > ANSWER_CHARS:
                        raise LanguageModelFailed(f"The response of the language model is longer than {ANSWER_CHARS} characters.")
                    yield piece
        yield answer.finish()

    async def chunks(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Answer a conversation in chunks, as in LanguageModel. Raises LanguageModelFailed and its subclasses."""
        body = {**request, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        answer, wait_s = ChunkParser(), self._timeout_s
        async with aclosing(self._parts(body)) as parts:
            while not answer.is_done and (part := await self._next(parts, wait_s)) is not None:
                is_event, data, wait_s = part
                for chunk in answer.feed(data) if is_event else answer.feed_body(data):
                    wait_s = self._timeout_s if has_output(chunk) else wait_s
                    yield chunk
        answer.finish()

    async def aclose(self) -> None:
        """Close the connection; safe to call again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _next(self, parts: AsyncIterator[Part], wait_s: float) -> tuple[bool, bytes, float] | None:
        """Wait for the next bytes; return them, and the seconds left of the wait for content, which a keep-alive does not extend."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(wait_s):
                part = await anext(parts, None)
        except (TimeoutError, httpx.TimeoutException) as late:
            raise LanguageModelTimeout(f"The language model server sent nothing for {self._timeout_s:g} s.") from late
        except httpx.ConnectError as gone:
            raise LanguageModelUnavailable("The language model server cannot be reached: check LLM_BASE_URL.", retry_after_s=5) from gone
        except httpx.HTTPError as broken:
            raise LanguageModelFailed("The response of the language model server ended early.") from broken
        except httpx.InvalidURL as wrong:
            raise LanguageModelUnavailable("LLM_BASE_URL is not a valid URL.") from wrong
        return None if part is None else (*part, wait_s - (time.monotonic() - began))

    async def _parts(self, body: Mapping[str, Any]) -> AsyncGenerator[Part, None]:
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


async def _pieces(answer: httpx.Response) -> AsyncGenerator[Part, None]:
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


def _refusal(status: int, body: bytes) -> SpeechError:
    """Return the error for an HTTP status. The body may contain what a client must not see, so it is only logged."""
    log.warning("the language model server returned %d: %s", status, body[:500].decode(errors="replace"))
    if status in (400, 413, 422) and _OVERFLOW.search(body):
        return ContextOverflow("The conversation is longer than the context of the language model.", param="messages")
    if status == 429:
        return LanguageModelBusy("The language model server is overloaded.", retry_after_s=5)
    if status < 500:
        return LanguageModelRefused(f"The language model server refused the request (status {status}).")
    return LanguageModelFailed(f"The language model server failed (status {status}).")
