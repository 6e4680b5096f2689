from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from open_speech.callers import KEY_NAME, address_of, caller_of, is_stranger, turn_away
from open_speech.errors import Unauthorized


def scope(*forwarded: str, client: str = "192.0.2.1", **more: Any) -> dict[str, Any]:
    return {"type": "http", "client": (client, 1), "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded], **more}


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        (["1.1.1.1"], 0, "192.0.2.1"),
        (["1.1.1.1"], 1, "1.1.1.1"),
        (["6.6.6.6, 1.1.1.1"], 1, "1.1.1.1"),
        (["6.6.6.6, 1.1.1.1, 10.0.0.1"], 2, "1.1.1.1"),
        (["6.6.6.6", "1.1.1.1"], 1, "1.1.1.1"),
        ([], 1, "192.0.2.1"),
        (["1.1.1.1"], 2, "192.0.2.1"),
        (["1.1.1.1, "], 1, "192.0.2.1"),
        (["1.1.1.1:5000"], 1, "1.1.1.1"),
        (["[2001:db8::1]:5000"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
    ],
)
def test_an_address_is_what_the_furthest_of_our_proxies_saw(forwarded: list[str], proxies: int, address: str) -> None:
    assert address_of(scope(*forwarded), proxies) == address


def test_a_caller_is_a_key_or_an_address() -> None:
    assert caller_of(scope(**{KEY_NAME: "ann"}), 0) == "key ann"
    assert caller_of(scope(**{KEY_NAME: ""}), 0) == "address 192.0.2.1"
    assert caller_of(scope(client="2001:db8::7"), 0) == "address 2001:db8::/64"
    assert caller_of({"type": "http", "headers": []}, 0) == "address "


def test_a_stranger_is_who_came_without_a_key_where_there_are_some() -> None:
    assert [is_stranger(scope(**more)) for more in ({}, {KEY_NAME: None}, {KEY_NAME: ""}, {KEY_NAME: "ann"})] == [False, True, False, False]


@pytest.mark.parametrize(("extensions", "answers"), [({}, ["websocket.close"]), ({"websocket.http.response": {}}, None)])
def test_a_websocket_is_turned_away_before_it_opens(extensions: dict[str, Any], answers: list[str] | None) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    opening = {"type": "websocket", "headers": [], "extensions": extensions}
    asyncio.run(turn_away(Unauthorized("No."), opening, receive, send))
    assert [message["type"] for message in sent] == (answers or ["websocket.http.response.start", "websocket.http.response.body"])
    assert sent[0].get("code", 1008) == 1008
    assert sent[0].get("status", 401) == 401
