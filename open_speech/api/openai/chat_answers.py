"""Chunks of a language model -> OpenAI's chunks, or one whole answer. Pure.

The fields of the chunks are those of the model's server. Only OpenAI's fields are passed on, and `timings` on request.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

_LOGPROB = ("token", "logprob", "bytes")


@dataclass(frozen=True, slots=True)
class Answer:
    """What all chunks of one answer have in common, and what the client wants of it."""

    model: str
    is_chat: bool = True
    has_usage: bool = True
    """Whether a streamed answer ends with its usage."""
    has_timings: bool = False
    top_logprobs: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(14))
    created: int = field(default_factory=lambda: int(time.time()))

    async def streamed(self, chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield OpenAI's chunks; the first one has the role."""
        usage: Mapping[str, Any] | None = None
        timings: Mapping[str, Any] = {}
        is_first = True
        async with aclosing(chunks):
            async for chunk in chunks:
                usage, timings = chunk.get("usage") or usage, chunk.get("timings") or timings
                for choice in self._choices(chunk, is_first=is_first):
                    is_first = False
                    yield {**self._head("chat.completion.chunk"), "choices": [choice], **({"usage": None} if self.has_usage else {})}
        end = {**({"usage": usage_of(usage)} if self.has_usage else {}), **({"timings": timings} if self.has_timings and timings else {})}
        if end:
            yield {**self._head("chat.completion.chunk"), "choices": [], **end}

    async def whole(self, chunks: AsyncGenerator[dict[str, Any], None]) -> dict[str, Any]:
        """Return the answer as one object."""
        parts = _Parts()
        async with aclosing(chunks):
            await parts.collect(chunks, self)
        timings = {"timings": parts.timings} if self.has_timings and parts.timings else {}
        choice = parts.chat_choice() if self.is_chat else parts.text_choice()
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage_of(parts.usage), **timings}

    def _head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        kind = kind if self.is_chat else "text_completion"
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}

    def _choices(self, chunk: Mapping[str, Any], *, is_first: bool) -> Iterable[dict[str, Any]]:
        for choice in (chunk.get("choices") or ())[:1]:
            end = {"logprobs": self.logprobs_of(choice), "finish_reason": choice.get("finish_reason")}
            if not self.is_chat:
                yield {"index": 0, "text": choice.get("text") or "", **end}
                continue
            delta = {name: value for name, value in (choice.get("delta") or {}).items() if value is not None and name != "role"}
            if is_first:
                delta = {"role": "assistant", "content": "" if "tool_calls" not in delta else None, **delta}
            yield {"index": 0, "delta": delta, **end}

    def logprobs_of(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the log probabilities of a choice, with as many alternatives as the client wants; None if there are none."""
        content = (choice.get("logprobs") or {}).get("content") if self.is_chat else None
        if not content:
            return None
        tokens = [
            {**_logprob(token), "top_logprobs": [_logprob(other) for other in (token.get("top_logprobs") or ())[: self.top_logprobs]]}
            for token in content
        ]
        return {"content": tokens, "refusal": None}


@dataclass(slots=True)
class _Parts:
    """The parts of an answer that have arrived."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    timings: Mapping[str, Any] = field(default_factory=dict)

    async def collect(self, chunks: AsyncIterator[Mapping[str, Any]], answer: Answer) -> None:
        async for chunk in chunks:
            self.usage = chunk.get("usage") or self.usage
            self.timings = chunk.get("timings") or self.timings
            for choice in (chunk.get("choices") or ())[:1]:
                self.finish = choice.get("finish_reason") or self.finish
                self.text.append(choice.get("text") or "")
                self._add(choice.get("delta") or {})
                self.logprobs += (answer.logprobs_of(choice) or {"content": []})["content"]

    def chat_choice(self) -> dict[str, Any]:
        text, reasoning = "".join(self.text), "".join(self.reasoning)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not self.calls else None, "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        if self.calls:
            message["tool_calls"] = [self.calls[index] for index in sorted(self.calls)]
        logprobs = {"content": self.logprobs, "refusal": None} if self.logprobs else None
        return {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": self.finish or "stop"}

    def text_choice(self) -> dict[str, Any]:
        return {"index": 0, "text": "".join(self.text), "logprobs": None, "finish_reason": self.finish or "stop"}

    def _add(self, delta: Mapping[str, Any]) -> None:
        self.text.append(delta.get("content") or "")
        self.reasoning.append(delta.get("reasoning_content") or "")
        for position, part in enumerate(delta.get("tool_calls") or ()):
            empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            call = self.calls.setdefault(part.get("index", position), empty)
            call["id"] = call["id"] or part.get("id") or ""
            function = part.get("function") or {}
            call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""


def usage_of(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return OpenAI's usage; zeros if the server of the model does not count tokens."""
    counted = usage or {}
    prompt, completion = counted.get("prompt_tokens") or 0, counted.get("completion_tokens") or 0
    details = {name: value for name, value in counted.items() if name.endswith("_details")}
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **details}


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    return {name: token.get(name) for name in _LOGPROB}
