"""Patches of BentoML that show in a server, by what happens without them; docs/decisions/0009-bentoml-patches.md lists all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from _bentoml_impl.client.proxy2 import AsyncClient

from benchmarks.served import ROOT, Served, free_port, serve
from runners.host import bentoml_patches
from tests.served.slow_service import PIECES, Slow
from tests.waiting import PATIENCE_S, eventually, until

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def slow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    home = tmp_path_factory.mktemp("bentoml")
    environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    with (home / "log").open("wb") as log:
        command = [sys.executable, "-m", "bentoml", "serve", "tests.served.slow_service:Slow", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url + "/readyz", timeout=PATIENCE_S).status_code == 200
    return False


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(url, service=Slow, media_type="application/json")
    try:
        yield client
    finally:
        await client.close()


def test_leaving_a_stream_stops_the_runner(slow_url: str) -> None:
    bentoml_patches.apply()

    async def leave() -> int:
        async with connected(slow_url) as client:
            async with aclosing(client.call("stream", size=100_000)) as stream:
                await anext(stream)

            async def has_stopped() -> bool:
                return bool((await client.call("progress"))[1])

            await eventually(has_stopped)
            return int((await client.call("progress"))[0])

    assert asyncio.run(leave()) < PIECES / 2


def test_an_answer_that_begins_late_is_not_cut_off(slow_url: str) -> None:
    answer = httpx.post(slow_url + "/late", json={}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.text) == (200, "late")


def test_many_calls_do_not_tear_each_other_down(tones_server: Served) -> None:
    """Without RUNNER_CONNECTION the front drops its connections, and what is on them, every hundred calls."""

    async def one(client: httpx.AsyncClient) -> int:
        body = {"model": "tts-1", "voice": "alloy", "input": "hello", "response_format": "pcm"}
        answer = await client.post("/v1/audio/speech", json=body)
        return answer.status_code if len(answer.content) > 1000 else 0

    async def many() -> list[int]:
        async with httpx.AsyncClient(base_url=tones_server.url, timeout=PATIENCE_S) as client:
            return [status for _ in range(25) for status in await asyncio.gather(*(one(client) for _ in range(16)))]

    assert set(asyncio.run(many())) == {200}


def test_a_killed_runner_neither_hangs_readiness_nor_stays_dead(tones_server: Served) -> None:
    old = tones_server.kill("tones_tts")
    httpx.get(tones_server.url + "/readyz", timeout=PATIENCE_S)
    answer = httpx.post(
        tones_server.url + "/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "still there"}, timeout=PATIENCE_S
    )
    assert answer.status_code == 200
    assert tones_server.pid_of("tones_tts") != old
    assert httpx.get(tones_server.url + "/readyz", timeout=PATIENCE_S).status_code == 200


def test_a_killed_runner_is_restarted_in_a_container(tones: dict[str, str]) -> None:
    """The environment variable is that of BentoML's images. Without the patch the death of a runner ends the server."""
    with serve(tones | {"BENTOML_CONTAINERIZED": "true"}) as served:
        old = served.kill("tones_tts")
        answer = httpx.post(
            served.base_url + "/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "still there"}, timeout=PATIENCE_S
        )
        assert answer.status_code == 200
        assert served.pid_of("tones_tts") != old
        assert served.process.poll() is None


def test_a_runner_starts_whatever_is_wrong_and_says_so_when_asked(tmp_path: Path) -> None:
    """BentoML starts a runner whose constructor raises again and again, and the server never becomes ready."""
    program = (
        "import asyncio\n"
        "from runners.tones import Speaker\n"
        "from open_speech.dispatch.frames import SpeakCall\n"
        "from open_speech.backends import SpeechOptions\n"
        "runner = Speaker.inner()\n"
        "async def ask():\n"
        "    call = SpeakCall.of('no/such', 'x', SpeechOptions('tone'))\n"
        "    return [c async for c in runner.host.call(call)]\n"
        "print(b''.join(asyncio.run(ask())))\n"
    )
    environment = os.environ | {"OS_MODELS_DIR": str(tmp_path / "not" / "there"), "OS_OFFLINE": "true"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "UnknownModel" in done.stdout
