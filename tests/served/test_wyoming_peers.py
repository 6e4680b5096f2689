"""The Wyoming servers of the Home Assistant world as engines behind our OpenAI door, with real weights and real speech."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import jiwer
import pytest
from openai import OpenAI

from benchmarks.served import Served, free_port, serve
from open_speech.testing.words import ALLOWED_ERRORS
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.served, pytest.mark.weights]

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
SENTENCE = "Ever tried. Ever failed. No matter. Try again."
WHISPER, PIPER, VOICE = "Systran/faster-whisper-base", "piper/en_US-joe-medium", "en_US-joe-medium"
_WORDS = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
)


def wer(said: str, heard: str) -> float:
    return float(jiwer.wer(said, heard, reference_transform=_WORDS, hypothesis_transform=_WORDS))


@contextmanager
def running(module: str, **options: str | Path) -> Iterator[str]:
    """Run a Wyoming server offline; gives its URI."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install {module.replace('_', '-')}")
    uri = f"tcp://127.0.0.1:{free_port()}"
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in {"uri": uri, **options}.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--local-files-only", *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(process, uri)
        yield uri
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)


def _wait(process: subprocess.Popen[bytes], uri: str) -> None:
    def listens() -> bool:
        assert process.poll() is None, "the peer ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(uri.rpartition(":")[2])), timeout=10):
            return True
        return False

    until(listens)


@pytest.fixture(scope="module")
def server(model_folder: Callable[[str], Path]) -> Iterator[Served]:
    """Our server, with no engine of its own: it listens and speaks by two Wyoming servers."""
    whisper, piper = model_folder(WHISPER), model_folder(PIPER)
    with ExitStack() as stack:
        hears = stack.enter_context(
            running(
                "wyoming_faster_whisper",
                model=whisper,
                stt_library="faster-whisper",
                language="en",
                device="cpu",
                compute_type="int8",
                data_dir=whisper,
                download_dir=whisper,
            )  # fmt: skip
        )
        speaks = stack.enter_context(running("wyoming_piper", voice=VOICE, data_dir=piper))
        settings = {
            "STT_BACKENDS": "wyoming", "TTS_BACKENDS": "wyoming-tts", "STT_WYOMING_URI": hears, "TTS_WYOMING_URI": speaks,
            "STT_MODEL": f"wyoming/{WHISPER}", "TTS_MODEL": "wyoming/piper", "OS_OFFLINE": "true",
        }  # fmt: skip
        yield stack.enter_context(serve(settings))


@pytest.fixture(scope="module")
def client(server: Served) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="unused", timeout=PATIENCE_S, max_retries=0)


def test_its_models_and_voices_come_to_be_listed(client: OpenAI, server: Served) -> None:
    until(lambda: {f"wyoming/{WHISPER}", "wyoming/piper"} <= {model.id for model in client.models.list()})
    voices = httpx.get(f"{server.base_url}/audio/voices", params={"model": "wyoming/piper"}, timeout=PATIENCE_S).json()["data"]
    assert (VOICE, "en-US") in {(voice["id"], voice.get("language")) for voice in voices}


def test_real_speech_is_heard_by_it(client: OpenAI, speech_clips: dict[str, Path]) -> None:
    heard = client.audio.transcriptions.create(model="whisper-1", file=speech_clips["beckett"], response_format="verbose_json")
    assert wer(BECKETT, heard.text) <= ALLOWED_ERRORS
    assert float(heard.duration) == pytest.approx(9.96, abs=0.1)


@pytest.mark.parametrize("voice", [VOICE, "alloy"])
def test_what_it_speaks_is_heard_back(client: OpenAI, voice: str) -> None:
    speech = client.audio.speech.create(model="tts-1", voice=voice, input=SENTENCE, response_format="wav")
    heard = client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", speech.content), language="en")
    assert wer(SENTENCE, heard.text) <= ALLOWED_ERRORS


def test_an_unknown_voice_is_refused(server: Served) -> None:
    body = {"model": "tts-1", "voice": "nobody", "input": SENTENCE}
    refused = httpx.post(f"{server.base_url}/audio/speech", json=body, timeout=PATIENCE_S)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "voice")
