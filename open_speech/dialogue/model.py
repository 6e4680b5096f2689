"""What a conversation needs of a language model, wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from open_speech.dialogue.completions import Piece


class AnsweringModel(Protocol):
    """What answers conversations: a language model, or something around one that limits or measures its answers."""

    name: str
    """Its name in requests."""

    def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """Send a request, and yield the response as it is generated: text and tool calls, then one Ended.

        `request` is a body of `/chat/completions` without `model` and `stream`. Closing the generator ends the generation. Raises
        LanguageModelFailed and its subclasses, ContextOverflow, and for a local model what its runner raises.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; safe to call again."""
        ...


class LanguageModel(AnsweringModel, Protocol):
    """A language model, of this server or of another one."""

    def chunks(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a request as `answer` does, and yield the whole response in chunks, as `/chat/completions` streams them.

        The last one has `usage` if the server counts tokens. The fields of the chunks are those of the server.
        """
        ...
