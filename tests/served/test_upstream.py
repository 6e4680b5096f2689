"""One server of ours behind another, as two users would start them; and one that stands before nobody."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from openai import OpenAI

from benchmarks.served import Served, free_port, serve
from open_speech.audio import Audio
from open_speech.codecs import wav_bytes
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)
SENTENCES = "Hello there world. How are you?"


@pytest.fixture(scope="module")
def before(tones_server: Served) -> Iterator[Served]:
    """A server that has nothing but the tones server behind it: it hears in a process of its own, and speaks in the front's."""
    settings = {
        "STT_BACKENDS": "upstream", "TTS_BACKENDS": "upstream-tts@inproc", "STT_VAD_ENABLED": "false", "OS_OFFLINE": "true",
        "STT_UPSTREAM_URL": tones_server.base_url, "TTS_UPSTREAM_URL": tones_server.base_url,
        "STT_MODEL": "upstream/tones/listen", "TTS_MODEL": "upstream/tones/speak",
    }  # fmt: skip
    with serve(settings) as served:
        yield served


@pytest.fixture(scope="module")
def client(before: Served) -> OpenAI:
    return OpenAI(base_url=before.base_url, api_key="unused", timeout=PATIENCE_S, max_retries=0)


def spoken_and_heard(client: OpenAI) -> str:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=SENTENCES, response_format="wav")
    return client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", speech.content)).text


def test_what_it_speaks_it_hears(client: OpenAI) -> None:
    assert spoken_and_heard(client) == SENTENCES


def test_what_stands_behind_it_comes_to_be_listed(client: OpenAI) -> None:
    until(lambda: {"upstream/tones/listen", "upstream/tones/speak"} <= {model.id for model in client.models.list()})


def test_it_hears_on_when_the_process_that_asks_dies(client: OpenAI, before: Served) -> None:
    before.kill("upstream")
    assert spoken_and_heard(client) == SENTENCES


def test_a_server_with_nobody_behind_it_starts_and_says_so() -> None:
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    settings = {
        "STT_BACKENDS": "upstream@inproc", "TTS_ENABLED": "false", "STT_UPSTREAM_URL": nobody, "STT_UPSTREAM_MAX_RETRIES": "0",
        "STT_UPSTREAM_MODELS": "whisper-1", "STT_MODEL": "upstream/whisper-1",
    }  # fmt: skip
    with serve(settings) as served:
        listed = [model["id"] for model in httpx.get(served.base_url + "/models", timeout=PATIENCE_S).json()["data"]]
        assert "upstream/whisper-1" in listed
        files = {"file": ("a.wav", wav_bytes(NOISE))}
        refused = httpx.post(
            served.base_url + "/audio/transcriptions", files=files, data={"model": "upstream/whisper-1"}, timeout=PATIENCE_S
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "backend_unavailable")
        health = httpx.get(served.url + "/health", timeout=PATIENCE_S).json()
        assert health["backends"]["upstream"]["ready"]
