"""A process that the arbiter starts for a client, and not before."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.served import ROOT
from runners.host.own_service import AWAKE_SUFFIX
from tests.waiting import PATIENCE_S, until

CHILD = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[-1])) as listener:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(str(os.getpid()).encode())
        connection.recv(1)
os._exit(int(os.environ["STATUS"]))
"""
SUPERVISOR = """
import os, sys
import runners.host.bentoml_patches
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.sockets import CircusSocket
from circus.watcher import Watcher
from runners.host.on_demand import OnDemandWatcher
arguments = ["-c", sys.argv[2], "--fd", "$(circus.sockets.echo)"]
watcher = Watcher("service_echo", sys.executable, args=arguments, env=dict(os.environ), use_sockets=True)
OnDemandWatcher.make(watcher, "echo")
arbiter = create_standalone_arbiter([watcher], sockets=[CircusSocket(name="echo", path=sys.argv[1])])
arbiter.start(cb=lambda _: print("ready", flush=True))
"""


@dataclass
class Supervisor:
    process: subprocess.Popen[str]
    path: Path

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def is_awake(self) -> bool:
        return Path(f"{self.path}{AWAKE_SUFFIX}").exists()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_S)
        client.connect(str(self.path))
        return client


@pytest.fixture(params=[0, 3], ids=["ends", "fails"])
def supervisor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    path = tmp_path_factory.mktemp("s") / "echo.sock"
    command = [sys.executable, "-c", SUPERVISOR, str(path), CHILD]
    environ = os.environ | {"STATUS": str(request.param)}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Supervisor(process, path)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def test_a_process_is_there_only_from_the_first_client_to_its_own_end(supervisor: Supervisor) -> None:
    assert supervisor.children() == []
    assert not supervisor.is_awake()
    seen = []
    for _ in range(2):
        with supervisor.connect() as client:
            seen.append(int(client.recv(20)))
            assert supervisor.children() == [seen[-1]]
            assert supervisor.is_awake()
        until(lambda: not supervisor.is_awake())
        assert supervisor.children() == []
    assert len(set(seen)) == 2
    assert supervisor.process.poll() is None  # the arbiter of BentoML ends when a service has no process


def test_a_client_that_waits_while_a_process_ends_gets_the_next_one(supervisor: Supervisor) -> None:
    with supervisor.connect() as first, supervisor.connect() as second:
        ended = int(first.recv(20))
        first.close()
        assert int(second.recv(20)) != ended
