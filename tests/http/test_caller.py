from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from open_speech.errors import Unauthorized
from open_speech.http.caller import KEY_NAME, NO_PROXIES, Proxies, address_of, caller_of, is_unauthenticated, turn_away
from open_speech.security.network import networks


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
    assert address_of(scope(*forwarded), Proxies(proxies)) == address


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", ["6.6.6.6"], "192.0.2.1"),  # not a proxy: it may claim what it likes
        ("10.1.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("10.1.0.1", ["6.6.6.6, 1.1.1.1, 10.1.0.2"], "1.1.1.1"),
        ("10.1.0.1", ["6.6.6.6", "1.1.1.1", "10.1.0.2"], "1.1.1.1"),
        ("10.1.0.1", ["6.6.6.6, 10.1.0.3, 1.1.1.1, 10.1.0.2"], "1.1.1.1"),  # nothing left of a stranger's address is believed
        ("10.1.0.1", [], "10.1.0.1"),
        ("10.1.0.1", ["10.1.0.3, 10.1.0.2"], "10.1.0.3"),  # the client is in the network of the proxies
        ("10.1.0.1", ["1.1.1.1:5000"], "1.1.1.1"),
        ("10.1.0.1", ["[2001:db8::1]:5000"], "2001:db8::1"),
        ("10.1.0.1", ["6.6.6.6, unknown"], "10.1.0.1"),
        ("10.1.0.1", ["6.6.6.6, "], "10.1.0.1"),
        ("10.1.0.1", ["6.6.6.6, 10.1.0.2:80:80"], "10.1.0.1"),
        ("::ffff:10.1.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("fd00::1%eth0", ["1.1.1.1"], "1.1.1.1"),
        ("10.2.0.1", ["1.1.1.1"], "10.2.0.1"),
        ("", ["1.1.1.1"], ""),
    ],
)
def test_only_the_entries_that_trusted_proxies_wrote_are_believed(client: str, forwarded: list[str], address: str) -> None:
    proxies = Proxies(0, networks(["10.1.0.0/16", "fd00::1"]))
    assert address_of(scope(*forwarded, client=client), proxies) == address


@pytest.mark.parametrize(("count", "address"), [(1, "10.1.0.2"), (2, "1.1.1.1"), (9, "1.1.1.1")])
def test_no_more_proxies_are_believed_than_there_are(count: int, address: str) -> None:
    proxies = Proxies(count, networks(["10.0.0.0/8"]))
    assert address_of(scope("6.6.6.6, 1.1.1.1, 10.1.0.2", client="10.1.0.1"), proxies) == address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (NO_PROXIES, ["1.1.1.1"], ""),
        (Proxies(0, unix=True), ["1.1.1.1"], "1.1.1.1"),
        (Proxies(0, unix=True), ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (Proxies(0, unix=True), [], ""),
        (Proxies(0, unix=True), ["unknown"], ""),
        (Proxies(0, networks(["10.0.0.0/8"]), unix=True), ["6.6.6.6, 1.1.1.1, 10.1.0.2"], "1.1.1.1"),
        (Proxies(0, networks(["10.0.0.0/8"])), ["1.1.1.1"], ""),
        (Proxies(1), ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (Proxies(1, unix=True), ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
    ],
)
def test_a_client_of_a_unix_socket_has_no_address_and_is_a_proxy_if_the_setting_says_so(
    proxies: Proxies, forwarded: list[str], address: str
) -> None:
    assert address_of(scope(*forwarded) | {"client": None}, proxies) == address


def test_a_client_with_an_address_is_not_one_of_a_unix_socket() -> None:
    assert address_of(scope("1.1.1.1", client="192.0.2.1"), Proxies(0, unix=True)) == "192.0.2.1"


def test_a_caller_is_a_key_or_an_address() -> None:
    assert caller_of(scope(**{KEY_NAME: "ann"}), NO_PROXIES) == "key ann"
    assert caller_of(scope(**{KEY_NAME: ""}), NO_PROXIES) == "address 192.0.2.1"
    assert caller_of(scope(client="2001:db8::7"), NO_PROXIES) == "address 2001:db8::/64"
    assert caller_of({"type": "http", "headers": []}, NO_PROXIES) == "address "


def test_a_stranger_is_who_came_without_a_key_where_there_are_some() -> None:
    assert [is_unauthenticated(scope(**more)) for more in ({}, {KEY_NAME: None}, {KEY_NAME: ""}, {KEY_NAME: "ann"})] == [
        False,
        True,
        False,
        False,
    ]


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
