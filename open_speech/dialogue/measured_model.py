"""A language model for one answer that measures it, and ends it at its limit of tokens even if the server of the model does not."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from open_speech.dialogue.completions import Ended, Piece, TextDelta
from open_speech.dialogue.model import AnsweringModel


class MeasuredModel:
    """A language model for one answer. Times are those of `clock`, in seconds."""

    def __init__(
        self,
        llm: AnsweringModel,
        *,
        max_tokens: int,
        ended: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`ended` receives the whole text as soon as it is generated, while it may still be spoken."""
        self.name = llm.name
        self.first_at: float | None = None
        """When the first token was received; None if there was none yet."""
        self.ended_at: float | None = None
        self.text = ""
        self._pieces = 0
        self._usage: Mapping[str, int] = {}
        self._llm = llm
        self._max_tokens = max_tokens
        self._ended = ended
        self._clock = clock

    def now(self) -> float:
        """Return the time of the clock."""
        return self._clock()

    @property
    def tokens(self) -> int:
        """Tokens of the answer: as the model counted them, or else the number of its parts."""
        return self._usage.get("completion_tokens", self._pieces)

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Answer as in LanguageModel."""
        parts: list[str] = []
        async with aclosing(self._llm.answer(request)) as pieces:
            async for piece in pieces:
                match piece:
                    case TextDelta() if self._pieces >= self._max_tokens:
                        break  # each part has at least one token, so the model generates more than it was asked to
                    case TextDelta(text):
                        self.first_at = self._clock() if self.first_at is None else self.first_at
                        self._pieces += 1
                        parts.append(text)
                    case Ended(_, usage):
                        self._usage = usage
                        self._finish(parts)
                yield piece
            else:
                return
        self._finish(parts)
        yield Ended("max_output_tokens")

    async def aclose(self) -> None:
        """Close the connection of the language model."""
        await self._llm.aclose()

    def _finish(self, parts: list[str]) -> None:
        self.ended_at, self.text = self._clock(), "".join(parts)
        if self._ended is not None:
            self._ended(self.text)
