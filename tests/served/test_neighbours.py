"""What another user of the machine, and one process of the server, can get from a running server: only what it is meant to have."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import psutil
import pytest

from benchmarks.served import ROOT, Served, free_port, serve
from tests.served.kernel import by_service, environ_of, opened_by_another_user, sockets_of
from tests.served.test_wyoming import round_trip, wait_for
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.served, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user and to look into concealed processes")

SECRETS = {
    "OS_API_KEY": "phone:value-of-the-api-key",
    "OS_WEBHOOK_SECRET": "value-of-the-webhook-secret",
    "LLM_API_KEY": "value-of-the-llm-key",
    "STT_UPSTREAM_API_KEY": "value-of-the-upstream-key",
    "TTS_UPSTREAM_API_KEY": "value-of-the-speech-key",
    "OPENAUDIO_API_KEY": "value-of-the-fish-key",
    "HF_TOKEN": "value-of-the-hub-token",
    "PIP_INDEX_URL": "https://user:value-of-the-index-password@127.0.0.1:9/simple",
    "AWS_SECRET_ACCESS_KEY": "value-of-a-foreign-secret",
}
KEY = {"Authorization": "Bearer value-of-the-api-key"}
TEXT = "What is said here comes back as it was."


@dataclass
class Neighbourhood:
    """Three servers: one with every placement of runners, the server behind its upstream backends, and one runner by itself."""

    servers: dict[str, Served]
    ports: dict[str, set[int]]
    """The ports that each is set to listen on."""
    wyoming: str


@pytest.fixture(scope="module")
def running(tones: dict[str, str]) -> Iterator[Neighbourhood]:
    port = free_port()
    with ExitStack() as stack:
        keys = {"OS_API_KEY": f"{SECRETS['STT_UPSTREAM_API_KEY']},{SECRETS['TTS_UPSTREAM_API_KEY']}"}
        behind = stack.enter_context(serve(tones | keys))
        runner = stack.enter_context(serve(tones | SECRETS, target="runners.tones:Listener"))
        settings = SECRETS | {
            "STT_BACKENDS": f"upstream,tones-stt@{runner.url}", "TTS_BACKENDS": "tones-tts@inproc,upstream-tts", "OS_OFFLINE": "true",
            "STT_MODEL": "upstream/tones/listen", "TTS_MODEL": "upstream/tones/speak", "STT_VAD_ENABLED": "false",
            "STT_UPSTREAM_URL": behind.base_url, "TTS_UPSTREAM_URL": behind.base_url, "TTS_UPSTREAM_VOICES": "tone",
            "OS_AUTH_REQUIRED": "true", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port), "BENTOML_NO_UDS": "1",
        }  # fmt: skip
        servers = {"behind": behind, "runner": runner, "front": stack.enter_context(serve(settings))}
        ports = {name: {httpx.URL(server.url).port or 0} for name, server in servers.items()}
        ports["front"].add(port)
        wait_for(f"tcp://127.0.0.1:{port}")
        yield Neighbourhood(servers, ports, f"tcp://127.0.0.1:{port}")


def speak(server: Served, model: str, form: str = "mp3") -> bytes:
    body = {"model": model, "voice": "tone", "input": TEXT, "response_format": form}
    answer = httpx.post(f"{server.url}/v1/audio/speech", json=body, headers=KEY, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return answer.content


def transcribe(server: Served, model: str, speech: bytes) -> str:
    files = {"file": ("speech.mp3", speech)}
    answer = httpx.post(f"{server.url}/v1/audio/transcriptions", data={"model": model}, files=files, headers=KEY, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text"])


@pytest.mark.parametrize("speaker", ["upstream/tones/speak", "tones/speak"])
@pytest.mark.parametrize("listener", ["upstream/tones/listen", "tones/listen"])
def test_every_placement_works_without_the_secrets_of_others(running: Neighbourhood, speaker: str, listener: str) -> None:
    front = running.servers["front"]
    assert transcribe(front, listener, speak(front, speaker)) == TEXT
    for keys in ({}, {"Authorization": "Bearer value-of-the-upstream-key"}):
        assert httpx.get(f"{front.url}/v1/models", headers=keys, timeout=PATIENCE_S).status_code == 401


def test_wyoming_works_without_the_secrets_of_others(running: Neighbourhood) -> None:
    assert asyncio.run(round_trip(running.wyoming)) == TEXT


@needs_root
@pytest.mark.parametrize("name", ["front", "behind", "runner"])
def test_nothing_listens_but_the_configured_ports(running: Neighbourhood, name: str) -> None:
    found = sockets_of(running.servers[name].processes())
    assert (found.tcp, found.udp, found.named) == (running.ports[name], set(), set())


@needs_root
@pytest.mark.parametrize("name", ["front", "behind", "runner"])
def test_another_user_reaches_the_configured_ports_and_nothing_else(running: Neighbourhood, name: str) -> None:
    processes = running.servers[name].processes()
    found = sockets_of(processes)
    assert len(found.unix) == {"front": 3, "behind": 2, "runner": 0}[name]
    ports: list[tuple[str, object]] = [("AF_INET", ["127.0.0.1", port]) for port in found.tcp]
    paths: list[tuple[str, object]] = [("AF_UNIX", path) for path in found.unix]
    opened = opened_by_another_user(processes, ports + paths)
    assert sorted(opened) == sorted(["127.0.0.1", port] for port in running.ports[name])


@needs_root
def test_the_folder_of_the_runners_sockets_and_of_metrics_is_private(running: Neighbourhood) -> None:
    folders = {os.path.dirname(path) for path in sockets_of(running.servers["front"].processes()).unix}
    (arbiter,) = by_service(running.servers["front"])["arbiter"]
    folders.add(os.path.join(environ_of(arbiter)["BENTOML_HOME"], "prometheus_multiproc_dir"))
    assert len(folders) == 2
    assert {oct(os.stat(folder).st_mode & 0o777) for folder in folders} == {"0o700"}


NEEDED = {
    "arbiter": set(SECRETS),
    "open_speech": set(SECRETS) - {"AWS_SECRET_ACCESS_KEY"},
    "wyoming_door": {"STT_UPSTREAM_API_KEY", "TTS_UPSTREAM_API_KEY"},
    "upstream": {"STT_UPSTREAM_API_KEY"},
    "upstream_tts": {"TTS_UPSTREAM_API_KEY"},
    "decoder": set(),
}


def test_a_process_has_no_secret_but_its_own_in_its_environment(running: Neighbourhood) -> None:
    front = running.servers["front"]
    transcribe(front, "tones/listen", speak(front, "tones/speak"))  # now there is a process that decodes
    processes = by_service(front)
    assert processes.keys() == NEEDED.keys()
    for name, members in processes.items():
        for process in members:
            check_secrets(process, NEEDED[name])
    (entry,) = by_service(running.servers["runner"])["tones_stt"]
    check_secrets(entry, set())


def check_secrets(process: psutil.Process, expected: set[str]) -> None:
    """Assert that a process has these secrets; without root's rights, that it hides them from its own user."""
    try:
        values = set(re.findall(r"value-of-[a-z-]+", "\0".join(environ_of(process).values())))
    except PermissionError:
        assert os.geteuid() != 0
    else:
        assert os.geteuid() == 0
        assert values == {re.findall(r"value-of-[a-z-]+", SECRETS[name])[0] for name in expected}, process.cmdline()


