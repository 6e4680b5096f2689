"""The language model runner against llama.cpp's own server: the same package, model and parameters, by turns in one run.

Both are in processes of their own, and generate the same answers. Ours is called as the front process calls it, by the hop, and as a client
does, if the server has `/v1/chat/completions`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from _bentoml_impl.client.proxy2 import AsyncClient

from benchmarks.clips import model_folder
from benchmarks.served import ROOT, Served, free_port, serve
from open_speech.dispatch.client import RunnerClient
from runners import catalog
from runners.host.service_link import ServiceLink
from runners.llama import default_threads

MODEL = "gemma-3-270m"
AT_ONCE = (1, 4)
ROUNDS = 6
TOKENS = 96
PARALLEL, CONTEXT, BATCH = 4, 2048, 512
THREADS = default_threads(os.cpu_count() or 1)
SETTINGS = {
    "OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "LLM_PARALLEL": str(PARALLEL), "LLM_CONTEXT_SIZE": str(CONTEXT),
    "LLM_BATCH_SIZE": str(BATCH), "LLM_MODEL": MODEL, "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts",
    "LLM_THREADS": str(THREADS), "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
}  # fmt: skip
NO_END = {str(token): -100 for token in (1, *range(106, 140))}
"""Gemma's tokens for the end of a text and for line feeds, at which an answer of this model ends: every answer has TOKENS tokens."""
READY_S = 120.0
Chunks = AsyncGenerator[Mapping[str, Any], None]


@dataclass
class Contender:
    """One way to an answer, and all measurements of it, by number of conversations at once."""

    name: str
    ask: Callable[[Mapping[str, Any]], Chunks]
    cpu_s: Callable[[], float]
    first_s: dict[int, list[float]] = field(default_factory=dict)
    """Seconds to the first text of each answer."""
    per_s: dict[int, list[float]] = field(default_factory=dict)
    """Tokens per second of all conversations together, of each round."""
    cpu: dict[int, float] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)


def run(*, quick: bool = False) -> None:
    """Measure and print."""
    asyncio.run(_measure(2 if quick else ROUNDS))


async def _measure(rounds: int) -> None:
    async with AsyncExitStack() as stack:
        peer = stack.enter_context(_llama_server())
        runner = stack.enter_context(serve(SETTINGS, target="runners.llama:Runner"))
        print(f"memory of the idle runner: {runner.memory_mb()}", flush=True)
        contenders = [
            Contender("llama.cpp's server, HTTP", _over_http(peer.url), peer.cpu_s),
            Contender("runner, by the hop", await stack.enter_async_context(_over_the_hop(runner.url)), runner.cpu_s),
        ]
        served = stack.enter_context(serve(SETTINGS))
        if "/v1/chat/completions" in httpx.get(f"{served.url}/openapi.json", timeout=60).json()["paths"]:
            contenders.append(Contender("server, HTTP", _over_http(served.url), served.cpu_s))
        for number in range(rounds + 1):
            for at_once in AT_ONCE:
                for contender in contenders:
                    await _round(contender, number, at_once, counts=number > 0)
        print(table(contenders), flush=True)
        print(f"memory of the runner with the model: {runner.memory_mb()}", flush=True)


async def _round(contender: Contender, number: int, at_once: int, *, counts: bool) -> None:
    """Answer `at_once` conversations; the first round loads the models and does not count."""
    await asyncio.sleep(0.5)  # threads of the contender before this one still spin
    cpu, started = contender.cpu_s(), time.perf_counter()
    answers = await asyncio.gather(*(_answer(contender, f"{number}-{at}") for at in range(at_once)))
    took_s, used = time.perf_counter() - started, contender.cpu_s() - cpu
    if counts:
        tokens = sum(count for _, count in answers)
        contender.first_s.setdefault(at_once, []).extend(first for first, _ in answers)
        contender.per_s.setdefault(at_once, []).append(tokens / took_s)
        contender.cpu[at_once] = contender.cpu.get(at_once, 0.0) + used
        contender.tokens[at_once] = contender.tokens.get(at_once, 0) + tokens


