"""A language model whose runner is killed in the middle of an answer: a server with a real process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.served import Served, serve
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def served(tones: dict[str, str]) -> Iterator[Served]:
    with serve(tones | {"LLM_BACKENDS": "tones-llm", "LLM_MODEL": "echo"}) as running:
        yield running


def runner_pid(served: Served) -> int:
    pid: int = httpx.get(served.url + "/health", timeout=PATIENCE_S).json()["backends"]["tones-llm"]["runner"]["pid"]
    return pid


def chat(served: Served, text: str) -> dict[str, Any]:
    answer = httpx.post(served.base_url + "/chat/completions", json={"messages": [{"role": "user", "content": text}]}, timeout=PATIENCE_S)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def test_a_runner_that_is_killed_in_an_answer_ends_it_with_an_error_and_the_next_is_answered(served: Served) -> None:
    before = runner_pid(served)
    body = {"messages": [{"role": "user", "content": "slowly forever"}], "stream": True}
    with httpx.stream("POST", served.base_url + "/chat/completions", json=body, timeout=PATIENCE_S) as answer:
        events = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        assert json.loads(next(events))["choices"][0]["delta"]["role"] == "assistant"
        assert json.loads(next(events))["choices"][0]["delta"]["content"] == "This"
        os.kill(before, signal.SIGKILL)
        *_, last = events
    assert json.loads(last)["error"]["code"] == "backend_unavailable"
    assert chat(served, "Hello again")["choices"][0]["message"]["content"] == "Hello again"
    assert runner_pid(served) != before