@needs_root
def test_a_process_has_no_listening_socket_but_its_own(running: Neighbourhood) -> None:
    front = running.servers["front"]
    has = {name: sockets_of(members) for name, members in by_service(front).items() if name != "arbiter"}
    own = {name: {os.path.basename(path) for path in found.unix} for name, found in has.items()}
    http, wyoming = httpx.URL(front.url).port, int(running.wyoming.rpartition(":")[2])
    assert {name: found.tcp for name, found in has.items() if found.tcp} == {"open_speech": {http}, "wyoming_door": {wyoming}}
    services = ("upstream", "upstream_tts", "wyoming_door")
    assert {name: paths for name, paths in own.items() if paths} == {name: {f"{name}.sock"} for name in services}


@needs_root
def test_a_reloading_server_listens_privately_and_keeps_its_runners(tones: dict[str, str]) -> None:
    """Its reloader is a process that sends commands to the arbiter, so that there the arbiter needs sockets."""
    with serve(tones, "--reload") as served:
        found = sockets_of(served.processes())
        assert (found.tcp, found.udp, found.named) == ({httpx.URL(served.url).port}, set(), set())
        assert {os.path.basename(path) for path in found.unix} == {"control", "events", "tones_stt.sock", "tones_tts.sock"}
        assert opened_by_another_user(served.processes(), [("AF_UNIX", path) for path in found.unix]) == []
        old = served.pid_of("tones_tts")
        os.utime(ROOT / "runners" / "tones.py")
        until(lambda: restarted(served, old), why=lambda: "no reload")
        assert len(speak(served, "tones/speak")) > 1000
        folders = {os.path.dirname(path) for path in sockets_of(served.processes()).unix}
    assert [folder for folder in folders if os.path.exists(folder)] == []


def restarted(served: Served, old: int) -> bool:
    """Return whether the runner is another process than it was, and the server is ready."""
    try:
        return served.pid_of("tones_tts") != old and httpx.get(f"{served.url}/readyz", timeout=10).status_code == 200
    except (LookupError, httpx.TransportError):
        return False


def test_a_folder_for_temporary_files_that_is_too_deep_is_named(tones: dict[str, str], tmp_path: os.PathLike[str]) -> None:
    deep = os.path.join(tmp_path, "x" * 100)
    os.mkdir(deep)
    with pytest.raises(ChildProcessError, match="TMPDIR is too long"), serve(tones | {"TMPDIR": deep}):
        pass
    assert os.listdir(deep) == []


@needs_root
def test_a_server_in_development_mode_listens_on_nothing_else(tones: dict[str, str]) -> None:
    with serve(tones, "--development") as served:
        found = sockets_of(served.processes())
        assert (found.tcp, found.udp, found.named) == ({httpx.URL(served.url).port}, set(), set())
