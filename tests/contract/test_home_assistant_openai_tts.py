"""The calls of the Home Assistant integration sfortis/openai_tts (HACS), which posts to the address of the speech endpoint itself."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.request
import wave
from typing import Any

import aiohttp
import av
import httpx
import pytest

from tests.waiting import PATIENCE_S

TEXT = "the quick brown fox"
AGENT = {"Content-Type": "application/json", "User-Agent": "HomeAssistant-OpenAI-TTS"}
KEY = {"Authorization": "Bearer sesame"}


def payload(**fields: Any) -> dict[str, Any]:
    return {"model": "tts-1", "input": TEXT, "voice": "shimmer", "response_format": "mp3", "speed": 1.0, **fields}


def say(server: str, **fields: Any) -> tuple[str, bytes]:
    """Speak as it does without streaming: by urllib, the answer as a whole."""
    url = f"{server}/v1/audio/speech"
    request = urllib.request.Request(url, json.dumps(payload(**fields)).encode(), {**AGENT, **KEY}, method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.headers["Content-Type"], answer.read()


async def stream(server: str, **fields: Any) -> tuple[str, bytes]:
    """Speak as it does when Home Assistant streams: by aiohttp, in pieces."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server}/v1/audio/speech", json=payload(**fields), headers={**AGENT, **KEY}, timeout=timeout) as answer,
    ):
        answer.raise_for_status()
        return answer.headers["Content-Type"], b"".join([piece async for piece in answer.content.iter_chunked(8192)])


def container_of(data: bytes) -> tuple[str, int | None]:
    """Return the container and the sample rate."""
    with av.open(io.BytesIO(data)) as container:
        return container.format.name, container.streams.audio[0].rate


def heard(server: str, audio: bytes, name: str) -> str:
    fields = {"model": "whisper-1"}
    url = f"{server}/v1/audio/transcriptions"
    answer = httpx.post(url, headers=KEY, data=fields, files={"file": (name, audio)}, timeout=PATIENCE_S)
    return str(answer.json()["text"])


@pytest.mark.parametrize("speed", [1.0, 1, "1", "1.0"])
def test_an_announcement_is_an_mp3(server: str, speed: object) -> None:
    """Early versions keep the speed as text."""
    media, data = say(server, speed=speed)
    assert media == "audio/mpeg"
    assert container_of(data) == ("mp3", 24_000)


@pytest.mark.parametrize(
    ("form", "media", "container"),
    [
        ("opus", "audio/opus", "ogg"), ("mp3", "audio/mpeg", "mp3"), ("wav", "audio/wav", "wav"), ("flac", "audio/flac", "flac"),
        ("aac", "audio/aac", "aac"),
    ],
)  # fmt: skip
def test_a_stream_is_in_the_format_that_was_asked_for(server: str, form: str, media: str, container: str) -> None:
    found, data = asyncio.run(stream(server, response_format=form))
    assert found.split(";")[0] == media
    assert container_of(data)[0] == container


def test_sentences_are_joined_to_one_wav(server: str) -> None:
    """It reads each answer with Python's `wave`, keeps the first header, and appends the samples."""
    rates, frames = set(), b""
    for sentence in ("the quick brown", "fox jumps"):
        _, data = asyncio.run(stream(server, input=sentence, response_format="wav"))
        with wave.open(io.BytesIO(data)) as file:
            rates.add(file.getparams()[:3])
            frames += file.readframes(file.getnframes())
    assert rates == {(1, 2, 24_000)}
    joined = io.BytesIO()
    with wave.open(joined, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(frames)
    assert heard(server, joined.getvalue(), "a.wav").split() == ["the", "quick", "brown", "fox", "jumps"]


def test_fields_for_other_servers_are_let_pass(server: str) -> None:
    """`extra_payload` is merged into the request; what it replaces counts."""
    extra = {"chunk_size": 200, "normalization_options": {"normalize": True}, "temperature": 0.7, "response_format": "wav"}
    media, data = say(server, instructions="Speak softly.", **extra)
    assert media == "audio/wav"
    assert heard(server, data, "a.wav") == TEXT


@pytest.mark.parametrize(("key", "status"), [("sesame", 200), ("wrong", 401)])
def test_a_key_is_checked_by_a_full_stop(server: str, key: str, status: int) -> None:
    probe = {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"}
    answer = httpx.post(f"{server}/v1/audio/speech", json=probe, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)
    assert answer.status_code == status
    if status == 200:
        assert container_of(answer.content) == ("mp3", 24_000)


@pytest.mark.parametrize("params", [{}, {"limit": 100}])
def test_the_voices_for_the_dropdown_are_beside_the_speech_endpoint(server: str, params: dict[str, int]) -> None:
    answer = httpx.get(f"{server}/v1/audio/voices", params=params, headers={**AGENT, **KEY}, timeout=PATIENCE_S).json()
    items = answer.get("items") or answer.get("data") or answer.get("voices")
    options = [voice["id"] for voice in items]
    assert {"tone", "alloy", "shimmer"} <= set(options)
    for voice in options:
        assert say(server, voice=voice)[0] == "audio/mpeg"
