from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine

PATH = "/v1/audio/speech"
BODY = {"model": "tts-1", "input": "Hello there world. How are you?", "voice": "alloy"}


@pytest.fixture
def started(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], TestClient]]:
    """Start the server that keeps speech; each call is another start, in the same folder."""
    engines = []

    def start() -> TestClient:
        own = settings.model_copy(update={"tts_cache_enabled": True, "tts_cache_dir": tmp_path})
        engines.append(local_engine(own))
        return TestClient(create_app(own, engines[-1]))

    yield start
    for engine in engines:
        assert engine.synthesis.cache is not None
        engine.synthesis.cache.close()


def test_the_second_identical_request_is_served_from_the_cache_and_after_a_restart(started: Callable[[], TestClient]) -> None:
    client = started()
    first = client.post(PATH, json=BODY)
    assert first.headers["x-cache"] == "MISS"
    second = client.post(PATH, json=BODY)
    assert second.headers["x-cache"] == "HIT"
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"] == "audio/mpeg"
    assert int(second.headers["content-length"]) == len(first.content)
    later = started().post(PATH, json=BODY)
    assert (later.headers["x-cache"], later.content) == ("HIT", first.content)


@pytest.mark.parametrize(
    "extra",
    [{"input": "Hello there."}, {"speed": 1.5}, {"response_format": "wav"}, {"sample_rate": 16000}, {"input": BODY["input"] + "[pause:1]"}],
    ids=str,
)
def test_a_changed_option_misses(started: Callable[[], TestClient], extra: dict[str, Any]) -> None:
    client = started()
    client.post(PATH, json=BODY)
    assert client.post(PATH, json=BODY | extra).headers["x-cache"] == "MISS"
    assert client.post(PATH, json=BODY | extra).headers["x-cache"] == "HIT"
    assert client.post(PATH, json=BODY | {"voice": "tone"}).headers["x-cache"] == "HIT"  # which is what `alloy` means here


@pytest.mark.parametrize(("query", "extra"), [("?cache=false", {}), ("?cache=0", {}), ("", {"cache": False})])
def test_a_request_may_do_without(started: Callable[[], TestClient], query: str, extra: dict[str, Any]) -> None:
    client = started()
    for _ in range(2):
        assert "x-cache" not in client.post(PATH + query, json=BODY | extra).headers
    assert client.post(PATH, json=BODY).headers["x-cache"] == "MISS"


def test_events_and_plain_sound_come_from_one_place(started: Callable[[], TestClient]) -> None:
    client = started()
    told = [client.post(PATH, json=BODY | {"stream_format": "sse"}) for _ in range(2)]
    plain = client.post(PATH, json=BODY)
    assert [answer.headers["x-cache"] for answer in (*told, plain)] == ["MISS", "HIT", "HIT"]
    sounds, endings = [], []
    for answer in told:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        sounds.append(b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta"))
        endings.append(events[-1])
    assert sounds[0] == sounds[1] == plain.content
    assert endings[0] == endings[1]


def test_a_wrong_request_is_wrong_with_a_cache_too(started: Callable[[], TestClient]) -> None:
    client = started()
    assert client.post(PATH, json=BODY | {"voice": "nobody"}).status_code == 400
    assert client.post(PATH, json=BODY | {"input": " "}).status_code == 400


def test_without_the_setting_nothing_is_kept(client: TestClient) -> None:
    assert "x-cache" not in client.post(PATH, json=BODY).headers
