from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from benchmarks.fuzz.sockets import BINARY, CLOSE, CONTINUE, PING, TEXT, frame
from runners.host.ws_frames import PIECE_BYTES, Cutter

LIMIT = 1 << 20


def pieces(data: bytes, rng: Random | None = None, size: int = 1 << 18) -> Iterable[bytes]:
    """Cut a stream as a network might."""
    at = 0
    while at < len(data):
        step = rng.choice((1, 2, 3, 7, 1000, PIECE_BYTES, 300_000)) if rng else size
        yield data[at : at + step]
        at += step


def cut(data: bytes, rng: Random | None = None, limit: int = LIMIT) -> bytes:
    cutter = Cutter(limit)
    return b"".join(map(cutter.feed, pieces(data, rng)))


def parsed(data: bytes) -> list[Frame]:
    """Parse frames as the server does."""
    protocol = ServerProtocol(max_size=None)
    protocol.receive_data(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    [request] = protocol.events_received()
    protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
    protocol.receive_data(data)
    assert protocol.parser_exc is None
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


def messages(frames: Iterable[Frame]) -> list[tuple[Opcode, bytes]]:
    """Put the frames of each message together; control frames stay where they come."""
    found: list[tuple[Opcode, bytes]] = []
    open_message: list[Frame] = []
    for one in frames:
        if one.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            found.append((one.opcode, bytes(one.data)))
            continue
        open_message.append(one)
        if one.fin:
            found.append((open_message[0].opcode, b"".join(bytes(part.data) for part in open_message)))
            open_message = []
    assert not open_message
    return found


def noise(size: int) -> bytes:
    return Random(size).randbytes(size)


SIZES = [0, 1, 125, 126, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES + 3, 2 * PIECE_BYTES, 5 * PIECE_BYTES + 2, LIMIT]


@pytest.mark.parametrize("code", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_the_same_afterwards_in_frames_that_are_not_long(size: int, code: int) -> None:
    frames = parsed(cut(frame(code, noise(size))))
    assert messages(frames) == [(Opcode(code), noise(size))]
    assert max(len(one.data) for one in frames) <= PIECE_BYTES
    assert len(frames) == max(1, -(-size // PIECE_BYTES))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_sent_and_however_the_network_cuts_it_the_messages_are_the_same(seed: int) -> None:
    rng = Random(seed)
    sent = bytearray()
    for _ in range(30):
        parts = [noise(rng.choice((0, 5, 200, 70_000, 140_001))) for _ in range(rng.randint(1, 3))]
        for number, part in enumerate(parts):
            sent += frame(CONTINUE if number else rng.choice((TEXT, BINARY)), part, fin=number == len(parts) - 1)
            if rng.random() < 0.2:
                sent += frame(PING, b"are you there?")
    sent += frame(CLOSE, b"\x03\xe8")
    frames = parsed(cut(bytes(sent), rng))
    assert messages(frames) == messages(parsed(bytes(sent)))
    assert max(len(one.data) for one in frames) <= PIECE_BYTES


def test_a_long_frame_is_passed_on_as_it_arrives() -> None:
    cutter = Cutter(LIMIT)
    passed = b"".join(map(cutter.feed, pieces(frame(TEXT, bytes(LIMIT))[: LIMIT // 2], size=1000)))
    assert len(parsed(passed)) == LIMIT // 2 // PIECE_BYTES - 1  # the last one is not complete, by the bytes of the first header


def test_what_the_parser_refuses_by_its_header_is_left_as_it_is() -> None:
    too_long = frame(TEXT, bytes(100), claim=LIMIT + 1)
    assert cut(too_long) == too_long
    without_mask = bytes((0x80 | TEXT, 127)) + (PIECE_BYTES + 1).to_bytes(8, "big") + bytes(PIECE_BYTES + 1)
    assert cut(without_mask) == without_mask
    long_ping = frame(PING, bytes(2 * PIECE_BYTES))
    assert cut(long_ping) == long_ping


def test_only_the_first_piece_of_a_frame_has_its_reserved_bits() -> None:
    sent = bytearray(frame(TEXT, bytes(3 * PIECE_BYTES)))
    sent[0] |= 0x40
    passed = cut(bytes(sent))
    step = PIECE_BYTES + len(passed) % PIECE_BYTES // 3
    assert [passed[at] for at in range(0, len(passed), step)] == [0x40 | TEXT, CONTINUE, 0x80 | CONTINUE]
