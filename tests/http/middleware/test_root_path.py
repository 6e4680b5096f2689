"""The server below a path of a proxy that takes the path off a request, and of one that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings, SettingsError, load
from runners.wiring.engine import local_engine

TEXT = "the quick brown fox"


@pytest.fixture
def client(tones_settings: Settings) -> Iterator[TestClient]:
    settings = tones_settings.model_copy(update={"os_root_path": "/speech"})
    with TestClient(create_app(settings, local_engine(settings)), follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("prefix", ["", "/speech"])
def test_every_endpoint_answers_with_the_prefix_and_without(client: TestClient, prefix: str) -> None:
    assert client.get(f"{prefix}/health").status_code == 200
    assert client.get(f"{prefix}/web/index.html").status_code == 200
    assert client.get(f"{prefix}/v1/models/whisper-1").json()["id"] == "whisper-1"
    spoken = client.post(f"{prefix}/v1/audio/speech", json={"model": "tts-1", "input": TEXT, "response_format": "wav"})
    heard = client.post(f"{prefix}/openai/v1/audio/transcriptions", files={"file": spoken.content}, data={"model": "whisper-1"})
    assert heard.json()["text"] == TEXT
    with client.websocket_connect(f"{prefix}/v1/audio/stream") as socket:
        assert socket.receive_json()["type"] == "session.begin"


@pytest.mark.parametrize("path", ["/speechless/health", "/speech/speech/health", "/other/health"])
def test_other_prefixes_are_unknown_paths(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(("path", "leads_to"), [("/speech", "/speech/web/"), ("/speech/", "/speech/web/"), ("/speech/web", "/speech/web/")])
def test_the_page_is_found_from_every_way_in(client: TestClient, path: str, leads_to: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 307
    assert str(answer.url.join(answer.headers["location"]).path) == leads_to


def test_what_a_client_is_to_ask_for_next_has_the_prefix(client: TestClient) -> None:
    spoken = client.post("/v1/audio/speech", json={"model": "tts-1", "input": TEXT, "response_format": "wav"}).content
    made = client.post("/v1/audio/jobs", files={"file": ("a.wav", spoken)}, data={"model": "whisper-1"})
    assert made.headers["location"] == f"/speech/v1/audio/jobs/{made.json()['id']}"
    assert client.get(made.headers["location"]).status_code == 200
    voice = client.get("/v1/audio/voices").json()["data"][0]
    assert voice["sample"].startswith("/speech/v1/audio/voices/")
    assert client.get(voice["sample"]).status_code == 200
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/speech"}]


@pytest.mark.parametrize("written", ["speech", "/speech?x", "//x", "/a b", "https://example.org/speech"])
def test_a_path_that_is_none_is_refused_at_the_start(written: str) -> None:
    with pytest.raises(SettingsError, match="OS_ROOT_PATH"):
        load({"OS_ROOT_PATH": written})


def test_a_slash_at_its_end_makes_no_difference() -> None:
    assert load({"OS_ROOT_PATH": "/a/speech/"}).os_root_path == "/a/speech"
