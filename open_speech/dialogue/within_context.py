"""A language model whose conversations may be longer than its context: the oldest turns are left out until the rest fits."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from open_speech.dialogue.completions import Piece
from open_speech.dialogue.model import AnsweringModel
from open_speech.dialogue.trimming import shortened
from open_speech.errors import ContextOverflow

log = logging.getLogger("open_speech.dialogue")


class WithinContext:
    """A language model for one answer."""

    def __init__(self, llm: AnsweringModel) -> None:
        self.name = llm.name
        self.dropped = 0
        """Turns that were left out."""
        self._llm = llm

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Answer as in LanguageModel. Raises ContextOverflow if even the last turn is too long.

        The number of turns that are left out is doubled for each further attempt: 1, 3, 7, …, so a long conversation needs few attempts.
        """
        step = 1
        while True:
            has_begun = False
            try:
                async with aclosing(self._llm.answer(request)) as pieces:
                    async for piece in pieces:
                        has_begun = True
                        yield piece
                return
            except ContextOverflow:
                messages, dropped = shortened(request["messages"], step)
                if has_begun or not dropped:
                    raise
                self.dropped += dropped
                step *= 2
                request = {**request, "messages": messages}
                log.info("the conversation is longer than the context of %s: %d turns are left out", self.name, self.dropped)

    async def aclose(self) -> None:
        """Close the connection of the language model."""
        await self._llm.aclose()
