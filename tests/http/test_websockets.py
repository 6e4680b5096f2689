from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from open_speech.errors import InvalidRequest, Overloaded, SpeechError
from open_speech.http.inbox import Inbox, accept
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import check_origin, chosen_subprotocol, is_allowed_origin, received, turn_away, until_one_ends
from open_speech.http.ws_messages import POLICY, TRY_LATER
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("origin", "origins", "welcome"),
    [
        (None, (), True),
        ("https://a.example", ("*",), True),
        ("https://a.example", ("https://a.example",), True),
        ("https://b.example", ("https://a.example",), False),
        ("https://a.example.evil", ("https://a.example",), False),
        ("http://here:8100", (), True),
        ("http://here:8101", (), False),
        ("null", (), False),
        ("http://[", (), False),
        ("here:8100", (), False),
    ],
)
def test_a_page_connects_only_from_an_origin_that_is_listed_or_our_own(origin: str | None, origins: tuple[str, ...], welcome: bool) -> None:
    headers = {"host": "here:8100"} | ({} if origin is None else {"origin": origin})
    assert is_allowed_origin(Headers(headers), origins) is welcome


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        ("realtime", "realtime"),
        ("openai-insecure-api-key.sesame, realtime", "realtime"),
        ("openai-insecure-api-key.sesame", "openai-insecure-api-key.sesame"),
    ],
)
def test_a_subprotocol_is_chosen_that_is_not_the_key_if_there_is_another(offered: str | None, chosen: str | None) -> None:
    assert chosen_subprotocol(Headers({} if offered is None else {"sec-websocket-protocol": offered})) == chosen


@pytest.mark.parametrize(("offered", "chosen"), [("x, realtime", "realtime"), ("x, y", "x"), ("", None)])
def test_a_preferred_subprotocol_is_chosen_if_it_is_offered(offered: str, chosen: str | None) -> None:
    assert chosen_subprotocol(Headers({"sec-websocket-protocol": offered}), preferred="realtime") == chosen


class Peer:
    """A client at the other end of a real Starlette socket, that says what it is given to say, and then nothing."""

    def __init__(self, *says: Message) -> None:
        self._says = [{"type": "websocket.connect"}, *says]
        self.heard: list[Message] = []
        self.socket = WebSocket({"type": "websocket", "headers": []}, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._says:
            await asyncio.Event().wait()
        return self._says.pop(0)

    async def _send(self, message: Message) -> None:
        self.heard.append(message)


def heard_from(peer: Peer, *, owes: Callable[[], bool] = lambda: False, longest: int = 100) -> str | bytes | None:
    async def scene() -> str | bytes | None:
        await accept(peer.socket)
        inbox = Inbox(peer.socket)
        filling = asyncio.create_task(inbox.fill())
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await received(inbox, SendQueue(), 0.02, owes, longest)
        finally:
            filling.cancel()

    return asyncio.run(scene())


def test_text_and_bytes_are_received_as_they_are() -> None:
    assert heard_from(Peer({"type": "websocket.receive", "text": "words"})) == "words"
    assert heard_from(Peer({"type": "websocket.receive", "bytes": b"sound"})) == b"sound"
    assert heard_from(Peer({"type": "websocket.receive", "bytes": b"", "text": None})) == b""


def test_a_silence_is_told_unless_something_is_owed() -> None:
    assert heard_from(Peer()) is None
    owed = iter([True, True, False])
    assert heard_from(Peer(), owes=lambda: next(owed)) is None
    assert next(owed, None) is None


def test_the_parts_of_a_text_are_joined_and_bytes_come_part_by_part() -> None:
    texts = [{"type": "websocket.receive", "text": text, "more": text != "c"} for text in "abc"]
    assert heard_from(Peer(*texts, {"type": "websocket.receive", "text": "d"})) == "abc"
    sound = [{"type": "websocket.receive", "bytes": part, "more": part != b"c"} for part in (b"a", b"b", b"c")]
    assert heard_from(Peer(*sound)) == b"a"


@pytest.mark.parametrize("parts", [1, 4, 100])
def test_a_text_that_is_too_long_is_kept_only_as_far_as_to_see_that(parts: int) -> None:
    texts = [{"type": "websocket.receive", "text": "a" * (10_000 // parts), "more": number < parts - 1} for number in range(parts)]
    assert heard_from(Peer(*texts), longest=500) == "a" * 501


@pytest.mark.parametrize(
    ("how", "raised"),
    [(WebSocketDisconnect(1000), None), (TimeoutError(), None), (None, None), (ValueError("a defect"), ValueError)],
)
def test_a_connection_that_ended_is_no_failure_and_a_defect_is(how: Exception | None, raised: type[Exception] | None) -> None:
    async def end() -> None:
        if how is not None:
            raise how

    async def scene() -> None:
        reading, writing = asyncio.create_task(end()), asyncio.create_task(asyncio.Event().wait())
        try:
            await until_one_ends(reading, writing)  # type: ignore[arg-type]
        finally:
            writing.cancel()

    if raised is None:
        asyncio.run(scene())
    else:
        with pytest.raises(raised):
            asyncio.run(scene())


@pytest.mark.parametrize(("error", "code"), [(InvalidRequest("No."), POLICY), (Overloaded("Not now.", retry_after_s=1), TRY_LATER)])
def test_who_is_turned_away_hears_why_and_whether_to_come_again(error: SpeechError, code: int) -> None:
    peer = Peer()

    async def scene() -> None:
        await peer.socket.accept()
        await turn_away(peer.socket, error, {"type": "error"})

    asyncio.run(scene())
    assert [message.get("text") for message in peer.heard[1:-1]] == ['{"type":"error"}']
    assert peer.heard[-1]["code"] == code


def test_a_page_of_another_origin_is_refused_in_words() -> None:
    check_origin(Headers({"host": "here"}), ())
    with pytest.raises(InvalidRequest, match="OS_WS_ALLOWED_ORIGINS"):
        check_origin(Headers({"host": "here", "origin": "https://b.example"}), ())
