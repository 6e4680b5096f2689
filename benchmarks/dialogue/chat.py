"""A scripted chat server: `/v1/chat/completions`, which sends a given text at a given pace."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

FIRST_TOKEN_S = 0.2
"""Seconds from a request to its first token, about those of a small model on a GPU."""
SHORT = "That is fine with me."
"""The answer of a scene in which nobody speaks into it: one sentence."""
LONG = (
    "Let me tell you how it works. First you open the main valve, and wait until the needle is still. Then you fill the tank with clean"
    " water. After ten minutes you may close the lid again. The rest of the work is done by the machine."
)
TOKENS_PER_S, SPOKEN_TOKENS_PER_S = 50.0, 5.0
"""A long answer is generated about as fast as it is spoken, but for its first sentence, so that it can be interrupted meanwhile."""


@dataclass
class ChatServer:
    """A running chat server. `answer` and `tokens_per_s` may be changed at any time."""

    url: str = ""
    answer: str = SHORT
    tokens_per_s: float = TOKENS_PER_S
    """Pace after the first sentence, which has TOKENS_PER_S."""
    requests: list[tuple[float, float]] = field(default_factory=list)
    """Times of `time.perf_counter` at which each request arrived, and at which its first token was sent; infinity before that."""
    sentences: list[float] = field(default_factory=list)
    """Times of `time.perf_counter` at which the first sentence of each answer was complete."""

    def say(self, answer: str, tokens_per_s: float) -> None:
        """Answer so from now on."""
        self.answer, self.tokens_per_s = answer, tokens_per_s


def _app(server: ChatServer) -> Starlette:
    async def complete(request: Request) -> Response:
        await request.json()
        number = len(server.requests)
        server.requests.append((time.perf_counter(), float("inf")))
        return StreamingResponse(_chunks(server, number), media_type="text/event-stream")

    async def models(_: Request) -> Response:
        return Response('{"object":"list","data":[{"id":"scripted","object":"model"}]}', media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)])


async def _chunks(server: ChatServer, number: int) -> AsyncIterator[bytes]:
    words, pace, is_first = server.answer.split(), server.tokens_per_s, True
    await asyncio.sleep(FIRST_TOKEN_S)
    for count, word in enumerate(words):
        if count == 0:
            server.requests[number] = server.requests[number][0], time.perf_counter()
        yield _event({"role": "assistant", "content": word + (" " if count < len(words) - 1 else "")}, None)
        if is_first and word.endswith("."):
            server.sentences.append(time.perf_counter())
            is_first = False
        await asyncio.sleep(1 / (TOKENS_PER_S if is_first else pace))
    yield _event({}, "stop")
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "scripted", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@contextmanager
def serve_chat() -> Iterator[ChatServer]:
    """Serve on a free loopback port, in a thread, until the block ends."""
    chat = ChatServer()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_app(chat), log_config=None, access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        chat.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield chat
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
