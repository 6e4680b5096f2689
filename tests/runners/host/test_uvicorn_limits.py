from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from benchmarks.fuzz.sockets import CLOSE, CONTINUE, PING, TEXT, frame
from runners._protocols import FRAGMENTS, HEAD_BYTES, BoundedHttp, BoundedWebSocket

LAST: list[str] = []
"""How the last conversation ended."""


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())}")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            if text == "wait":
                await asyncio.sleep(0.3)
            await websocket.send_text(str(len(text)))
        LAST.append("left")
    except WebSocketDisconnect:
        LAST.append("left while it was answered")
    except RuntimeError as error:
        LAST.append(repr(error))


async def refuse(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("not you", 401))


class Hasty(BoundedHttp):
    head_s = 0.2


@contextmanager
def serving(http: type[BoundedHttp]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), WebSocketRoute("/talk", talk), WebSocketRoute("/refuse", refuse)])
    config = uvicorn.Config(app, log_config=None, http=http, ws=BoundedWebSocket, lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(BoundedHttp) as port:
        yield port


@pytest.fixture(scope="module")
def hasty_port() -> Iterator[int]:
    with serving(Hasty) as port:
        yield port


def heard(connection: socket.socket) -> bytes:
    """Read until the server hangs up."""
    found = b""
    with suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            found += data
    return found


def test_a_header_without_end_is_refused(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 64 * HEAD_BYTES:
                connection.sendall(b"a" * HEAD_BYTES)
                sent += HEAD_BYTES
        assert sent < 64 * HEAD_BYTES
        assert heard(connection)[:12] in (b"HTTP/1.1 431", b"")  # the rest of what was sent may reset the connection before it is read


def test_a_long_body_and_headers_of_usual_size_pass(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8000 + b"\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(2):  # on one connection, one after the other
            connection.sendall(head + bytes(1_000_000))
            assert b"1000000" in connection.recv(1 << 16)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard(connection).count(b"200 OK") == 2


def test_a_head_that_does_not_come_ends_the_connection(hasty_port: int) -> None:
    for begun in (b"", b"GET / HTTP/1.1\r\nHo", b"\r\n"):
        with closing(socket.create_connection(("127.0.0.1", hasty_port), timeout=5)) as connection:
            connection.sendall(begun)
            assert heard(connection) == b""


def test_a_slow_answer_is_no_head_that_does_not_come(hasty_port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", hasty_port), timeout=5)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab")
        time.sleep(0.5)
        connection.sendall(b"cde")
        assert b"200 OK" in heard(connection)


def test_a_websocket_outlives_the_time_for_a_head(hasty_port: int) -> None:
    with connect(f"ws://127.0.0.1:{hasty_port}/talk") as client:
        time.sleep(0.5)
        client.send("hello")
        assert client.recv(timeout=5) == "5"


def test_a_message_in_some_frames_is_taken_and_one_in_too_many_ends_the_connection(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        client.send("x" for _ in range(1000))
        assert client.recv(timeout=5) == "1000"
        with pytest.raises(ConnectionClosed):
            client.socket.sendall(frame(TEXT, b"", fin=False) + frame(CONTINUE, b"", fin=False) * (2 * FRAGMENTS))
            client.recv(timeout=10)


def test_a_client_that_pings_and_never_reads_is_let_go(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(
            b"GET /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 101 " in connection.recv(1000)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(frame(PING, b"x" * 125) * 1000)


def test_a_client_that_pings_and_reads_stays(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        for _ in range(2000):
            client.ping()
        client.send("hello")
        assert client.recv(timeout=10) == "5"


def test_who_closes_while_it_is_answered_has_left(port: int) -> None:
    LAST.clear()
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        client.socket.sendall(frame(TEXT, b"wait") + frame(CLOSE, b"\x03\xe8"))
        time.sleep(0.8)
    assert LAST == ["left while it was answered"]


def test_a_websocket_that_is_refused_over_http_is_no_mistake_of_the_app(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{port}/refuse"):
        raise AssertionError("it let us in")
    assert (refused.value.response.status_code, refused.value.response.body) == (401, b"not you")
    with connect(f"ws://127.0.0.1:{port}/talk") as socket:
        socket.send("one")
        assert socket.recv() == "3"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"/talk?{'a' * 9000}", {}, 414),
        ("/talk", {"x-long": "a" * 9000}, 431),
        ("/talk", {f"x-{number}": "a" for number in range(200)}, 431),
        ("/talk", {"x-odd": "a\x00b"}, 400),
    ],
)
def test_the_head_of_a_websocket_that_is_too_long_is_answered(port: int, path: str, headers: dict[str, str], status: int) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
        connection.sendall(f"{head}\r\n".encode())
        assert heard(connection).startswith(f"HTTP/1.1 {status} ".encode())
