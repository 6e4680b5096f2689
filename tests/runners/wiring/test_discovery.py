"""What servers elsewhere have comes into the registry, by and by, and a server that is down stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.backends import Task
from open_speech.config import Settings
from open_speech.errors import NotInstalled, UnknownModel
from runners.wiring import discovery
from runners.wiring import factories as parts

SERVED = {"upstream": "inproc", "upstream-tts": "inproc"}


def settings(url: str, **more: Any) -> Settings:
    urls = {"stt_upstream_url": url, "tts_upstream_url": url, "stt_upstream_api_key": "sesame", "tts_upstream_api_key": "sesame"}
    return Settings(**{**urls, **more})


def test_what_a_server_has_is_listed_once_it_was_asked(tones_upstream: str) -> None:
    chosen = settings(tones_upstream)
    registry = parts.registry(chosen, SERVED)
    assert registry.models() == []
    assert discovery.ask(registry, chosen)
    assert [model.id for model in registry.models()] == ["upstream/tones/listen", "upstream/tones/speak"]
    assert registry.listed("upstream/tones/listen").task is Task.STT
    assert [voice.id for _, voice in registry.voices()] == ["tone"]
    assert registry.voice(registry.find("upstream/tones/speak"), None) == "tone"


def test_a_server_that_is_down_leaves_what_the_settings_name(tones_upstream: str) -> None:
    chosen = settings("http://127.0.0.1:9/v1", stt_upstream_models=("whisper-1",))
    registry = parts.registry(chosen, SERVED)
    assert not discovery.ask(registry, chosen)
    assert [model.id for model in registry.models()] == ["upstream/whisper-1"]


def test_a_model_that_nobody_listed_can_be_asked_for_and_is_of_the_task_that_asks() -> None:
    registry = parts.registry(settings("http://127.0.0.1:9/v1"), SERVED)
    assert registry.find("upstream/a/b", Task.STT).backend == "upstream"
    assert registry.find("upstream/a/b", Task.TTS).backend == "upstream-tts"
    assert registry.voice(registry.find("upstream/a/b", Task.TTS), "whoever") == "whoever"
    with pytest.raises(UnknownModel):
        registry.listed("upstream/a/b")


def test_a_backend_that_is_not_served_is_named_with_its_setting() -> None:
    registry = parts.registry(settings("http://127.0.0.1:9/v1"), {"faster-whisper": "inproc"})
    with pytest.raises(NotInstalled, match="STT_BACKENDS"):
        registry.find("upstream/whisper-1", Task.STT)


def test_a_server_is_asked_until_it_is_there_and_again_afterwards(upstream: Any, json_reply: Callable[..., Any]) -> None:
    def rows(*names: str) -> Any:
        return json_reply({"data": [{"id": name} for name in names]})

    upstream.replies["/v1/models"] = [json_reply({}, status=401), rows("whisper-1"), rows("whisper-1", "whisper-2")]
    chosen = settings(upstream.url, os_peer_refresh_s=0.05, stt_upstream_dialect="openai")
    registry = parts.registry(chosen, {"upstream": "inproc"})
    seen: list[int] = []

    async def until_two() -> None:
        watching = asyncio.create_task(discovery.watch(registry, chosen))
        async with asyncio.timeout(10):
            while (count := len(registry.models())) < 2:
                seen.append(count)
                await asyncio.sleep(0.005)
        watching.cancel()

    asyncio.run(until_two())
    assert set(seen) == {0, 1}
