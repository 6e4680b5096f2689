from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.engine import Engine
from tests.waiting import PATIENCE_S, eventually, until

TOY = "/api/models/toy/tones"


def until_state(state: str, client: TestClient) -> dict[str, Any]:
    """Ask for the toy model until it is in a state."""
    asked: list[dict[str, Any]] = []

    def in_state() -> bool:
        asked.append(client.get(TOY).json())
        return bool(asked[-1]["state"] == state)

    until(in_state, why=lambda: asked[-1])
    return asked[-1]


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_every_model_of_the_backends_here_is_listed_with_its_state(client: TestClient) -> None:
    body = client.get("/api/models").json()
    assert body["object"] == "list"
    states = {model["id"]: model for model in body["models"]}
    assert {name: model["state"] for name, model in states.items()} == {"tones/speak": "downloaded", "toy/tones": "available"}
    assert states["tones/speak"]["default"] is True
    toy = states["toy/tones"]
    assert (toy["size_bytes"], toy["disk_bytes"], toy["memory_bytes"], toy["where"]) == (65536, 0, None, "inproc")
    assert (toy["backend"], toy["task"], toy["licence"], toy["languages"]) == ("tones-tts", "text-to-speech", "MIT", ["en"])


def test_the_list_names_the_language_model_that_answers(client: TestClient, engine: Engine) -> None:
    assert client.get("/api/models").json()["language_model"] is None
    remote = Settings(llm_base_url="http://127.0.0.1:9/v1", llm_model="llama3.2")
    with TestClient(create_app(remote, engine)) as other:
        assert other.get("/api/models").json()["language_model"] == {"name": "llama3.2", "where": "remote", "fault": ""}
    wrong = Settings(llm_model="tones/speak")
    with TestClient(create_app(wrong, engine)) as other:
        named = other.get("/api/models").json()["language_model"]
        assert (named["name"], named["where"]) == ("tones/speak", "local")
        assert named["fault"].startswith("LLM_MODEL=tones/speak is not used: ")


@pytest.mark.parametrize("name", ["toy/tones", "toy%2Ftones"])
def test_a_model_is_loaded_and_let_go_of_by_its_id_however_it_is_written(client: TestClient, name: str) -> None:
    loaded = client.post(f"/api/models/{name}/load")
    assert (loaded.status_code, loaded.json()["state"]) == (200, "loaded")
    assert loaded.json()["memory_bytes"] > 10_000_000
    assert loaded.json()["last_use_s"] < 5
    gone = client.post(f"/api/models/{name}/unload")
    assert (gone.status_code, gone.json()["state"], gone.json()["disk_bytes"]) == (200, "downloaded", 65536)


def test_delete_lets_go_and_keeps_the_files(client: TestClient) -> None:
    client.post(f"{TOY}/load").raise_for_status()
    assert client.delete(TOY).json()["state"] == "downloaded"
    assert client.delete(TOY).json()["state"] == "downloaded", "again is fine"


def test_openai_s_names_lead_to_the_model_behind_them(client: TestClient) -> None:
    assert client.post("/api/models/tts-1/load").json()["id"] == "tones/speak"


def test_deleting_the_files_lets_go_of_the_model_first(client: TestClient) -> None:
    client.post(f"{TOY}/load").raise_for_status()
    gone = client.delete(f"{TOY}/artifacts").json()
    assert gone == {"id": "toy/tones", "object": "model.deleted", "deleted": True, "freed_bytes": gone["freed_bytes"]}
    assert gone["freed_bytes"] >= 65536
    assert client.get(TOY).json()["state"] == "available"
    assert client.delete(f"{TOY}/artifacts").json()["deleted"] is False


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/models/nothing"),
        ("GET", "/api/models/nothing/status"),
        ("GET", "/api/models/some/repository"),
        ("POST", "/api/models/nothing/load"),
        ("POST", "/api/models/nothing/download?stream=true"),
        ("POST", "/api/models/../load"),
        ("DELETE", "/api/models/nothing"),
        ("DELETE", "/api/models/nothing/artifacts"),
        ("DELETE", "/api/models/nothing/download"),
        ("POST", "/api/ps/nothing"),
        ("DELETE", "/api/ps/nothing"),
        ("POST", "/api/pull/nothing?stream=true"),
    ],
)
def test_an_unknown_model_is_404_in_the_envelope(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_repository_that_cannot_be_had_says_why_and_is_remembered(client: TestClient, file_host: Any) -> None:
    file_host.status = 500
    answer = client.post(f"{TOY}/load")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "weights_unavailable"
    assert client.get(TOY).json()["error"]["code"] == "weights_unavailable"
    file_host.status = 200
    assert client.post(f"{TOY}/load").json()["error"] is None


def test_a_fetch_tells_how_far_it_is(client: TestClient, file_host: Any) -> None:
    file_host.gate.clear()
    begun = client.post(f"{TOY}/download?wait=false")
    assert begun.status_code == 202
    assert begun.json()["progress"]["what"] == "download"

    def of_the_file() -> dict[str, Any] | None:
        progress: dict[str, Any] = client.get(f"{TOY}/status").json()["progress"]
        return progress if progress["file"] == "a.bin" else None

    progress = until(of_the_file)
    assert (progress["state"], progress["total_bytes"]) == ("downloading", 65536)
    assert client.get(TOY).json()["state"] == "downloading"
    file_host.gate.set()
    assert until_state("downloaded", client)["progress"] is None


def test_a_second_fetch_joins_the_first(client: TestClient, file_host: Any, aside: ThreadPoolExecutor) -> None:
    file_host.gate.clear()
    fetches = [aside.submit(client.post, f"{TOY}/{what}") for what in ("download", "download", "load")]
    until_state("downloading", client)
    time.sleep(0.1)
    file_host.gate.set()
    assert [fetch.result(PATIENCE_S).status_code for fetch in fetches] == [200, 200, 200]
    assert file_host.asked == 1
    assert until_state("loaded", client)


def test_a_fetch_can_be_stopped_and_is_taken_up_again(client: TestClient, file_host: Any, aside: ThreadPoolExecutor) -> None:
    file_host.gate.clear()
    waiting = aside.submit(client.post, f"{TOY}/download")
    until_state("downloading", client)
    stopped = client.delete(f"{TOY}/download")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "available")
    assert waiting.result(PATIENCE_S).json()["state"] == "available"
    file_host.gate.set()
    assert client.post(f"{TOY}/download").json()["state"] == "downloaded"


