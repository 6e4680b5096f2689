"""Text from a prompt: whole, as events, and over a WebSocket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.api.dialogue.conftest import Serve
from tests.language_model import LanguageModelServer


def sse(text: str) -> list[tuple[str, Any]]:
    found = [event.split("\n") for event in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in found]


def test_a_prompt_has_a_text(client: TestClient) -> None:
    body = client.post("/v1/generate", json={"prompt": "recite 2", "max_tokens": 64}).json()
    assert body["generated_text"] == "This is sentence number 1. This is sentence number 2."
    assert (body["model"], body["finish_reason"], body["usage"]["completion_tokens"]) == ("echo", "stop", 10)


def test_options_and_the_system_prompt_reach_the_model(scripted: TestClient, language_model: LanguageModelServer) -> None:
    prompt = {"prompt": "Hello", "system_prompt": "Be brief.", "seed": 3, "stop": "\n", "min_p": 0.1, "tfs_z": 0.9}
    assert scripted.post("/v1/generate", json=prompt).json()["generated_text"] == language_model.answer
    (request,) = language_model.requests
    assert request["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (request["max_tokens"], request["seed"], request["stop"], request["min_p"]) == (512, 3, ["\n"], 0.1)
    assert not {"tfs_z", "top_k", "prompt", "system_prompt"} & request.keys()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "prompt"), ({"prompt": ""}, "prompt"), ({"prompt": 5}, "prompt"), ({"prompt": "x", "max_tokens": 4097}, "max_tokens"),
        ({"prompt": "x", "temperature": 2.1}, "temperature"), ({"prompt": "x", "top_p": -1}, "top_p"),
        ({"prompt": "x", "top_k": -1}, "top_k"),
        ({"prompt": "x", "stop": [""]}, "stop"), ({"prompt": "x", "seed": "a"}, "seed"),
    ],
)  # fmt: skip
def test_an_invalid_field_is_named_in_gemmavoices_shape(client: TestClient, body: dict[str, Any], named: str) -> None:
    for path in ("/v1/generate", "/v1/generate_stream"):
        answer = client.post(path, json=body)
        assert answer.status_code == 400
        assert list(answer.json()) == ["detail"]
        assert named in answer.json()["detail"]


def test_a_body_that_is_no_json_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/generate", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"detail": "The request body is not valid JSON."})


def test_a_stream_has_its_text_its_usage_and_its_end(client: TestClient) -> None:
    answer = client.post("/v1/generate_stream", json={"prompt": "one two three"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = sse(answer.text)
    assert [name for name, _ in events] == ["text", "text", "text", "usage", "done"]
    assert "".join(data["text"] for name, data in events if name == "text") == "one two three"
    assert events[-2][1]["completion_tokens"] == 3
    assert events[-1][1] == {"finish_reason": "stop", "model": "echo"}


def test_a_limit_on_tokens_is_the_reason_of_the_end(client: TestClient) -> None:
    assert sse(client.post("/v1/generate_stream", json={"prompt": "forever", "max_tokens": 3}).text)[-1][1]["finish_reason"] == "length"


def test_a_model_that_fails_in_a_stream_is_an_event(client: TestClient) -> None:
    *texts, (name, error) = sse(client.post("/v1/generate_stream", json={"prompt": "fail 2 one two three"}).text)
    assert [data["text"] for _, data in texts] == ["one", " two"]
    assert (name, error["code"]) == ("error", "STREAM_ERROR")
    whole = client.post("/v1/generate", json={"prompt": "fail 2 one two three"})
    assert whole.status_code == 500
    assert list(whole.json()) == ["detail"]


def test_no_model_is_an_event_of_a_stream(serve: Serve) -> None:
    client = serve(llm_backends=("llama",), llm_model="default")
    ((name, error),) = sse(client.post("/v1/generate_stream", json={"prompt": "Hello"}).text)
    assert (name, error["code"]) == ("error", "MODEL_NOT_LOADED")


def test_a_socket_answers_many_prompts(client: TestClient) -> None:
    with client.websocket_connect("/v1/generate_ws") as socket:
        for prompt in ("one two", "three four"):
            socket.send_json({"prompt": prompt})
            first, second, done = (socket.receive_json() for _ in range(3))
            assert first["token"] + second["token"] == prompt
            assert done == {"status": "done"}
        socket.send_text("no json")
        assert socket.receive_json() == {"error": "INVALID_REQUEST", "message": "The message is not valid JSON."}
        socket.send_json({"prompt": "x", "max_tokens": 0})
        assert "max_tokens" in socket.receive_json()["message"]
        socket.send_json({"prompt": "fail 0 one"})
        assert socket.receive_json()["error"] == "STREAM_ERROR"
        socket.send_json({"prompt": "still here"})
        assert socket.receive_json() == {"token": "still"}


def test_a_socket_without_a_model_is_closed(serve: Serve) -> None:
    with serve(llm_backends=("llama",), llm_model="default").websocket_connect("/v1/generate_ws") as socket:
        socket.send_json({"prompt": "Hello"})
        assert socket.receive_json()["error"] == "MODEL_NOT_LOADED"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1011


def test_sockets_need_a_free_slot_and_a_key(serve: Serve) -> None:
    client = serve(os_stream_max_connections=1)
    with client.websocket_connect("/v1/generate_ws"), client.websocket_connect("/v1/conversation/ws") as second:
        assert "Too many" in second.receive_json()["message"]
    with pytest.raises(WebSocketDisconnect), serve(os_api_key="sesame").websocket_connect("/v1/generate_ws"):
        pass
