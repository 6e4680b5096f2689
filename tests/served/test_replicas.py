"""A server whose recognizer has replicas: one at an address of the settings, others behind a name. Real processes, 16 callers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.served import ROOT, Served, free_port, serve
from tests.waiting import PATIENCE_S, until

pytestmark = [
    pytest.mark.served,
    pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses, and Linux has them all"),
]

CALLERS = 16
TEXT = "the quick brown fox jumps over the lazy dog"
NAME = "runners.test"
NAMES = """
import os
from aiohttp import resolver

class FileResolver(resolver.ThreadedResolver):
    '''The name server of this test: a file with the addresses of the one name that it knows.'''

    async def resolve(self, host, port=0, **options):
        look_up = super().resolve
        if host != os.environ["NAME_SERVER_NAME"]:
            return await look_up(host, port, **options)
        with open(os.environ["NAME_SERVER_FILE"]) as file:
            addresses = file.read().split()
        if not addresses:
            raise OSError("name not known")
        return [found for address in addresses for found in await look_up(address, port, **options)]

resolver.DefaultResolver = FileResolver
"""
"""A `sitecustomize` module: the name service of the machine is no part of this project, and cannot be changed for one process."""


@dataclass
class Fleet:
    """The front, the replica that is always there, and the addresses behind the name."""

    front: Served
    port: int
    names: Path
    speech: bytes

    def behind_the_name(self, *hosts: str) -> None:
        """Change what the name stands for."""
        fresh = self.names.with_suffix(".new")
        fresh.write_text("\n".join(hosts))
        fresh.replace(self.names)

    @contextmanager
    def runner(self, host: str) -> Iterator[Served]:
        """Run a replica at another address of this machine, at the port that all of them have."""
        with serve(RUNNER, target="tests.served.replica_runner:Runner", host=host, port=self.port) as running:
            yield running

    def replicas(self) -> dict[str, dict[str, Any]]:
        """Return the state of each replica by its host."""
        backend = httpx.get(f"{self.front.url}/health", timeout=PATIENCE_S).json()["backends"]["tones-stt"]
        return {str(httpx.URL(replica["where"]).host): replica for replica in backend["replicas"]}

    def are_ready(self, *hosts: str) -> bool:
        """Return whether these are the replicas, and all of them get calls."""
        found = self.replicas()
        return set(found) == set(hosts) and all(replica["ready"] and replica["runner"] for replica in found.values())

    def transcribe(self) -> str:
        files, data = {"file": ("speech.wav", self.speech)}, {"model": "tones/listen"}
        answer = httpx.post(f"{self.front.base_url}/audio/transcriptions", files=files, data=data, timeout=PATIENCE_S)
        return str(answer.json()["text"]) if answer.status_code == 200 else answer.text


RUNNER = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, tones: dict[str, str]) -> Iterator[Fleet]:
    folder, port = tmp_path_factory.mktemp("names"), free_port()
    (folder / "sitecustomize.py").write_text(NAMES)
    (folder / "addresses").touch()
    settings = tones | {
        "STT_BACKENDS": f"tones-stt@http://127.0.0.1:{port}|dns+http://{NAME}:{port}",
        "TTS_BACKENDS": "tones-tts@inproc",
        "STT_VAD_ENABLED": "false",
        "OS_REPLICA_REFRESH_S": "0.2",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "NAME_SERVER_NAME": NAME,
        "NAME_SERVER_FILE": str(folder / "addresses"),
    }
    with serve(RUNNER, target="tests.served.replica_runner:Runner", port=port), serve(settings) as front:
        body = {"model": "tones/speak", "voice": "tone", "input": TEXT, "response_format": "wav"}
        speech = httpx.post(f"{front.base_url}/audio/speech", json=body, timeout=PATIENCE_S).content
        yield Fleet(front, port, folder / "addresses", speech)


@dataclass
class Callers:
    """Callers that transcribe the same speech again and again."""

    fleet: Fleet
    answers: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        while not self.stop.is_set():
            self.answers.append(self.fleet.transcribe())

    def further(self, count: int) -> None:
        """Wait for so many further answers."""
        enough = len(self.answers) + count
        until(lambda: len(self.answers) >= enough, why=lambda: self.answers[-3:])


@contextmanager
def callers(fleet: Fleet) -> Iterator[Callers]:
    """Run the callers during the block; then every one of them must have got what was said, each time."""
    calling = Callers(fleet)
    with ThreadPoolExecutor(CALLERS) as pool:
        running: list[Future[None]] = [pool.submit(calling) for _ in range(CALLERS)]
        try:
            yield calling
        finally:
            calling.stop.set()
        for one in running:
            one.result(PATIENCE_S)
    assert set(calling.answers) == {TEXT}


def load(fleet: Fleet, **query: str) -> dict[str, Any]:
    loaded = httpx.post(f"{fleet.front.url}/api/models/tones/listen/load", params=query, timeout=PATIENCE_S)
    assert loaded.status_code == 200, loaded.text
    return dict(loaded.json())


def test_a_replica_that_is_killed_under_16_callers_loses_no_transcription(fleet: Fleet) -> None:
    with fleet.runner("127.0.0.2") as victim:
        fleet.behind_the_name("127.0.0.2")
        until(lambda: fleet.are_ready("127.0.0.1", "127.0.0.2"), why=fleet.replicas)
        assert [replica["state"] for replica in load(fleet)["replicas"]] == ["loaded", "loaded"]
        with callers(fleet) as calling:
            calling.further(CALLERS)
            until(lambda: fleet.replicas()["127.0.0.2"]["outstanding_s"] > 0)
            for process in victim.processes():  # its supervisor first, so that it is not restarted
                process.kill()
            until(lambda: fleet.replicas()["127.0.0.2"]["lost"])
            calling.further(2 * CALLERS)
        dead = fleet.replicas()["127.0.0.2"]
        assert (dead["ready"], dead["runner"]) == (False, None)
        assert fleet.replicas()["127.0.0.1"]["ready"] is True


def test_an_added_replica_takes_its_share_and_a_removed_one_gets_no_more_calls(fleet: Fleet) -> None:
    fleet.behind_the_name("127.0.0.3")
    with fleet.runner("127.0.0.3"), callers(fleet) as calling:
        until(lambda: fleet.are_ready("127.0.0.1", "127.0.0.3"), why=fleet.replicas)
        # Its model is loaded when the other replica is busy, and it gets calls when it is.
        until(lambda: fleet.replicas()["127.0.0.3"]["calls"] > CALLERS, why=fleet.replicas)
        before = {host: replica["calls"] for host, replica in fleet.replicas().items()}
        calling.further(6 * CALLERS)
        share = {host: replica["calls"] - before[host] for host, replica in fleet.replicas().items()}
        assert min(share.values()) > sum(share.values()) / 4, share
        fleet.behind_the_name()
        calling.further(CALLERS)
        assert set(fleet.replicas()) == {"127.0.0.1", "127.0.0.3"}, "a name server that fails removes nothing"
        fleet.behind_the_name("127.0.0.1")  # the replica of the settings, by another way
        until(lambda: fleet.are_ready("127.0.0.1"), why=fleet.replicas)
        calling.further(CALLERS)


def test_models_are_shown_loaded_and_unloaded_at_each_replica(fleet: Fleet) -> None:
    with fleet.runner("127.0.0.4"):
        fleet.behind_the_name("127.0.0.4")
        until(lambda: fleet.are_ready("127.0.0.1", "127.0.0.4"), why=fleet.replicas)
        here, there = (f"http://127.0.0.{last}:{fleet.port}" for last in (1, 4))
        assert {replica["where"]: replica["state"] for replica in load(fleet, replica=there)["replicas"]}[there] == "loaded"
        path = f"{fleet.front.url}/api/models/tones/listen"
        unloaded = httpx.post(f"{path}/unload", params={"replica": there}, timeout=PATIENCE_S).json()
        assert {replica["where"]: replica["state"] for replica in unloaded["replicas"]}[there] == "downloaded"
        load(fleet)
        everywhere = httpx.delete(path, timeout=PATIENCE_S).json()
        assert {replica["where"]: replica["state"] for replica in everywhere["replicas"]} == {here: "downloaded", there: "downloaded"}
        unknown = httpx.post(f"{path}/load", params={"replica": "http://nowhere:1"}, timeout=PATIENCE_S)
        assert (unknown.status_code, unknown.json()["error"]["code"], unknown.json()["error"]["param"]) == (
            404, "replica_not_found", "replica",
        )  # fmt: skip
        metrics = httpx.get(f"{fleet.front.url}/metrics", timeout=PATIENCE_S).text
        for address in (here, there):
            assert f'open_speech_replica_up{{backend="tones-stt",replica="{address}"}} 1.0' in metrics
        plain = httpx.post(f"{fleet.front.url}/api/models/tones/speak/load", params={"replica": here}, timeout=PATIENCE_S)
        assert plain.status_code == 404, "a backend without replicas has none by this address"
