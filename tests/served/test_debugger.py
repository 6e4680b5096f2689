"""A debugger in the processes of a running server."""

from __future__ import annotations

import pytest
from openai import OpenAI

from benchmarks.served import free_port, serve
from tests.debug_client import attached
from tests.served.conftest import TONES
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served


@pytest.mark.parametrize(("name", "service"), [("front", "open_speech"), ("tones-tts", "tones_tts")])
def test_a_debugger_attaches_to_one_process_and_the_server_goes_on(name: str, service: str) -> None:
    pytest.importorskip("debugpy", reason="needs debugpy: pip install 'open-speech[debug]'")
    port = free_port()
    with serve({**TONES, "DEBUGPY_ENABLE": "true", "DEBUGPY_PORT": str(port), "DEBUGPY_PROCESS": name}) as served:
        with attached(port) as client:
            assert client.evaluate("__import__('os').getpid()") == str(served.pid_of(service))
        with OpenAI(base_url=served.base_url, api_key="none", max_retries=0, timeout=PATIENCE_S) as sdk:
            spoken = sdk.audio.speech.create(model="tts-1", voice="alloy", input="still here", response_format="wav").content
            assert sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", spoken)).text == "still here"
