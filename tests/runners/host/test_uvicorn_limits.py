from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
import tracemalloc
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
from websockets.sync.client import ClientConnection, connect

from benchmarks.fuzz.sockets import CLOSE, CONTINUE, PING, TEXT, frame
from open_speech.http.inbox import accept
from runners.host.bentoml_patches import UVICORN
from runners.host.uvicorn_limits import FRAGMENTS, HEAD_BYTES, BoundedHttp, BoundedWebSocket
from runners.host.ws_frames import PIECE_BYTES
from tests.waiting import PATIENCE_S, until

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


async def take_parts(websocket: WebSocket) -> None:
    """Answer each part of a message by its size and whether it is the last, and a whole message that ends by its text."""
    await accept(websocket)
    texts: list[str] = []
    while (event := await websocket.receive())["type"] == "websocket.receive":
        data = event.get("text") or event.get("bytes") or ""
        await websocket.send_json([len(data), not event["more"]])
        if "text" in event:
            texts.append(event["text"])
            if not event["more"]:
                await websocket.send_text("".join(texts)[-10:])
                texts.clear()


class Hasty(BoundedHttp):
    head_s = 1


class Untidy(BoundedWebSocket):
    large_bytes = 1 << 40


@contextmanager
def serving(http: type[BoundedHttp], ws: type[BoundedWebSocket] = BoundedWebSocket) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    sockets = [WebSocketRoute("/talk", talk), WebSocketRoute("/refuse", refuse), WebSocketRoute("/parts", take_parts)]
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"]), *sockets])
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", timeout_graceful_shutdown=2, **{**UVICORN, "http": http, "ws": ws, "proxy_headers": True}
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_S)
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
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        sent = 0
        with suppress(ConnectionError):
            while sent < 64 * HEAD_BYTES:
                connection.sendall(b"a" * HEAD_BYTES)
                sent += HEAD_BYTES
        assert sent < 64 * HEAD_BYTES
        assert heard(connection)[:12] in (b"HTTP/1.1 431", b"")  # the rest of what was sent may reset the connection before it is read


