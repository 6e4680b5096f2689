"""A language model of this server: requests to its runner, admitted as every other request is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from open_speech.backends import ModelEntry
from open_speech.dialogue.completions import CompletionParser, Piece
from open_speech.dispatch.frames import FILE, LIVE
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import LanguageModelTimeout
from open_speech.metrics.meter import Meter

_LIMIT_NAMES = ("max_completion_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one answer."""

    timeout_s: float
    """Maximum wait for each next token, in seconds, besides the time in the queue and that in which the model is downloaded or loaded."""
    max_tokens: int
    """Maximum tokens, whatever the request says."""


class LocalLanguageModel:
    """One model, for requests of one kind: of a live user, or of a program."""

    def __init__(self, pool: RunnerPool, entry: ModelEntry, *, limits: Limits, meter: Meter, live: bool = True) -> None:
        """`live` requests are answered before others."""
        self.name = entry.id
        self._pool = pool
        self._entry = entry
        self._limits = limits
        self._meter = meter
        self._live = live

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Answer a conversation, as in LanguageModel."""
        parser = CompletionParser()
        async with aclosing(self.chunks(request)) as chunks:
            async for chunk in chunks:
                for piece in parser.feed(chunk):
                    yield piece
        yield parser.finish()

    async def chunks(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Answer a conversation in chunks, as in LanguageModel; a request with `prompt` instead of `messages` continues that text.

        Raises ContextOverflow, InvalidValue, Overloaded, LanguageModelTimeout and the errors of RunnerClient.generate.
        """
        self._pool.permit(self._entry)
        async with aclosing(self._meter.generated(self.name, self._answer(request))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """Do nothing: the runner is shared."""

    async def _answer(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        entry, pool = self._entry, self._pool
        client = pool.client(entry)
        with pool.admission.ticket(entry.backend, live=self._live) as ticket:
            urgency, patience_s = LIVE if self._live else FILE, ticket.patience_s()
            stream = client.generate(entry.id, self._limited(request), urgency=urgency, patience_s=patience_s)
            within_s = self._limits.timeout_s + patience_s
            async with aclosing(stream) as chunks:
                while (chunk := await self._next(chunks, within_s)) is not None:
                    within_s = self._limits.timeout_s
                    if chunk:  # an empty one reports that a part of the prompt is processed
                        ticket.answered()
                        yield chunk

    def _limited(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request with its limit of tokens, or ours if it is lower, under one name."""
        most = self._limits.max_tokens
        asked = [limit for name in _LIMIT_NAMES if isinstance(limit := request.get(name), int) and limit > 0]
        return {**{name: value for name, value in request.items() if name not in _LIMIT_NAMES}, "max_tokens": min([*asked, most])}

    async def _next(self, chunks: AsyncIterator[dict[str, Any]], within_s: float) -> dict[str, Any] | None:
        """Return the next chunk; None at the end. Raises LanguageModelTimeout after `within_s` in which the model was not being loaded."""
        client = self._pool.client(self._entry)
        waiting = asyncio.ensure_future(anext(chunks, None))
        try:
            while True:
                beats = client.beats
                done, _ = await asyncio.wait({waiting}, timeout=within_s)
                if done:
                    return waiting.result()
                if client.beats == beats:
                    raise LanguageModelTimeout(f"The language model generated nothing for {within_s:g} s.")
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting})
