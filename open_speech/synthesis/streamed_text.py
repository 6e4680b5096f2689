"""Streamed text -> steps: plain text with tags as it arrives, an SSML document when it is complete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from open_speech.errors import TextTooLong
from open_speech.synthesis.pipeline import tagged
from open_speech.text import ssml
from open_speech.text.steps import Flush, Step


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What was read from a stream: a whole SSML document, or as much text as shows that it is none."""

    text: str
    is_ssml: bool
    flush: bool
    """Whether a None was read after the text."""
    ended: bool


class _Resumed:
    """An iterator with text in front that was read from it already. Cancelling a read leaves it usable, unlike a generator."""

    def __init__(self, text: str, rest: AsyncIterator[str | None], *, flush: bool) -> None:
        self._first: list[str | None] = [text, None] if flush else [text]
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[str | None]:
        return self

    async def __anext__(self) -> str | None:
        return self._first.pop(0) if self._first else await anext(self._rest)


async def streamed_steps(
    fragments: AsyncIterator[str | None],
    *,
    kind: Literal["text", "ssml"] | None,
    parse: Callable[[str], list[Step]],
    phonemes: bool,
    limit: int,
) -> AsyncGenerator[Step, None]:
    """Yield the steps of streamed text. A fragment None requests that the text so far is spoken now.

    A text that begins as SSML, or is of the `kind` ssml, is collected up to the next None or the end and then parsed by `parse`, because
    only a complete document is well-formed. Raises TextTooLong for a document of more than `limit` characters, and what `parse` does.
    """
    while True:
        begun = await _begin(fragments, kind, limit)
        if not begun.is_ssml:
            async with aclosing(tagged(_Resumed(begun.text, fragments, flush=begun.flush), phonemes=phonemes)) as steps:
                async for step in steps:
                    yield step
            return
        if begun.text.strip():
            for step in await asyncio.to_thread(parse, begun.text):
                yield step
            yield Flush()
        if begun.ended:
            return


async def _begin(fragments: AsyncIterator[str | None], kind: Literal["text", "ssml"] | None, limit: int) -> _Beginning:
    is_ssml = None if kind is None else kind == "ssml"
    text = ""
    while is_ssml is not False:
        try:
            fragment = await anext(fragments)
        except StopAsyncIteration:
            return _Beginning(text, bool(is_ssml), flush=False, ended=True)
        if fragment is None:
            return _Beginning(text, bool(is_ssml), flush=True, ended=False)
        text += fragment
        is_ssml = ssml.begins(text) if is_ssml is None else is_ssml
        if is_ssml and len(text) > limit:
            raise TextTooLong(f"The SSML document has more than {limit} characters.", param="input")
    return _Beginning(text, is_ssml=False, flush=False, ended=False)
