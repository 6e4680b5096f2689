"""A language model's server for the tests: OpenAI's `/chat/completions` over a real socket, which does what the last message says."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from tests.waiting import PATIENCE_S

KEY = "llm-key"
CALL: list[dict[str, Any]] = [
    {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "light", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"room":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ' "kitchen"}'}}]},
]
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


@dataclass
class LanguageModelServer:
    """Where it is, and what it was asked."""

    url: str = ""
    answer: str = "It is warm and sunny in Paris today. Tomorrow there will be some rain."
    """What it says when nothing else is asked of it."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Set when somebody left an answer before its end."""


def app_of(server: LanguageModelServer) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        server.requests.append(body)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401)
        said = _last(body)
        if said.startswith("only max_completion_tokens") and "max_completion_tokens" not in body:
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return JSONResponse({"error": {"message": message, "code": "unsupported_parameter"}}, 400)
        if said.startswith("status "):
            return JSONResponse({"error": {"message": "as you wish"}}, int(said.split()[1]))
        if said.startswith("forget") and sum(message["role"] == "user" for message in body["messages"]) > 1:
            message = "This model's maximum context length is 10 tokens."
            return JSONResponse({"error": {"message": message, "code": "context_length_exceeded"}}, 400)
        if said == "whole":
            choice = {"message": {"role": "assistant", "content": server.answer}, "finish_reason": "stop"}
            return JSONResponse({"choices": [choice], "usage": USAGE})
        return StreamingResponse(_stream(server, said), media_type="text/event-stream")

    return app


def _last(body: dict[str, Any]) -> str:
    content = body["messages"][-1].get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


async def _stream(server: LanguageModelServer, said: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in _chunks(server, said):
            yield chunk
    except asyncio.CancelledError:
        server.left.set()
        raise


async def _chunks(server: LanguageModelServer, said: str) -> AsyncIterator[bytes]:
    match said:
        case "silence":
            await asyncio.sleep(3600)
        case "pings":
            while True:
                yield b": still here\n\n"
                await asyncio.sleep(0.02)
        case "garbage":
            yield b"data: {no json\n\n"
        case "break off":
            yield _event({"content": "It begins well. And then"})
            return
        case "on and on":
            for number in range(100_000):
                yield _event({"content": f"This is sentence number {number}. "})
                await asyncio.sleep(0.001)
        case _:
            for delta in CALL if said == "call it" else [{"content": word} for word in re.findall(r"\S+\s*", server.answer)]:
                yield _event(delta)
                await asyncio.sleep(0.02 if said == "slowly" else 0)
    yield _event({}, finish={"too long": "length", "call it": "tool_calls"}.get(said, "stop"))
    yield b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, Any], *, finish: str | None = None) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


@contextmanager
def serve_language_model() -> Iterator[LanguageModelServer]:
    """Serve on a free loopback port until the block ends."""
    model = LanguageModelServer()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app_of(model), log_config=None, access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the language model's server did not start"
            time.sleep(0.01)
        model.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield model
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
