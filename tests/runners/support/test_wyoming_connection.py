"""A connection to a Wyoming server: its messages in either form, its deadline, and its bounds."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech.errors import BackendFailed, BackendTimeout
from runners.support import wyoming_connection
from runners.support.retry import Busy
from runners.support.wyoming_connection import WyomingConnection
from tests.waiting import PATIENCE_S, deadline

Start = Callable[[dict[str, Any]], Any]
INLINE = b'{"type": "pong", "data": {"text": "hi"}}\n'
APART = b'{"type": "pong", "data_length": 14, "payload_length": 3}\n{"text": "hi"}abc'


def first(uri: str, ends: float | None = None) -> Any:
    with WyomingConnection(uri, ends or deadline()) as line:
        assert line.send("ping", {"text": "hi"})
        return next(line.events(), None)


@pytest.mark.parametrize(("answer", "payload"), [(INLINE, None), (APART, b"abc")])
def test_both_forms_of_a_message_are_read(wyoming_peer: Start, answer: bytes, payload: bytes | None) -> None:
    event = first(wyoming_peer({"ping": answer}).uri)
    assert (event.type, event.data, event.payload) == ("pong", {"text": "hi"}, payload)


def test_a_message_that_comes_byte_by_byte_is_read(wyoming_peer: Start) -> None:
    def slowly(connection: socket.socket) -> None:
        for at in range(len(APART)):
            connection.sendall(APART[at : at + 1])

    assert first(wyoming_peer({"ping": slowly}).uri).payload == b"abc"


def test_what_is_sent_is_what_is_heard(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"ping": INLINE})
    with WyomingConnection(peer.uri, deadline()) as line:
        line.send("audio-chunk", {"rate": 16000}, b"\0\1")
        line.send("ping")
        next(line.events())
    assert peer.heard == [("audio-chunk", {"rate": 16000}, b"\0\1"), ("ping", {}, b"")]


def test_a_unix_socket_is_an_address_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with WyomingConnection(f"unix://{path}", deadline()) as line:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(INLINE)
                assert next(line.events()).type == "pong"


@pytest.mark.parametrize("uri", ["tcp://127.0.0.1:9", "unix:///no/such/socket"])
def test_nobody_there_may_be_there_later(uri: str) -> None:
    with pytest.raises(Busy):
        WyomingConnection(uri, deadline())


def test_the_end_of_a_stream_is_the_end(wyoming_peer: Start) -> None:
    assert first(wyoming_peer({"ping": lambda connection: None}).uri) is None
    assert first(wyoming_peer({"ping": lambda connection: connection.sendall(APART[:-1])}).uri) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\n", b"[]\n", b"3\n", b"{}\n", b'{"type": "x", "data_length": "many"}\n',
        b'{"type": "x", "data_length": 3}\n[1]', b'{"type": "x", "data": [1]}\n', b'{"type": "x", "payload_length": 99999999999}\n',
        b'{"type": "x", "data_length": 3}\n{{{', b"\n",
    ],
)  # fmt: skip
def test_garbage_is_no_wyoming(wyoming_peer: Start, answer: bytes) -> None:
    with pytest.raises(BackendFailed):
        first(wyoming_peer({"ping": answer}).uri)


def test_a_header_without_an_end_is_left(wyoming_peer: Start) -> None:
    def endless(connection: socket.socket) -> None:
        for _ in range(2 * wyoming_connection.LONGEST_LINE // 65_536):
            connection.sendall(b"x" * 65_536)

    with pytest.raises(BackendFailed, match="endless"):
        first(wyoming_peer({"ping": endless}).uri)


@pytest.mark.parametrize("piece", [b"", b" "])
def test_who_says_nothing_or_dribbles_is_left_at_the_deadline(wyoming_peer: Start, piece: bytes) -> None:
    def dribbles(connection: socket.socket) -> None:
        while not left.wait(0.05):
            connection.sendall(piece)

    left = threading.Event()
    with pytest.raises(BackendTimeout):
        first(wyoming_peer({"ping": dribbles}).uri, deadline(1))
    left.set()


def test_who_does_not_read_is_left_at_the_deadline(wyoming_peer: Start) -> None:
    left = threading.Event()
    peer = wyoming_peer({"ping": lambda connection: left.wait(PATIENCE_S)})
    with WyomingConnection(peer.uri, deadline(1)) as line, pytest.raises(BackendTimeout):
        while line.send("ping", payload=b"x" * 1_000_000):
            pass
    left.set()


def test_a_reason_can_be_read_after_the_server_hung_up(wyoming_peer: Start) -> None:
    reason = json.dumps({"type": "error", "data": {"text": "no"}}).encode() + b"\n"
    peer = wyoming_peer({"ping": lambda connection: connection.sendall(reason)})
    with WyomingConnection(peer.uri, deadline()) as line:
        line.send("ping")
        time.sleep(0.1)
        while line.send("audio-chunk", payload=b"x" * 100_000):
            time.sleep(0.01)
