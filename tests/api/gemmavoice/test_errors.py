"""The format of errors, from every place that may reject a request, and the keys and the request ids of GemmaVoice's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.testclient import TestClient, WebSocketDenialResponse

from open_speech import errors
from open_speech.api.gemmavoice import FORMATS, router
from open_speech.api.gemmavoice.errors import FOLDERS, PATHS, detail_of, event_of, response_of
from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine

POSTS = ("/v1/speech-to-text", "/v1/text-to-speech", "/v1/encode-reference")
SOCKETS = ("/v1/speech-to-text/ws", "/ws/stt", "/v1/speech-to-text/stream", "/v1/text-to-speech/ws", "/ws/tts")


def test_every_path_of_this_api_has_this_format() -> None:
    found = {
        route.path for context in iter_route_contexts(router.routes) if isinstance(route := context.route, APIRoute | APIWebSocketRoute)
    }
    assert found <= set(PATHS)
    assert set(FORMATS) == {*PATHS, *FOLDERS}


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (errors.Unauthorized("No key."), 401, "No key."),
        (errors.WrongKey("Wrong."), 403, "Wrong."),
        (errors.TooManyGuesses("Wait."), 429, "Wait."),
        (errors.TextTooLong("input is long.", param="input"), 400, "input is long. (field `text`)"),
        (errors.UnknownVoice("No voice `x`.", param="voice"), 400, "No voice `x`. (field `reference_id`)"),
        (errors.InvalidValue("`speed` is high.", param="speed"), 400, "`speed` is high."),
        (errors.BackendUnavailable("Dead."), 503, "Dead."),
        (errors.BackendFailed("half \ud83d"), 500, "half ?"),
    ],
)
def test_an_error_is_its_message_with_the_field(error: errors.SpeechError, status: int, detail: str) -> None:
    assert response_of(error) == (status, {"detail": detail})
    assert detail_of(error) == detail
    assert event_of(error) == {"event": "error", "detail": detail}


@pytest.fixture
def locked(guarded: Callable[..., Settings]) -> Iterator[TestClient]:
    settings = guarded()
    with TestClient(create_app(settings, local_engine(settings))) as client:
        yield client


@pytest.mark.parametrize("path", POSTS)
def test_a_missing_key_is_401_and_a_wrong_one_403_before_the_body_is_read(locked: TestClient, path: str) -> None:
    for headers, status in (({}, 401), ({"X-Our-Key": "wrong"}, 403), ({"Authorization": "Bearer wrong"}, 403)):
        answer = locked.post(path, content=b"not the body of this path", headers=headers)
        assert (answer.status_code, answer.json().keys()) == (status, {"detail"})
    other = locked.post("/v1/audio/speech", headers={"X-Our-Key": "wrong"})
    assert (other.status_code, other.json().keys()) == (401, {"error"})


@pytest.mark.parametrize("headers", [{"X-Our-Key": "sesame"}, {"x-api-key": "sesame"}, {"Authorization": "Bearer sesame"}])
def test_a_key_is_accepted_in_the_named_header_on_every_route(locked: TestClient, headers: dict[str, str]) -> None:
    assert locked.get("/v1/models", headers=headers).status_code == 200
    assert locked.post("/v1/text-to-speech", json={"text": "Hello."}, headers=headers).status_code == 200
    with locked.websocket_connect("/v1/audio/stream", headers=headers) as socket:
        assert socket.receive_json()["type"] == "session.begin"


@pytest.mark.parametrize("path", SOCKETS)
def test_the_key_is_checked_at_the_handshake(locked: TestClient, path: str) -> None:
    for headers, status in (({}, 401), ({"X-Our-Key": "wrong"}, 403)):
        with pytest.raises(WebSocketDenialResponse) as denied, locked.websocket_connect(path, headers=headers):
            pass
        assert (denied.value.status_code, denied.value.json().keys()) == (status, {"detail"})
    with locked.websocket_connect(path, headers={"X-Our-Key": "sesame"}) as socket:
        socket.send_text("no json")
        assert socket.receive_json().keys() >= {"event"}


@pytest.mark.parametrize("path", SOCKETS)
def test_plain_http_learns_that_a_websocket_is_wanted(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["upgrade"], answer.json().keys()) == (426, "websocket", {"detail"})


def test_the_rate_limit_and_the_check_of_the_host_have_this_format(tones_settings: Settings) -> None:
    settings = tones_settings.model_copy(update={"os_rate_limit": 1})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        assert client.post(POSTS[1], json={"text": "Hello."}).status_code == 200
        answer = client.post(POSTS[1], json={"text": "Hello."})
        assert (answer.status_code, answer.json().keys()) == (429, {"detail"})
        assert int(answer.headers["retry-after"]) >= 1
        foreign = client.post(POSTS[1], json={}, headers={"Host": "evil.example"})
        assert (foreign.status_code, foreign.json().keys()) == (403, {"detail"})


@pytest.mark.parametrize("path", POSTS)
def test_a_server_that_starts_answers_503(tones_settings: Settings, path: str) -> None:
    with TestClient(create_app(tones_settings)) as client:
        answer = client.post(path, json={"text": "Hello."}, headers={})
        expected = 400 if path == "/v1/encode-reference" else 503  # this one needs no backend
        assert (answer.status_code, answer.json().keys()) == (expected, {"detail"})


def test_an_unexpected_failure_has_this_format_and_no_details(tones_settings: Settings) -> None:
    engine = local_engine(tones_settings)
    engine.pool = None  # type: ignore[assignment]
    with TestClient(create_app(tones_settings, engine), raise_server_exceptions=False) as client:
        answer = client.get("/health/stt")
    assert (answer.status_code, answer.json().keys()) == (500, {"detail"})
    assert answer.headers["x-request-id"] in answer.json()["detail"]


def test_the_request_id_is_in_the_named_header_and_in_the_usual_one(tones_settings: Settings) -> None:
    settings = tones_settings.model_copy(update={"os_request_id_header": "X-Correlation-ID"})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        made = client.get("/health")
        assert made.headers["x-correlation-id"] == made.headers["x-request-id"] != ""
        kept = client.get("/health", headers={"x-request-id": "theirs", "X-Correlation-ID": "mine"})
        assert kept.headers["x-correlation-id"] == kept.headers["x-request-id"] == "mine"
        usual = client.get("/health", headers={"x-request-id": "theirs"})
        assert usual.headers["x-correlation-id"] == "theirs"
        with client.websocket_connect("/ws/tts", headers={"X-Correlation-ID": "mine"}) as socket:
            sent: Any = socket.extra_headers
            names = {name.decode(): value.decode() for name, value in sent}
            assert names["x-correlation-id"] == "mine"


def test_models_are_listed_in_both_formats(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["models"]] == [model["id"] for model in body["data"]]
    assert all(model.keys() == {"id", "name", "description"} for model in body["models"])
