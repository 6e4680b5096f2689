"""A language model without weights, which follows written commands. For tests and smoke checks.

A token is one word with the space before it. The model answers the last message, and repeats it if it is none of these commands:

- `call NAME {json}` calls that tool, if the request has a tool of that name and `tool_choice` is not `none`.
- `recite N` says N numbered sentences, and `forever` says them without an end.
- `slowly COMMAND` waits SLOW_S seconds before each token, `fail N COMMAND` fails after N tokens.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from open_speech.backends import Setup
from open_speech.errors import BackendFailed, ContextOverflow, InvalidValue
from runners.support.backend_options import EchoOptions
from runners.wiring.bento_service import Resources, llm_service

SLOW_S = 0.05
"""Seconds before each token of a slow answer."""
_CALL = re.compile(r"call\s+([\w.-]+)\s*(\{.*\})\s*", re.DOTALL)
_SLOWLY = re.compile(r"slowly\s+", re.IGNORECASE)
_FAIL = re.compile(r"fail\s+(\d+)\s+", re.IGNORECASE)
_RECITE = re.compile(r"recite\s+(\d{1,6})\s*", re.IGNORECASE)
_TOKEN = re.compile(r"\s*\S+|\s+")


class Echo:
    """The language model that repeats the last message, or does what it says."""

    def __init__(self, setup: Setup) -> None:
        """Store the name and the length of the context; there are no files."""
        self._name = setup.model.id
        self._options = EchoOptions.of(setup.settings)

    def load(self) -> None:
        """Load nothing: there are no weights."""

    def generate(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the chunks of the answer. Raises ContextOverflow at the call, and BackendFailed in an answer that is to fail."""
        is_chat = "prompt" not in request
        _check(request)
        texts = [_text(message.get("content")) for message in request["messages"]] if is_chat else [_text(request["prompt"])]
        size = sum(len(_TOKEN.findall(text)) for text in texts)
        if size >= self._options.context_size:
            raise ContextOverflow(
                f"The conversation has {size} tokens, and the context of the language model {self._options.context_size}"
                " (LLM_CONTEXT_SIZE).",
                param="messages" if is_chat else "prompt",
            )
        room = self._options.context_size - size
        limit = request.get("max_completion_tokens") or request.get("max_tokens") or room
        answer = _Answer.of(texts[-1] if texts else "", request)
        return _chunks(_Shape(self._name, is_chat=is_chat), answer, min(limit, room), size)


def _check(request: Mapping[str, Any]) -> None:
    """Raise InvalidValue for a field that cannot be used."""
    messages = request.get("messages") if "prompt" not in request else [{"role": "user"}]
    if not isinstance(messages, list) or not messages or not all(isinstance(item, Mapping) and item.get("role") for item in messages):
        raise InvalidValue("`messages` must be a list of messages, each with a `role`.", param="messages")
    for name in ("max_tokens", "max_completion_tokens"):
        if (limit := request.get(name)) is not None and (not isinstance(limit, int) or limit < 1):
            raise InvalidValue(f"`{name}` must be a positive number.", param=name)
    temperature = request.get("temperature")
    if temperature is not None and not isinstance(temperature, int | float):
        raise InvalidValue("`temperature` must be a number.", param="temperature")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to answer: tokens, or a tool call."""

    tokens: Iterator[str]
    call: tuple[str, str] | None = None
    """Name and arguments of the tool call."""
    wait_s: float = 0.0
    fail_after: int | None = None

    @classmethod
    def of(cls, command: str, request: Mapping[str, Any]) -> _Answer:
        wait_s, fail_after = 0.0, None
        if slow := _SLOWLY.match(command):
            wait_s, command = SLOW_S, command[slow.end() :]
        if fails := _FAIL.match(command):
            fail_after, command = int(fails[1]), command[fails.end() :]
        wanted = _CALL.fullmatch(command)
        if wanted and wanted[1] in _tools(request):
            return cls(iter(()), (wanted[1], wanted[2]), wait_s, fail_after)
        stops = request.get("stop") or []
        tokens = _until([stops] if isinstance(stops, str) else stops, _tokens(command))
        return cls(tokens, wait_s=wait_s, fail_after=fail_after)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The form of the chunks of one answer: those of `/chat/completions`, or of `/completions`."""

    model: str
    is_chat: bool

    def chunk(self, identity: str, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        """Return one chunk with a part of the message."""
        choice = {"delta": dict(delta)} if self.is_chat else {"text": delta.get("content") or ""}
        return self._whole(identity, [{"index": 0, **choice, "finish_reason": finish}])

    def end(self, identity: str, prompt: int, completion: int) -> dict[str, Any]:
        """Return the last chunk, with the number of tokens."""
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {**self._whole(identity, []), "usage": usage}

    def _whole(self, identity: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": self.model, "choices": choices}


def _chunks(shape: _Shape, answer: _Answer, limit: int, prompt: int) -> Iterator[Mapping[str, Any]]:
    identity = f"{'chatcmpl' if shape.is_chat else 'cmpl'}-{secrets.token_hex(12)}"
    if shape.is_chat:
        yield shape.chunk(identity, {"role": "assistant", "content": None})
    count, finish = 0, "stop"
    if answer.call is not None:
        name, arguments = answer.call
        head = {"index": 0, "id": f"call_{secrets.token_hex(8)}", "type": "function", "function": {"name": name, "arguments": ""}}
        yield shape.chunk(identity, {"tool_calls": [head]})
        yield shape.chunk(identity, {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})
        count, finish = len(_TOKEN.findall(arguments)), "tool_calls"
    for token in answer.tokens:
        if count == answer.fail_after:
            raise BackendFailed("The language model failed, as the last message asked for.")
        if count == limit:
            finish = "length"
            break
        time.sleep(answer.wait_s)
        count += 1
        yield shape.chunk(identity, {"content": token})
    yield shape.chunk(identity, {}, finish)
    yield shape.end(identity, prompt, count)


def _tokens(command: str) -> Iterator[str]:
    """Yield the tokens of the answer to a command."""
    recited = _RECITE.fullmatch(command)
    if recited is None and command.strip().lower() != "forever":
        yield from _TOKEN.findall(command)
        return
    for number in range(1, int(recited[1]) + 1) if recited else itertools.count(1):
        yield from _TOKEN.findall(f"{' ' if number > 1 else ''}This is sentence number {number}.")


def _until(stops: list[str], tokens: Iterator[str]) -> Iterator[str]:
    """Yield tokens up to the first of the stop texts that occurs within a token."""
    for token in tokens:
        at = min((token.find(stop) for stop in stops if stop in token), default=-1)
        if at >= 0:
            if at:
                yield token[:at]
            return
        yield token


def _tools(request: Mapping[str, Any]) -> set[str]:
    """Return the names of the tools that the answer may call."""
    if request.get("tool_choice") == "none":
        return set()
    return {tool["function"]["name"] for tool in request.get("tools") or ()}


def _text(content: Any) -> str:
    """Return the text of a message: a string, or a list of parts."""
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    return content or ""


Runner = llm_service("tones-llm", Echo, Resources(threads=4, cpu=0.5, memory="256Mi"))
