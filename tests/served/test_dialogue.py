"""Dialogues on a server with real processes: the runner of the language model is killed in the middle of an answer, and a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from benchmarks.served import Served, serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served


@contextmanager
def conversation(served: Served, session: str) -> Iterator[ClientConnection]:
    url = served.url.replace("http", "ws", 1) + "/v1/conversation/ws"
    with connect(url, proxy=None, max_size=None) as socket:
        socket.recv(PATIENCE_S)
        socket.send(json.dumps({"type": "config", "session_id": session}))
        socket.recv(PATIENCE_S)
        yield socket


def until_type(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(socket.recv(PATIENCE_S))
        if message["type"] in kinds:
            return message


def say(socket: ClientConnection, text: str) -> dict[str, Any]:
    socket.send(json.dumps({"type": "text", "content": text}))
    return until_type(socket, "done", "error")


def turns(served: Served) -> dict[str, int]:
    found = httpx.get(served.url + "/v1/dialogue/sessions", timeout=PATIENCE_S).json()["data"]
    return {session["id"]: session["turns"] for session in found}


def test_the_memory_survives_a_killed_runner_and_a_restart(tones: dict[str, str], tmp_path: Path) -> None:
    settings = tones | {"LLM_BACKENDS": "tones-llm", "LLM_MODEL": "echo", "OS_DIALOGUE_DIR": str(tmp_path / "dialogues")}
    with serve(settings) as served, conversation(served, "kitchen") as socket:
        assert say(socket, "My name is Ann.")["type"] == "done"
        socket.send(json.dumps({"type": "text", "content": "slowly forever"}))
        until_type(socket, "audio")
        served.kill("tones_llm")
        assert until_type(socket, "done", "error")["type"] == "error"
        assert turns(served) == {"kitchen": 1}
        until(lambda: say(socket, "Are you still there?")["type"] == "done")
        assert turns(served) == {"kitchen": 2}
    with serve(settings) as again:
        assert turns(again) == {"kitchen": 2}
        with conversation(again, "kitchen") as socket:
            assert say(socket, "Hello again.")["type"] == "done"
        assert turns(again) == {"kitchen": 3}


def test_a_client_that_leaves_frees_the_model(tones: dict[str, str]) -> None:
    settings = tones | {"LLM_BACKENDS": "tones-llm", "LLM_MODEL": "echo", "LLM_PARALLEL": "1"}
    with serve(settings) as served:
        with conversation(served, "kitchen") as socket:
            socket.send(json.dumps({"type": "text", "content": "slowly forever"}))
            until_type(socket, "audio")
        answer = httpx.post(served.url + "/v1/generate", json={"prompt": "recite 1"}, timeout=PATIENCE_S)
        assert answer.json()["generated_text"] == "This is sentence number 1."
        assert turns(served) == {}