def test_a_load_streams_its_states_to_the_end(client: TestClient, events_of: Callable[[str], list[dict[str, Any]]]) -> None:
    answer = client.post(f"{TOY}/load", headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events_of(answer.text)
    assert told[0]["state"] in ("downloading", "loading")
    assert (told[-1]["state"], told[-1]["progress"]) == ("loaded", None)


def test_a_stream_of_a_load_that_fails_ends_with_the_error(
    client: TestClient, file_host: Any, events_of: Callable[[str], list[dict[str, Any]]]
) -> None:
    file_host.status = 404
    told = events_of(client.post(f"{TOY}/load?stream=true").text)
    assert told[-1]["error"]["code"] == "weights_unavailable"


def test_the_status_stream_follows_what_somebody_else_set_going(
    client: TestClient, file_host: Any, aside: ThreadPoolExecutor, events_of: Callable[[str], list[dict[str, Any]]]
) -> None:
    file_host.gate.clear()
    client.post(f"{TOY}/download?wait=false")
    following = aside.submit(client.get, f"{TOY}/status?stream=true&until=settled")
    time.sleep(0.2)
    file_host.gate.set()
    states = [event["state"] for event in events_of(following.result(PATIENCE_S).text)]
    assert states[0] == "downloading"
    assert states[-1] == "downloaded"


def test_a_first_use_fetches_what_is_missing_and_tells_how_far_it_is(client: TestClient, file_host: Any, aside: ThreadPoolExecutor) -> None:
    file_host.gate.clear()
    body = {"model": "toy/tones", "voice": "tone", "input": "hello", "response_format": "wav"}
    speaking = aside.submit(client.post, "/v1/audio/speech", json=body)
    assert until_state("downloading", client)["progress"]["what"] == "load"
    file_host.gate.set()
    assert speaking.result(PATIENCE_S).status_code == 200
    assert client.get(TOY).json()["state"] == "loaded"


def test_a_model_is_let_go_of_while_it_speaks_and_the_speech_is_whole(client: TestClient, aside: ThreadPoolExecutor) -> None:
    body = {"model": "toy/tones", "voice": "tone", "input": "hello there world", "response_format": "pcm"}
    whole = client.post("/v1/audio/speech", json=body).content
    done = threading.Event()

    def swap() -> int:
        swaps = 0
        while not done.is_set():
            client.post(f"{TOY}/unload").raise_for_status()
            swaps += 1
        return swaps

    swapping = aside.submit(swap)
    try:
        answers = [client.post("/v1/audio/speech", json=body) for _ in range(10)]
    finally:
        done.set()
    assert swapping.result(PATIENCE_S) > 0
    assert {(answer.status_code, len(answer.content)) for answer in answers} == {(200, len(whole))}


def test_a_client_that_leaves_does_not_stop_the_fetch(app: FastAPI, file_host: Any) -> None:
    async def leave() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.post(f"{TOY}/download")
            file_host.gate.set()

            async def is_there() -> bool:
                return bool((await client.get(TOY)).json()["state"] == "downloaded")

            await eventually(is_there)

    file_host.gate.clear()
    asyncio.run(leave())
