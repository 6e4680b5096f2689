"""A language model in the test's own process: a list of pieces, or an error, for each request in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from open_speech.dialogue.completions import Ended, Piece, TextDelta
from open_speech.errors import ContextOverflow

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


class ScriptedModel:
    """Answers with the words of `answers`, one per request; the last one is repeated. More than `context` turns overflow."""

    name = "scripted"

    def __init__(self, *answers: str | Exception | Sequence[Piece | Exception], context: int = 100) -> None:
        self.requests: list[dict[str, Any]] = []
        self.yielded = 0
        self.left = 0
        """How many answers were closed before their end."""
        self._answers = list(answers)
        self._context = context

    async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        self.requests.append(dict(request))
        if sum(message["role"] == "user" for message in request["messages"]) > self._context:
            raise ContextOverflow("The conversation is too long.", param="messages")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        pieces = words(answer) if isinstance(answer, str) else answer
        done = False
        try:
            for piece in pieces:
                await asyncio.sleep(0)
                if isinstance(piece, Exception):
                    raise piece
                self.yielded += 1
                yield piece
            done = True
        finally:
            self.left += not done

    async def aclose(self) -> None:
        """Nothing to close."""


def words(text: str) -> list[Piece]:
    """The pieces of a complete answer, one word each."""
    return [*(TextDelta(word) for word in text.replace(" ", " \0").split("\0")), Ended(usage=USAGE)]


def prompts(model: ScriptedModel) -> list[list[str]]:
    """The contents of the messages of each request."""
    return [[message["content"] for message in request["messages"]] for request in model.requests]
