from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, Field
from starlette.requests import Request

from open_speech.errors import InvalidRequest, InvalidValue, MissingField, OutOfRange, Overloaded, SpeechError, UnknownModel, UnknownVoice
from open_speech.http.errors import envelope, error_response, from_validation, method_not_allowed, unknown_path, validated


class Body(BaseModel):
    name: str
    speed: float = Field(1.0, ge=0.25, le=4)
    places: list[int] = []


def test_the_envelope_has_all_four_keys() -> None:
    assert envelope(UnknownVoice("No such voice.", param="voice")) == {
        "error": {"message": "No such voice.", "type": "invalid_request_error", "param": "voice", "code": "voice_not_found"}
    }
    assert envelope(SpeechError("Oh."))["error"] == {"message": "Oh.", "type": "server_error", "param": None, "code": None}


@pytest.mark.parametrize(("wait_s", "header"), [(0.2, "1"), (1.0, "1"), (2.1, "3")])
def test_retry_after_is_in_whole_seconds(wait_s: float, header: str) -> None:
    answer = error_response(Overloaded("Busy.", retry_after_s=wait_s))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, header)
    assert json.loads(bytes(answer.body))["error"]["code"] == "server_overloaded"


@pytest.mark.parametrize(
    ("data", "kind", "param"),
    [
        ({}, MissingField, "name"),
        ({"name": 5}, InvalidValue, "name"),
        ({"name": "a", "speed": 9}, OutOfRange, "speed"),
        ({"name": "a", "speed": 0}, OutOfRange, "speed"),
        ({"name": "a", "speed": float("nan")}, OutOfRange, "speed"),
        ({"name": "a", "speed": "fast"}, InvalidValue, "speed"),
        ({"name": "a", "places": [1, "x"]}, InvalidValue, "places"),
    ],
)
def test_validation_names_the_field(data: dict[str, object], kind: type[SpeechError], param: str) -> None:
    with pytest.raises(kind) as raised:
        validated(Body, data)
    assert type(raised.value) is kind
    assert raised.value.param == param
    assert param in raised.value.message


def test_a_body_that_is_no_object_names_no_field() -> None:
    error = from_validation([{"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a valid dictionary"}])
    assert type(error) is InvalidRequest
    assert error.param is None
    assert "application/json" in error.message


def test_broken_json_is_called_so() -> None:
    error = from_validation([{"type": "json_invalid", "loc": ("body", 3), "msg": "JSON decode error"}])
    assert (error.status, error.param, error.message) == (400, None, "The request body is not valid JSON.")


def test_half_a_surrogate_pair_of_a_client_does_not_break_the_answer() -> None:
    answer = error_response(UnknownModel("The model `\ud83d` does not exist.", param="\ud83d"))
    assert (answer.status_code, b"The model `?` does not exist." in answer.body) == (404, True)


@pytest.mark.parametrize("host", ["[", "a b", "", "::1"])
def test_a_host_that_is_none_does_not_break_the_answer(host: str) -> None:
    scope = {"type": "http", "method": "PUT", "path": "/v1/x", "headers": [(b"host", host.encode())], "query_string": b"", "scheme": "http"}
    assert unknown_path(Request(scope)).message == "Invalid URL (PUT /v1/x)"
    assert method_not_allowed(Request(scope)).message == "/v1/x does not accept the method PUT."
