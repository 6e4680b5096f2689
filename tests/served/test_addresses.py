"""The served process at other addresses: below a path of a proxy, over IPv6, and on a Unix socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import websockets
from openai import OpenAI

from benchmarks.served import ROOT, serve

pytestmark = pytest.mark.served

TEXT = "the quick brown fox"


def speak_and_transcribe(base_url: str) -> str:
    client = OpenAI(base_url=base_url, api_key="none", max_retries=0)
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav").content
    return client.audio.transcriptions.create(model="whisper-1", file=("a.wav", audio)).text


async def greeting(url: str) -> str:
    async with websockets.connect(url) as socket:
        return str(json.loads(await asyncio.wait_for(socket.recv(), 60))["type"])


def test_below_a_path_of_a_proxy(tones: dict[str, str]) -> None:
    with serve({**tones, "OS_ROOT_PATH": "/speech"}) as served:
        assert speak_and_transcribe(f"{served.url}/speech/v1") == TEXT
        assert speak_and_transcribe(served.base_url) == TEXT
        assert asyncio.run(greeting(served.url.replace("http", "ws") + "/speech/v1/audio/stream")) == "session.begin"


def test_over_ipv6(tones: dict[str, str]) -> None:
    with serve(tones, host="::1") as served:
        assert served.url.startswith("http://[::1]:")
        assert speak_and_transcribe(served.base_url) == TEXT
        assert asyncio.run(greeting(served.url.replace("http", "ws") + "/v1/audio/stream")) == "session.begin"


async def greeting_at(path: str, url: str) -> str:
    async with websockets.unix_connect(path, url) as connection:
        return str(json.loads(await asyncio.wait_for(connection.recv(), 60))["type"])


def probed(path: str) -> int:
    """Return the exit code of the image's health check for a server on a Unix socket."""
    command = [sys.executable, "-I", str(ROOT / "deploy" / "healthcheck")]
    return subprocess.run(command, env={**os.environ, "OS_UNIX_SOCKET": path}, capture_output=True, timeout=60, check=False).returncode


def test_on_a_unix_socket(tones: dict[str, str], tmp_path: Path) -> None:
    path = str(tmp_path / "http.sock")
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(path)  # the file of a server that was killed
    limits = {"OS_TRUSTED_PROXIES": "unix", "OS_RATE_LIMIT": "6", "OS_HOST": "0.0.0.0"}
    with serve({**tones, **limits, "OS_UNIX_SOCKET": path}) as served:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        with served.client() as client:
            assert client.get("/health").json()["status"] == "ok"
            spoken = client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "wav"})
            assert (spoken.status_code, spoken.headers["content-type"], spoken.content[:4]) == (200, "audio/wav", b"RIFF")
            heard = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", spoken.content)}, data={"model": "whisper-1"})
            assert heard.json() == {"text": TEXT, "usage": heard.json()["usage"]}
            assert asyncio.run(greeting_at(path, "ws://localhost/v1/audio/stream")) == "session.begin"
            assert asyncio.run(greeting_at(path, "ws://localhost/v1/realtime?model=gpt-realtime")) == "session.created"
            # Each client behind the proxy has a rate limit of its own; the proxy's own requests have used four of six.
            assert [asked_by(client, "192.0.2.1") for _ in range(7)] == [400] * 6 + [429]
            assert asked_by(client, "192.0.2.2") == 400
        assert probed(path) == 0
        second = subprocess.run(
            [sys.executable, "-m", "open_speech.cli", "serve", "--no-pull"],
            cwd=ROOT, env={**os.environ, **tones, "OS_UNIX_SOCKET": path}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (second.returncode, second.stderr.splitlines()[-1]) == (
            1, f"Error: Cannot listen on the Unix socket {path}: another server listens on it; stop that server or choose another path.",
        )  # fmt: skip
        log = served.log.read_text()
    assert f"listening on the Unix socket {path}" in log
    assert [line for line in log.splitlines() if "unix POST '/v1/audio/speech' 200" in line], log
    assert not os.path.exists(path)
    assert probed(path) == 1


def asked_by(client: httpx.Client, address: str) -> int:
    """Return the status of an invalid request that a proxy passes on for the client at an address."""
    return client.post("/v1/audio/speech", json={}, headers={"X-Forwarded-For": address}).status_code
