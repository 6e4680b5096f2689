"""The requirements of every language model, with any engine."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest

from open_speech.backends import TextGenerator
from open_speech.errors import ContextOverflow, InvalidRequest
from open_speech.testing.row import CatalogRow

_ENDS = ("stop", "length", "tool_calls")
_IDLE_SHARE = 0.5
"""Share of a processor that a process at rest uses at most."""
_WINDOW_S = 0.3


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole answer, after the checks that every answer must pass."""

    text: str
    end: str
    """Why it ended: `stop`, `length` or `tool_calls`."""
    usage: Mapping[str, Any]


def generated(backend: TextGenerator, request: Mapping[str, Any]) -> Generated:
    """Return the answer to a request, after the checks of its chunks."""
    chunks = [chunk for chunk in backend.generate(request) if chunk]
    assert chunks, "an answer must have chunks"
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    assert len(ends) == 1, f"one chunk must say why the answer ended, not {ends}"
    assert ends[0] in _ENDS
    usage = chunks[-1].get("usage")
    assert usage, "the last chunk must have `usage`"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 0
    texts = [choice["text"] if "prompt" in request else choice["delta"].get("content") or "" for choice in choices]
    return Generated("".join(texts), ends[0], usage)


class TextGeneratorConformance(CatalogRow):
    """The tests of a backend with `generate`."""

    conversation: ClassVar[Mapping[str, Any]] = {
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 16,
        "temperature": 0,
    }
    """A request that has an answer of at least one word."""
    overlong: ClassVar[int] = 50_000
    """Words that are more than the context has room for."""

    def test_a_conversation_is_answered(self, backend: TextGenerator) -> None:
        """A conversation has an answer, the reason of its end, and the tokens used in the last chunk."""
        answer = generated(backend, self.conversation)
        assert answer.text.strip()
        assert 0 < answer.usage["completion_tokens"] <= 16

    def test_a_text_is_continued(self, backend: TextGenerator) -> None:
        """A request with `prompt` instead of `messages` continues the text, in chunks with `text`."""
        answer = generated(backend, {"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0})
        assert answer.text.strip()

    def test_the_limit_of_tokens_is_kept(self, backend: TextGenerator) -> None:
        """With `max_tokens` of 1 an answer has one token, and its end is `length`."""
        answer = generated(backend, {"prompt": "One, two, three,", "max_tokens": 1, "temperature": 0})
        assert (answer.usage["completion_tokens"], answer.end) == (1, "length")

    def test_an_answer_ends_at_a_stop(self, backend: TextGenerator) -> None:
        """An answer ends before a text of `stop`, which is not part of it."""
        answer = generated(backend, {"prompt": "One, two, three,", "max_tokens": 64, "temperature": 0, "stop": [","]})
        assert "," not in answer.text

    def test_an_answer_that_is_closed_stops(self, backend: TextGenerator) -> None:
        """Closing an answer ends its generation within a few tokens: the process is at rest."""
        answer = _open(backend, {**self.conversation, "prompt": "One, two, three,", "max_tokens": 1000})
        started = time.monotonic()
        count = _read(answer, 10)
        per_token_s = (time.monotonic() - started) / max(1, count)
        answer.close()
        ends = time.monotonic() + 1 + 20 * per_token_s
        while (share := _processor_share()) > _IDLE_SHARE:
            assert time.monotonic() < ends, f"the process still uses {share:.1f} processors"

    def test_a_caller_may_leave_at_any_point(self, backend: TextGenerator) -> None:
        """An answer can be closed before its first chunk and after it, and the backend answers others."""
        for count in (0, 1, 2):
            answer = _open(backend, self.conversation)
            _read(answer, count)
            answer.close()
        assert generated(backend, self.conversation).text.strip()

    def test_conversations_at_once_do_not_mix(self, backend: TextGenerator) -> None:
        """Conversations from three threads at once each have the prompt, and an answer, of their own."""
        requests = [{"prompt": "One, two, three, " * repeats, "max_tokens": 4, "temperature": 0} for repeats in (1, 2, 4)]
        alone = [generated(backend, request).usage["prompt_tokens"] for request in requests]
        with ThreadPoolExecutor(len(requests)) as pool:
            together = list(pool.map(lambda request: generated(backend, request), requests))
        assert [answer.usage["prompt_tokens"] for answer in together] == alone
        assert all(answer.text.strip() for answer in together)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("messages", []), ("messages", "Hello"), ("messages", [{"content": "no role"}]), ("max_tokens", 0), ("temperature", "warm")],
    )
    def test_a_broken_request_is_refused(self, backend: TextGenerator, field: str, value: object) -> None:
        """A field that cannot be used raises a subclass of InvalidRequest with its name in `param`, before the first chunk."""
        with pytest.raises(InvalidRequest) as refused:
            _read(_open(backend, {**self.conversation, field: value}), 1)
        assert refused.value.param == field
        assert generated(backend, self.conversation).text.strip()

    def test_a_conversation_that_is_too_long_is_refused(self, backend: TextGenerator) -> None:
        """A conversation that is longer than the context raises ContextOverflow with `messages` in `param`, before the first chunk."""
        content = " ".join(["word"] * self.overlong)
        with pytest.raises(ContextOverflow) as refused:
            _read(_open(backend, {**self.conversation, "messages": [{"role": "user", "content": content}]}), 1)
        assert refused.value.param == "messages"


def _open(backend: TextGenerator, request: Mapping[str, Any]) -> Generator[Mapping[str, Any], None, None]:
    """Begin an answer; its iterator must be a generator, or have `close` as one."""
    return cast("Generator[Mapping[str, Any], None, None]", backend.generate(request))


def _read(answer: Iterator[Mapping[str, Any]], count: int) -> int:
    """Read up to `count` chunks that are not empty; return how many there were."""
    read = 0
    while read < count and (chunk := next(answer, None)) is not None:
        read += bool(chunk)
    return read


def _processor_share() -> float:
    """Return how many processors this process uses at the moment."""
    before, started = time.process_time(), time.monotonic()
    time.sleep(_WINDOW_S)
    return (time.process_time() - before) / (time.monotonic() - started)