async def _answer(contender: Contender, name: str) -> tuple[float, int]:
    """Read one answer; return the seconds to its first text, and its tokens."""
    messages = [
        {"role": "user", "content": f"My name is {name}. Tell me what you know about the rivers and mountains of Europe, in detail."}
    ]
    request = {"messages": messages, "max_tokens": TOKENS, "temperature": 0, "logit_bias": NO_END}
    started, first, tokens = time.perf_counter(), 0.0, 0
    async with aclosing(contender.ask(request)) as chunks:
        async for chunk in chunks:
            if not first and any(choice["delta"].get("content") for choice in chunk["choices"]):
                first = time.perf_counter() - started
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    assert tokens == TOKENS, f"{contender.name}: {tokens} tokens"
    return first, tokens


def table(contenders: list[Contender]) -> str:
    """Write the results; ratios are to the first contender, of the same round."""
    lines = [f"{'':28s} {'at once':>7s} {'first s':>8s} {'tokens/s':>9s} {'ratio':>6s} {'CPU s per 100':>14s} {'ratio':>6s}"]
    base = contenders[0]
    for at_once in AT_ONCE:
        for one in contenders:
            ratio = statistics.median(ours / theirs for ours, theirs in zip(one.per_s[at_once], base.per_s[at_once], strict=True))
            cpu, base_cpu = (100 * each.cpu[at_once] / each.tokens[at_once] for each in (one, base))
            first, per_s = statistics.median(one.first_s[at_once]), statistics.median(one.per_s[at_once])
            lines.append(f"{one.name:28s} {at_once:7d} {first:8.3f} {per_s:9.1f} {ratio:6.2f} {cpu:14.2f} {cpu / base_cpu:6.2f}")
    return "\n".join(lines)


def _over_http(url: str) -> Callable[[Mapping[str, Any]], Chunks]:
    """Return a call of `/v1/chat/completions`."""
    client = httpx.AsyncClient(base_url=url, timeout=READY_S, headers={"Authorization": "Bearer bench"})
    usage = {"stream": True, "stream_options": {"include_usage": True}, "model": MODEL}

    async def ask(request: Mapping[str, Any]) -> Chunks:
        async with client.stream("POST", "/v1/chat/completions", json={**request, **usage}) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[len("data: ") :])

    return ask


@asynccontextmanager
async def _over_the_hop(url: str) -> AsyncIterator[Callable[[Mapping[str, Any]], Chunks]]:
    """Yield a call of the runner, as the front process makes it."""
    from runners.llama import Runner
    from runners.wiring.bento_service import CALL_TIMEOUT_S

    class Dependency:
        def __init__(self, client: AsyncClient) -> None:
            self.to_async = client

    async with AsyncClient(url, service=Runner, media_type="application/json", timeout=CALL_TIMEOUT_S) as client:
        runner = RunnerClient("llama", ServiceLink(Dependency(client)), deadline_s=READY_S)
        yield lambda request: runner.generate(MODEL, request)


@contextmanager
def _llama_server() -> Iterator[Served]:
    """Run llama.cpp's server of xllamacpp in a process of its own."""
    port = free_port()
    log = Path("/dev/null")
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.llm", str(port)], cwd=ROOT)
    try:
        until = time.monotonic() + READY_S
        while not _is_up(f"http://127.0.0.1:{port}"):
            if time.monotonic() > until or process.poll() is not None:
                raise TimeoutError("llama.cpp's server did not start")
            time.sleep(0.1)
        yield Served(f"http://127.0.0.1:{port}", process, log)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()
        process.terminate()
        process.wait(20)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _serve_llama(port: int) -> None:
    """Serve the model with llama.cpp's own server, until this process is terminated."""
    from xllamacpp import CommonParams, Server

    (model,) = [entry for entry in catalog.own_models() if entry.id == MODEL]
    params = CommonParams()
    params.model.path = str(next(model_folder(MODEL).glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.n_batch, params.cache_ram_mib = CONTEXT * PARALLEL, PARALLEL, BATCH, 256
    params.chat_template = model.chat_template
    params.hostnames, params.port, params.verbosity = ["127.0.0.1"], port, 0
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    server = Server(params)
    print(f"llama.cpp's server at {server.listening_address}", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    _serve_llama(int(sys.argv[1]))
