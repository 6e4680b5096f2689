from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from open_speech.errors import Overloaded
from open_speech.sockets import Seats, chosen_subprotocol, is_welcome


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
    ],
)
def test_a_page_connects_only_from_an_origin_that_is_listed_or_our_own(origin: str | None, origins: tuple[str, ...], welcome: bool) -> None:
    headers = {"host": "here:8100"} | ({} if origin is None else {"origin": origin})
    assert is_welcome(Headers(headers), origins) is welcome


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


def test_a_seat_is_free_again_when_its_connection_ends() -> None:
    seats = Seats(1)
    for _ in range(2):
        with seats.taken(), pytest.raises(Overloaded), seats.taken():
            raise AssertionError("there was no seat")
