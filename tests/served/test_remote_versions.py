"""A server with a runner of the previous version by URL, and a runner of this version with a server of the previous one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from _bentoml_impl.client.proxy2 import AsyncClient

from benchmarks.served import Served, serve
from open_speech import __version__
from open_speech.backends import SpeechOptions
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import Decoder, Kind, SpeakCall
from open_speech.errors import BackendFailed
from runners.host.service_link import ServiceLink
from runners.tones import Speaker
from tests.served import previous_runner
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

SPEECH = {"model": "tones/speak", "voice": "tone", "input": "hello", "response_format": "pcm"}


@pytest.fixture(scope="module")
def previous() -> Iterator[Served]:
    with serve({"OS_OFFLINE": "true"}, target="tests.served.previous_runner:Runner") as running:
        yield running


class Dependency:
    """What `bentoml.depends` gives a service, for a runner at a URL."""

    def __init__(self, client: AsyncClient) -> None:
        self.to_async = client


@asynccontextmanager
async def connected(url: str, service: object) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url, service=service, media_type="application/json") as client:
        yield client


def test_a_server_uses_a_remote_runner_of_the_previous_version(previous: Served, tones: dict[str, str]) -> None:
    with serve(tones | {"TTS_BACKENDS": f"tones-tts@{previous.url}"}) as served:
        answer = httpx.post(served.base_url + "/audio/speech", json=SPEECH, timeout=PATIENCE_S)
        assert (answer.status_code, len(answer.content) > 1000) == (200, True)
        listed = httpx.get(served.base_url + "/models/tones/speak", timeout=PATIENCE_S)
        assert listed.status_code == 200
        backends = httpx.get(served.url + "/health", timeout=PATIENCE_S).json()["backends"]
        assert backends["tones-tts"]["where"] == previous.url


def test_an_operation_that_the_previous_version_does_not_have_is_refused_by_name(previous: Served) -> None:
    async def remove() -> None:
        async with connected(previous.url, Speaker) as client:
            await RunnerClient("tones-tts", ServiceLink(Dependency(client)), deadline_s=PATIENCE_S).remove("tones/speak")

    with pytest.raises(BackendFailed) as refused:
        asyncio.run(remove())
    assert refused.value.message.startswith("The runner has no operation `remove_model`: it runs Open Speech 0.1.0 or earlier")
    assert f"this server runs {__version__}" in refused.value.message


def test_a_server_of_the_previous_version_uses_a_runner_of_this_one(tones: dict[str, str]) -> None:
    async def use(url: str) -> tuple[list[Kind], dict[str, int], bool]:
        async with connected(url, previous_runner.Runner) as client:
            decoder = Decoder()
            call = SpeakCall.of("tones/speak", "hello", SpeechOptions("tone"))
            spoken = [frame.kind async for chunk in client.call("synthesize", call=call) for frame in decoder.feed(chunk)]
            return spoken, await client.call("kept_models"), await client.call("unload_model", model="tones/speak")

    with serve({"OS_OFFLINE": "true"}, target="runners.tones:Speaker") as served:
        spoken, kept, unloaded = asyncio.run(use(served.url))
    assert spoken[-1] is Kind.END
    assert Kind.AUDIO in spoken
    assert "tones/speak" in kept
    assert unloaded
