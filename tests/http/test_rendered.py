from __future__ import annotations

import asyncio

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.backends import ModelEntry, Task
from open_speech.config import Settings
from open_speech.http.rendered import Rendered
from runners.wiring.engine import local_engine


def test_a_body_is_rendered_once_for_a_key() -> None:
    calls: list[str] = []

    def render(text: str) -> bytes:
        calls.append(text)
        return text.encode()

    async def run() -> list[bytes]:
        rendered = Rendered(most=2)
        return [bytes((await rendered.json(key, lambda key=key: render(key))).body) for key in ("a", "a", "b", "a", "c", "a", "b")]

    assert asyncio.run(run()) == [b"a", b"a", b"b", b"a", b"c", b"a", b"b"]
    assert calls == ["a", "b", "c", "b"]  # `b` was the one that was not requested for the longest time


def test_what_cannot_be_rendered_is_not_kept() -> None:
    async def run() -> bytes:
        rendered = Rendered()
        with pytest.raises(ZeroDivisionError):
            await rendered.json("key", lambda: bytes(1 // 0))
        return bytes((await rendered.json("key", lambda: b"{}")).body)

    assert asyncio.run(run()) == b"{}"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/voices", "/v1/audio/voices?legacy=true"])
def test_a_list_is_the_same_when_it_is_requested_again(path: str, tones_settings: Settings) -> None:
    with TestClient(create_app(tones_settings, local_engine(tones_settings))) as client:
        first, second = client.get(path), client.get(path)
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.content == second.content


def test_a_list_is_new_when_another_server_offers_more(tones_settings: Settings) -> None:
    engine = local_engine(tones_settings.model_copy(update={"stt_backends": ("tones-stt", "upstream")}))
    with TestClient(create_app(tones_settings, engine)) as client:
        before = client.get("/v1/models").json()
        engine.registry.learn("upstream", [ModelEntry("upstream/new", "upstream", Task.STT, "MIT", ("en",))])
        after = client.get("/v1/models").json()
    assert "upstream/new" not in [model["id"] for model in before["data"]]
    assert "upstream/new" in [model["id"] for model in after["data"]]