def test_a_long_body_and_headers_of_usual_size_pass(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8000 + b"\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(2):  # on one connection, one after the other
            connection.sendall(head + bytes(1_000_000))
            assert b"1000000" in connection.recv(1 << 16)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert heard(connection).count(b"200 OK") == 2


def test_a_head_that_does_not_come_ends_the_connection(hasty_port: int) -> None:
    for begun in (b"", b"GET / HTTP/1.1\r\nHo", b"\r\n"):
        with closing(socket.create_connection(("127.0.0.1", hasty_port), timeout=PATIENCE_S)) as connection:
            connection.sendall(begun)
            assert heard(connection) == b""


def test_a_slow_answer_is_no_head_that_does_not_come(hasty_port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", hasty_port), timeout=PATIENCE_S)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab")
        time.sleep(1.5)
        connection.sendall(b"cde")
        assert b"200 OK" in heard(connection)


def test_a_websocket_outlives_the_time_for_a_head(hasty_port: int) -> None:
    with connect(f"ws://127.0.0.1:{hasty_port}/talk") as client:
        time.sleep(1.5)
        client.send("hello")
        assert client.recv(timeout=PATIENCE_S) == "5"


def test_a_message_in_some_frames_is_taken_and_one_in_too_many_ends_the_connection(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        client.send("x" for _ in range(1000))
        assert client.recv(timeout=PATIENCE_S) == "1000"
        with pytest.raises(ConnectionClosed):
            client.socket.sendall(frame(TEXT, b"", fin=False) + frame(CONTINUE, b"", fin=False) * (2 * FRAGMENTS))
            client.recv(timeout=PATIENCE_S)


def test_a_client_that_pings_and_never_reads_is_let_go(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as connection:
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
        assert client.recv(timeout=PATIENCE_S) == "5"


def test_who_closes_while_it_is_answered_has_left(port: int) -> None:
    LAST.clear()
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        client.socket.sendall(frame(TEXT, b"wait") + frame(CLOSE, b"\x03\xe8"))
        until(lambda: LAST)
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
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as connection:
        connection.sendall(f"{head}\r\n".encode())
        assert heard(connection).startswith(f"HTTP/1.1 {status} ".encode())


def parts_of(client: ClientConnection) -> list[tuple[int, bool]]:
    """Read the sizes of the parts of one message."""
    sizes: list[tuple[int, bool]] = []
    while not sizes or not sizes[-1][1]:
        size, is_last = json.loads(client.recv(timeout=PATIENCE_S))
        sizes.append((size, is_last))
    return sizes


def test_a_long_message_is_handed_on_in_parts_to_an_app_that_asks_for_them(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/parts") as client:
        for message in (bytes(5 << 20), b"", bytes(PIECE_BYTES), "a" * (3 << 20) + "the end"):
            client.send(message)
            sizes = parts_of(client)
            assert sum(size for size, _ in sizes) == len(message)
            assert max(size for size, _ in sizes) <= PIECE_BYTES
        assert client.recv(timeout=PATIENCE_S) == "aaathe end"


def test_short_frames_of_a_message_are_handed_on_together(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/parts") as client:
        client.send(bytes(100) for _ in range(5000))
        sizes = parts_of(client)
        assert sum(size for size, _ in sizes) == 500_000
        assert min(size for size, is_last in sizes if not is_last) >= PIECE_BYTES


def test_a_character_may_be_cut_by_two_parts(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/parts") as client:
        client.send("a" + "\N{GRINNING FACE}" * 100_000)
        assert sum(size for size, _ in parts_of(client)) == 100_001
        assert client.recv(timeout=PATIENCE_S) == "\N{GRINNING FACE}" * 10


@pytest.mark.parametrize("bad", [b"\xff" + b"a" * 200_000, b"a" * 200_000 + b"\xff", b"a" * 200_000 + b"\xf0\x9f"])
@pytest.mark.parametrize("path", ["parts", "talk"])
def test_a_text_that_is_not_utf8_ends_the_connection(port: int, path: str, bad: bytes) -> None:
    with connect(f"ws://127.0.0.1:{port}/{path}") as client:
        client.socket.sendall(frame(TEXT, bad))
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007


def test_compressed_messages_are_not_offered(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/talk", compression="deflate") as client:
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers
        client.send("hello")
        assert client.recv(timeout=PATIENCE_S) == "5"


@pytest.mark.parametrize("size", [UVICORN["ws_max_size"], UVICORN["ws_max_size"] + 1])
def test_a_message_above_the_limit_ends_the_connection(port: int, size: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/talk") as client:
        client.socket.sendall(frame(TEXT, b"a" * (1 << 17), claim=size))
        if size > UVICORN["ws_max_size"]:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        else:
            client.socket.sendall(bytes(size - (1 << 17)))
            assert client.recv(timeout=PATIENCE_S) == str(size)


@pytest.fixture
def untidy_port() -> Iterator[int]:
    with serving(BoundedHttp, Untidy) as port:
        yield port


@pytest.mark.parametrize("end", ["cut off", "cut off within a message"])
def test_nothing_is_kept_of_a_large_message_though_no_garbage_is_collected(untidy_port: int, end: str) -> None:
    size = 8 << 20
    message, begun = frame(TEXT, b"a" * size), frame(TEXT, b"a" * size, claim=size + 1)
    head = b"GET /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    gc.disable()
    tracemalloc.start()
    try:
        with closing(socket.create_connection(("127.0.0.1", untidy_port), timeout=20)) as connection:
            connection.sendall(head + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            assert b" 101 " in connection.recv(4096)
            connection.sendall(message)
            assert str(size).encode() in connection.recv(4096)
            if end == "cut off within a message":
                connection.sendall(begun)
                time.sleep(0.2)
        assert comes_below(size / 2)
    finally:
        tracemalloc.stop()
        gc.enable()


def comes_below(size: float) -> bool:
    """Wait until less memory is traced than `size` bytes."""
    return until(lambda: tracemalloc.get_traced_memory()[0] < size)
