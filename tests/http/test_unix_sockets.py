from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_speech.config import SettingsError
from open_speech.http import unix_sockets
from open_speech.http.unix_sockets import LONGEST_PATH, listen, trouble
from tests.waiting import PATIENCE_S

BACKLOG = 16


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Path]:
    """The path of a socket that a server listens on."""
    path = tmp_path / "living.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listen(listener, path, mode=0o600, backlog=BACKLOG)
        yield path


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """The path of a socket whose server has ended without removing it."""
    path = tmp_path / "ended.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


def test_a_path_without_a_file_can_be_used(tmp_path: Path) -> None:
    assert trouble(tmp_path / "new.sock") == ""


def test_the_file_of_a_server_that_has_ended_is_replaced(ended: Path) -> None:
    assert trouble(ended) == ""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        identity = listen(listener, ended, mode=0o660, backlog=BACKLOG)
        client.connect(str(ended))
        assert listener.accept()[0].close() is None
        assert identity == unix_sockets.identity_of(ended)


def test_the_socket_of_a_living_server_is_refused_and_stays(living: Path) -> None:
    assert "another server listens on it" in trouble(living)
    with socket.socket(socket.AF_UNIX) as second, pytest.raises(SettingsError, match="another server listens on it"):
        listen(second, living, mode=0o660, backlog=BACKLOG)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(living))


def test_a_server_that_accepts_nobody_at_the_moment_is_alive(living: Path) -> None:
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(BACKLOG + 2)]
    try:
        for client in waiting:  # more than the backlog takes
            client.setblocking(False)
            client.connect_ex(str(living))
        assert "another server listens on it" in trouble(living)
    finally:
        for client in waiting:
            client.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_not_a_socket_is_refused_and_stays(kind: str, ended: Path, tmp_path: Path) -> None:
    path = tmp_path / "other"
    {"file": path.touch, "folder": path.mkdir, "link": lambda: path.symlink_to(ended)}[kind]()
    assert "not a socket" in trouble(path)
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(SettingsError, match="not a socket"):
        listen(listener, path, mode=0o660, backlog=BACKLOG)
    assert path.lstat()


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert trouble(tmp_path / "none" / "x.sock") == f"there is no folder {tmp_path / 'none'}; create it first"
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(SettingsError, match="there is no folder"):
        listen(listener, tmp_path / "none" / "x.sock", mode=0o660, backlog=BACKLOG)


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_path_is_as_long_as_an_address_has_bytes(letter: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    room = LONGEST_PATH - len(os.fsencode(folder)) - 1
    size = len(letter.encode())
    longest = folder / (letter * (room // size) + "y" * (room % size))
    with socket.socket(socket.AF_UNIX) as listener:
        listen(listener, longest, mode=0o660, backlog=BACKLOG)
    assert trouble(longest.with_name(longest.name + "y")) == f"its path has {LONGEST_PATH + 1} bytes, and the limit is {LONGEST_PATH}"


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_file_has_the_mode_of_the_setting_whatever_the_umask(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    before = os.umask(0o077)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listen(listener, path, mode=mode, backlog=BACKLOG)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


def test_of_two_servers_that_start_at_once_one_is_refused(ended: Path) -> None:
    gate, refused = threading.Barrier(8), []
    listeners = [socket.socket(socket.AF_UNIX) for _ in range(8)]

    def start(listener: socket.socket) -> None:
        gate.wait(PATIENCE_S)
        try:
            listen(listener, ended, mode=0o660, backlog=BACKLOG)
        except SettingsError:
            refused.append(listener)

    threads = [threading.Thread(target=start, args=(listener,)) for listener in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for listener in listeners:
        listener.close()
    assert len(refused) == 7


def test_a_file_is_removed_by_the_server_that_made_it_only(tmp_path: Path) -> None:
    path, other = tmp_path / "x.sock", tmp_path / "y.sock"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        identity = listen(first, path, mode=0o660, backlog=BACKLOG)
        listen(second, other, mode=0o660, backlog=BACKLOG)
        other.rename(path)
        unix_sockets.remove(path, identity)
        assert path.exists()
        unix_sockets.remove(path, unix_sockets.identity_of(path))
        assert not path.exists()
        unix_sockets.remove(path, identity)
