"""Whether a host is there is found out fast, and once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from open_speech.weights.reach import Reach, SourceFailed
from tests.waiting import PATIENCE_S


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a host that neither takes a connection nor refuses it: its queue of waiting connections is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for filler in fillers:
            filler.close()


def test_a_silent_host_is_given_up_within_the_deadline_and_remembered(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection
    timeouts: list[float] = []

    def counted(address: tuple[str, int], timeout: float) -> socket.socket:
        timeouts.append(timeout)
        return connect(address, timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", counted)
    reach = Reach(deadline_s=0.4)
    for _ in range(2):
        with pytest.raises(SourceFailed, match="cannot be reached"):
            reach.check(silent)
    assert timeouts == [0.4]


def test_a_name_lookup_that_hangs_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = threading.Event()

    def hangs(address: tuple[str, int], timeout: float) -> None:
        looked_up.wait(PATIENCE_S)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hangs)
    with pytest.raises(SourceFailed, match="cannot be reached"):
        Reach(deadline_s=0.1).check("http://slow.invalid/x")
    looked_up.set()


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(SourceFailed, match=r"nowhere\.invalid cannot be reached"):
        Reach(deadline_s=2).check("https://nowhere.invalid/simple")


def test_a_host_that_answers_is_connected_to_once(shelf) -> None:
    reach = Reach(deadline_s=2)
    reach.check(shelf.url)
    reach.mark_unreachable("http://127.0.0.2:1/")
    reach.check(shelf.url)


def test_a_failure_is_forgotten_after_a_while(shelf) -> None:
    reach = Reach(deadline_s=2, memory_s=0.2)
    reach.mark_unreachable(shelf.url)
    with pytest.raises(SourceFailed):
        reach.check(shelf.url)
    time.sleep(0.25)
    reach.check(shelf.url)


def test_behind_a_proxy_the_proxy_is_what_must_answer(shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", shelf.url)
    monkeypatch.setenv("no_proxy", "inside.invalid")
    Reach(deadline_s=2).check("http://nowhere.invalid/")
    with pytest.raises(SourceFailed):
        Reach(deadline_s=2).check("http://inside.invalid/")
