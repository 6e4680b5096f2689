"""A server as a user starts it: how its processes are confined, and what others on the machine can read of it."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.served import Served, serve
from open_speech.audio import silence
from open_speech.codecs import encoder
from tests.waiting import until

pytestmark = [pytest.mark.served, pytest.mark.skipif(platform.system() != "Linux", reason="the sandbox is Linux's")]


def mp3(seconds: float) -> bytes:
    making = encoder("mp3", 24_000)
    return making.encode(silence(seconds, 24_000)) + making.finish()


class OnlyMp3(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that knows one format."""

    def do_GET(self) -> None:
        self._answer("application/json", b'{"data": [{"id": "tts-1"}]}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("audio/mpeg", mp3(2.0))

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OnlyMp3) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library as older versions have left it."""
    folder = tmp_path_factory.mktemp("library")
    record = folder / "voices" / "voice_000000000000000000000000"
    record.mkdir(parents=True)
    (record / "sound.wav").write_bytes(b"x")
    for path in (folder, folder / "voices", record):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def served(tones: dict[str, str], elsewhere: str, library: Path) -> Iterator[Served]:
    speaking = {"TTS_BACKENDS": "upstream-tts", "TTS_UPSTREAM_URL": elsewhere, "TTS_MODEL": "upstream/tts-1", "TTS_TRIM_SILENCE": "false"}
    with serve({**tones, **speaking, "OS_VOICE_LIBRARY_PATH": str(library), "OS_API_KEY": "sesame"}) as served:
        yield served


def decoders(parent: int) -> list[int]:
    """The processes below `parent` that decode files or wait for one."""
    below = psutil.Process(parent).children(recursive=True)
    return [
        process.pid for process in below if any("codecs.fork_server" in word for word in process.cmdline()) and process.ppid() != parent
    ]


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_the_log_says_how_files_are_decoded(served: Served) -> None:
    until(lambda: "files are decoded in a sandbox: no_new_privs" in served.log.read_text(encoding="utf-8"))


def test_speech_of_another_server_is_decoded_in_a_confined_process_of_the_runner(served: Served) -> None:
    runner = served.pid_of("upstream_tts")
    assert decoders(runner) == []
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
    said = httpx.post(f"{served.base_url}/audio/speech", json=body, headers={"Authorization": "Bearer sesame"}, timeout=120)
    assert said.status_code == 200, said.text
    assert len(said.content) > 1.5 * 48_000
    until(lambda: decoders(runner))
    for pid in decoders(runner):
        until(lambda pid=pid: status(pid)["NoNewPrivs"] == "1")
        until(lambda pid=pid: status(pid)["Seccomp"] == "2")


def test_no_other_process_of_the_user_can_read_the_keys_of_any_process(served: Served) -> None:
    if os.getuid() == 0:
        pytest.skip("root may read every process")
    for process in served.processes():
        with pytest.raises(PermissionError):
            Path(f"/proc/{process.pid}/environ").read_bytes()


def test_recordings_that_others_could_read_are_private_after_the_start(served: Served, library: Path) -> None:
    assert [path for path in (library / "voices", *(library / "voices").rglob("*")) if path.stat().st_mode & 0o077] == []
    assert library.stat().st_mode & 0o777 == 0o755  # it is the user's own, and may hold other things
    assert "removed the access of other users to 3 files and folders" in served.log.read_text(encoding="utf-8")
