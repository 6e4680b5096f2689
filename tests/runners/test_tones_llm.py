"""The language model without weights does what the last message says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from open_speech.backends import ModelEntry, Setup, Task
from open_speech.errors import BackendFailed, ContextOverflow
from runners.tones_llm import Echo

MODEL = Echo(Setup(ModelEntry("echo", "tones-llm", Task.LLM, "MIT", ("en",)), Path(), settings={"llm_context_size": 100}))
TOOLS = [{"type": "function", "function": {"name": "light", "parameters": {}}}]


def request(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], **more}


def text_of(chunks: list[Mapping[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def finish_of(chunks: list[Mapping[str, Any]]) -> str:
    return str(chunks[-2]["choices"][0]["finish_reason"])


def test_the_last_message_is_repeated_word_by_word_and_counted() -> None:
    chunks = list(MODEL.generate(request("Hello there,  \n you!")))
    assert text_of(chunks) == "Hello there,  \n you!"
    assert len(chunks) == 1 + 3 + 2
    assert finish_of(chunks) == "stop"
    assert chunks[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def test_a_message_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    assert text_of(list(MODEL.generate({"messages": [{"role": "user", "content": parts}]}))) == "one two"


def test_a_tool_is_called_only_if_the_request_has_it() -> None:
    command = 'call light {"room": "hall"}'
    deltas = [chunk["choices"][0]["delta"] for chunk in MODEL.generate(request(command, tools=TOOLS)) if chunk["choices"]]
    calls = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
    assert (calls[0]["name"], "".join(call["arguments"] for call in calls)) == ("light", '{"room": "hall"}')
    assert finish_of(list(MODEL.generate(request(command, tools=TOOLS)))) == "tool_calls"
    assert text_of(list(MODEL.generate(request(command)))) == command
    assert text_of(list(MODEL.generate(request(command, tools=TOOLS, tool_choice="none")))) == command


def test_sentences_are_recited() -> None:
    said = text_of(list(MODEL.generate(request("recite 2"))))
    assert said == "This is sentence number 1. This is sentence number 2."


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_endless_answer_ends_at_the_limit_of_the_request(name: str) -> None:
    chunks = list(MODEL.generate(request("forever", **{name: 7})))
    assert text_of(chunks) == "This is sentence number 1. This is"
    assert finish_of(chunks) == "length"


def test_an_endless_answer_ends_with_the_context() -> None:
    chunks = list(MODEL.generate(request("forever")))
    assert chunks[-1]["usage"]["total_tokens"] == 100


def test_a_stop_text_ends_the_answer() -> None:
    chunks = list(MODEL.generate(request("one two three", stop=["hree", "wo"])))
    assert text_of(chunks) == "one t"
    assert finish_of(chunks) == "stop"


def test_a_slow_answer_has_the_same_tokens() -> None:
    assert text_of(list(itertools.islice(MODEL.generate(request("slowly forever")), 3))) == "This is"


def test_an_answer_fails_after_its_tokens() -> None:
    answer = MODEL.generate(request("fail 2 one two three"))
    assert text_of(list(itertools.islice(answer, 3))) == "one two"
    with pytest.raises(BackendFailed):
        next(answer)


def test_a_conversation_longer_than_the_context_is_refused_at_the_call() -> None:
    with pytest.raises(ContextOverflow, match="103 tokens") as caught:
        MODEL.generate(request("word " * 100))
    assert caught.value.param == "messages"


def test_a_prompt_is_continued_in_chunks_of_completions() -> None:
    chunks = list(MODEL.generate({"prompt": "one two"}))
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "one two"
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
