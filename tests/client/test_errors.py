from __future__ import annotations

import pytest

from open_speech.client import APIError, ConnectionFailed, InvalidRequest, Retry, ServerFailed, TooManyRequests
from open_speech.client.errors import from_event, from_response
from open_speech.client.retry import Attempts
from open_speech.client.sse import EventParser

BUSY = b'{"error":{"message":"busy","type":"server_error","param":null,"code":"server_overloaded"}}'


def test_the_error_of_a_response_has_every_field() -> None:
    error = from_response(429, {"retry-after": "7", "x-request-id": "r1"}, BUSY)
    assert isinstance(error, TooManyRequests)
    assert (error.message, error.status, error.type, error.code, error.param) == ("busy", 429, "server_error", "server_overloaded", None)
    assert (error.request_id, error.retry_after_s, error.is_invalid_request) == ("r1", 7.0, False)


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway", b"[1]", b'{"error": "text"}', b"\xff"])
def test_any_body_makes_an_error(body: bytes) -> None:
    error = from_response(502, {"retry-after": "Tue, 01 Dec 2026"}, body)
    assert isinstance(error, ServerFailed)
    assert error.message
    assert error.retry_after_s is None


def test_an_event_with_an_error_raises_it() -> None:
    with pytest.raises(InvalidRequest) as raised:
        EventParser().feed(b'data: {"error":{"message":"bad","type":"invalid_request_error","param":"model","code":"x"}}\n')
    assert (raised.value.param, raised.value.status) == ("model", None)
    assert from_event({}).message


@pytest.mark.parametrize("step", [1, 2, 7, 999])
def test_events_may_be_split_anywhere(step: int) -> None:
    data = ': keep-alive\n\ndata: {"type":"a","text":"grün\u2028"}\n\ndata: [DONE]\n'.encode()
    parser = EventParser()
    found = [event for start in range(0, len(data), step) for event in parser.feed(data[start : start + step])]
    assert found == [{"type": "a", "text": "grün\u2028"}]


def test_delays_double_are_bounded_and_at_least_those_of_the_server() -> None:
    retry = Retry(first_s=0.1, longest_s=1.0)
    for failures, least in ((1, 0.1), (2, 0.2), (3, 0.4), (9, 1.0)):
        assert least <= retry.delay_s(failures) <= least * 1.25
    assert retry.delay_s(1, 5.0) >= 5.0


def test_what_is_repeated() -> None:
    busy = from_response(429, {"retry-after": "1"}, BUSY)
    attempts = Attempts(Retry(attempts=3), repeatable=True)
    assert attempts.delay_after(busy) >= 1
    assert attempts.delay_after(ConnectionFailed("lost")) > 0
    with pytest.raises(ConnectionFailed):
        attempts.delay_after(ConnectionFailed("lost"))
    attempts.succeeded()
    assert attempts.delay_after(busy) >= 1


@pytest.mark.parametrize(
    ("error", "repeatable"),
    [
        (ConnectionFailed("lost"), False),
        (from_response(400, {}, b""), True),
        (from_response(429, {"retry-after": "3600"}, BUSY), True),
        (APIError("in a stream"), True),
    ],
)
def test_what_is_not_repeated(error: Exception, repeatable: bool) -> None:
    with pytest.raises(type(error)):
        Attempts(Retry(), repeatable=repeatable).delay_after(error)  # type: ignore[arg-type]
