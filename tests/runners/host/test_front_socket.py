from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from circus.sockets import CircusSocket

from open_speech.config import Settings, SettingsError
from runners.host.front_socket import FrontSocket, in_place_of


@pytest.fixture
def before() -> Iterator[list[CircusSocket]]:
    made = sockets()
    yield made
    for each in made:
        each.close()


def sockets() -> list[CircusSocket]:
    return [CircusSocket(name="kokoro", path="/somewhere/kokoro.sock"), CircusSocket(name="front", host="127.0.0.1", port=1, backlog=7)]


def test_the_socket_of_the_front_is_replaced_and_no_other(before: list[CircusSocket], tmp_path: Path) -> None:
    after = in_place_of(before, "front", Settings(os_unix_socket=tmp_path / "x.sock", os_unix_socket_mode="600"))
    with after[1]:
        assert after[0] is before[0]
        assert isinstance(after[1], FrontSocket)
        assert (after[1].name, after[1].backlog, before[1].fileno()) == ("front", 7, -1)
        after[1].bind_and_listen()
        assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "x.sock"))
    assert not (tmp_path / "x.sock").exists()


def test_without_the_setting_the_sockets_are_as_they_were(before: list[CircusSocket]) -> None:
    assert in_place_of(before, "front", Settings()) is before


def test_a_socket_that_could_not_listen_removes_nothing(before: list[CircusSocket], tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("mine")
    _, front = in_place_of(before, "front", Settings(os_unix_socket=path))
    with front, pytest.raises(SettingsError, match="not a socket"):
        front.bind_and_listen()
    assert path.read_text() == "mine"
