"""The language model: any server with OpenAI's `/chat/completions`, asked for a stream. Every wait has a deadline; leaving ends it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from open_speech.dialogue.completions import Answer, Piece, Said
from open_speech.errors import (
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelRefused,
    LanguageModelTimeout,
    LanguageModelUnavailable,
)

log = logging.getLogger("open_speech.realtime")

CONNECT_S = 5.0
"""Seconds until it must have taken the connection."""
ANSWER_CHARS = 200_000
"""A longer answer is broken off: nobody listens that long."""
NEW_LIMIT = "max_completion_tokens"
BODY_BYTES = 4 << 20
"""Bytes of an answer that comes in one body."""
Chunk = tuple[bool, bytes]
"""Whether these are bytes of a stream of events, or else a body that is the whole answer; and the bytes."""


class LanguageModel:
    """One server and one model of it; keeps its connection from answer to answer."""

    def __init__(self, base_url: str, *, model: str, key: str = "", timeout_s: float = 30.0) -> None:
        """`base_url` is what comes before `/chat/completions`; `timeout_s` bounds the wait for each next word."""
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None
        self._limit = "max_tokens"
        """The server's word for the most tokens of an answer."""

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Ask, and yield the answer as it is written: text and calls of tools, then one Ended.

        `request` is a body of `/chat/completions` without `model` and `stream`. Raises LanguageModelFailed and its children.
        """
        body = {**request, "model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        answer, chars, wait_s = Answer(), 0, self._timeout_s
        async with aclosing(self._chunks(body)) as chunks:
            while not answer.is_done and (chunk := await self._next(chunks, wait_s)) is not None:
                is_event, data, wait_s = chunk
                for piece in answer.feed(data) if is_event else answer.whole(data):
                    chars += len(piece.text) if isinstance(piece, Said) else 0
                    if chars > ANSWER_CHARS:
                        raise LanguageModelFailed(f"The response of the language model is longer than {ANSWER_CHARS} characters.")
                    yield piece
                    wait_s = self._timeout_s
        yield answer.finish()

    async def aclose(self) -> None:
        """Let go of the connection; safe to call again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _next(self, chunks: AsyncIterator[Chunk], wait_s: float) -> tuple[bool, bytes, float] | None:
        """Wait for what comes next; give it, and how long may still be waited for a word: a sign of life is none."""
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
        """Ask, and yield what comes."""
        if self._http is None:
            # In a thread: the certificates that are read for it take longer than a word of speech.
            self._http = await asyncio.to_thread(httpx.AsyncClient, headers=self._headers, follow_redirects=True)
        timeout = httpx.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s))
        while True:
            async with self._http.stream("POST", self._url, json=self._worded(body), timeout=timeout) as answer:
                if answer.status_code < 400:
                    async with aclosing(_pieces(answer)) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                told = await _beginning(answer)
                if not self._learns(body, told):
                    raise _refusal(answer.status_code, told)

    def _worded(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write a request in the server's words."""
        return {self._limit if name == "max_tokens" else name: value for name, value in body.items()}

    def _learns(self, body: Mapping[str, Any], told: bytes) -> bool:
        """Learn the server's words from its refusal: OpenAI's newer models take `max_tokens` under another name alone."""
        if self._limit == NEW_LIMIT or "max_tokens" not in body or NEW_LIMIT.encode() not in told:
            return False
        self._limit = NEW_LIMIT
        return True


async def _pieces(answer: httpx.Response) -> AsyncGenerator[Chunk, None]:
    if answer.headers.get("content-type", "").startswith("application/json"):
        yield False, await _beginning(answer)
        return
    async for data in answer.aiter_bytes():
        yield True, data


async def _beginning(answer: httpx.Response) -> bytes:
    body = b""
    async for data in answer.aiter_bytes():
        body += data
        if len(body) > BODY_BYTES:
            break
    return body[:BODY_BYTES]


def _refusal(status: int, body: bytes) -> LanguageModelFailed:
    """Say what an HTTP status means; the server's own words may hold what a client must not see, so they go to the log."""
    log.warning("the language model server returned %d: %s", status, body[:500].decode(errors="replace"))
    if status == 429:
        return LanguageModelBusy("The language model server is overloaded.", retry_after_s=5)
    if status < 500:
        return LanguageModelRefused(f"The language model server refused the request (status {status}).")
    return LanguageModelFailed(f"The language model server failed (status {status}).")
