"""HTTPS as a user has it: `open-speech serve` makes a certificate, and clients that trust it and nothing else talk to the server."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from openai import OpenAI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from benchmarks.served import ROOT, free_port
from open_speech.audio import silence
from open_speech.codecs import encoder
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

KEY = "sesame"


@dataclass
class Secure:
    """A server that speaks HTTPS: its address, what its clients trust, and its log."""

    url: str
    trusted: ssl.SSLContext
    log: Path
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trusted, headers={"Authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> Iterator[Secure]:
    folder, port = tmp_path_factory.mktemp("https"), free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_", "BENTOML_"))}
    environ |= tones | {"OS_PORT": str(port), "OS_SSL_ENABLED": "true", "OS_SSL_DIR": str(folder / "tls"), "BENTOML_HOME": str(folder)}
    environ |= {"OS_API_KEY": f"ann:{KEY}", "OS_RATE_LIMIT": "600"}
    log = folder / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "open_speech.cli", "serve", "--no-pull"]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield ready(process, f"https://localhost:{port}", folder / "tls/certificate.pem", log)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def ready(process: subprocess.Popen[bytes], url: str, certificate: Path, log: Path) -> Secure:
    def answering() -> Secure | None:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        with suppress(httpx.HTTPError, OSError):
            secure = Secure(url, ssl.create_default_context(cafile=str(certificate)), log, process)
            if httpx.get(url + "/readyz", verify=secure.trusted, timeout=10).status_code == 200:
                return secure
        return None

    return until(answering, why=lambda: log.read_text(errors="replace")[-3000:])


def test_openais_client_speaks_and_transcribes(secure: Secure) -> None:
    with httpx.Client(verify=secure.trusted, timeout=PATIENCE_S) as http:
        client = OpenAI(base_url=secure.url + "/v1", api_key=KEY, http_client=http)
        speech = client.audio.speech.create(model="tts-1", voice="tone", input="hello over tls", response_format="flac")
        assert client.audio.transcriptions.create(model="whisper-1", file=("a.flac", speech.content)).text == "hello over tls"


def test_a_websocket_opens_with_the_key_alone(secure: Secure) -> None:
    url = secure.url.replace("https", "wss") + "/v1/audio/stream?sample_rate=16000"
    with connect(url, ssl=secure.trusted, additional_headers={"Authorization": f"Bearer {KEY}"}) as door:
        assert '"session.begin"' in door.recv(timeout=PATIENCE_S)
    with pytest.raises(InvalidStatus) as refused, connect(url, ssl=secure.trusted):
        raise AssertionError("it let us in")
    assert refused.value.response.status_code == 401


def test_who_does_not_trust_the_certificate_or_speaks_plain_http_gets_nothing(secure: Secure) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secure.url + "/health", timeout=PATIENCE_S)
    with pytest.raises(httpx.HTTPError):
        httpx.get(secure.url.replace("https", "http") + "/health", timeout=PATIENCE_S)


def test_no_answer_names_the_software_of_the_server_or_its_backends(secure: Secure) -> None:
    answer = httpx.get(secure.url + "/health", verify=secure.trusted, timeout=PATIENCE_S)
    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "tones" not in answer.text


def test_what_a_client_says_of_its_address_is_not_believed_and_its_key_is_not_written_down(secure: Secure) -> None:
    with secure.client() as client:
        answer = client.get("/v1/models?api_key=sesame", headers={"X-Forwarded-For": "6.6.6.6"})
    assert answer.status_code == 200

    def written() -> str:
        return secure.log.read_text(errors="replace")

    until(lambda: "'/v1/models' 200" in written(), why=lambda: written()[-3000:])  # the line is written once the answer has left
    log = written()
    assert "6.6.6.6" not in log
    assert KEY not in log


def test_uploads_are_decoded_in_another_process(secure: Secure) -> None:
    coder = encoder("mp3", 16_000)
    file = coder.encode(silence(1, 16_000)) + coder.finish()
    with secure.client() as client:
        for upload, status in ((b"ID3" + bytes(5000), 400), (file, 200)):
            answer = client.post("/v1/audio/transcriptions", files={"file": upload}, data={"model": "whisper-1"})
            assert answer.status_code == status, answer.text
    ours = psutil.Process(secure.process.pid).children(recursive=True)
    assert any("codecs.fork_server" in word for process in ours for word in process.cmdline())
