"""The calls of VoiceMode 9.0.1, which gives a coding agent a voice."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI

from open_speech.audio import from_pcm16
from open_speech.codecs import wav_bytes
from tests.waiting import PATIENCE_S

TEXT = "the quick brown fox"
RATE = 24_000
"""Hertz at which it plays `pcm`."""


@pytest.fixture
def client(server: str) -> Callable[[], AsyncOpenAI]:
    return lambda: AsyncOpenAI(base_url=f"{server}/v1", api_key="sesame", timeout=PATIENCE_S, max_retries=0)


def spoken(server: str, form: str = "mp3") -> bytes:
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as sdk:
        return sdk.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=form).content  # type: ignore[arg-type]


def test_a_provider_is_discovered_by_its_models(client: Callable[[], AsyncOpenAI]) -> None:
    async def scene() -> list[str]:
        async with client() as sdk:
            return [model.id for model in (await sdk.models.list()).data]

    assert {"whisper-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} <= set(asyncio.run(scene()))


def test_voices_are_discovered_by_their_ids(server: str) -> None:
    found = httpx.get(f"{server}/v1/audio/voices", headers={"Authorization": "Bearer sesame"}, timeout=PATIENCE_S).json()
    ids = [voice["id"] for voice in found["voices"]]
    assert {"tone", "alloy", "nova"} <= set(ids)


def test_it_asks_for_voices_without_a_key_and_takes_the_refusal(server: str) -> None:
    assert httpx.get(f"{server}/v1/audio/voices", timeout=PATIENCE_S).status_code == 401
    assert httpx.get(f"{server}/health", timeout=PATIENCE_S).status_code == 200


@pytest.mark.parametrize("fields", [{}, {"speed": 1.25}, {"model": "gpt-4o-mini-tts", "instructions": "Speak quickly."}])
def test_speech_is_streamed_as_samples(client: Callable[[], AsyncOpenAI], server: str, fields: dict[str, object]) -> None:
    async def scene() -> tuple[str, bytes]:
        request = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm", **fields}
        async with client() as sdk, sdk.audio.speech.with_streaming_response.create(**request) as answer:  # type: ignore[arg-type]
            return answer.headers["content-type"], b"".join([piece async for piece in answer.iter_bytes(chunk_size=4096)])

    media, data = asyncio.run(scene())
    assert media.startswith("audio/pcm")
    assert len(data) % 2 == 0
    samples = np.frombuffer(data, np.int16)
    assert np.abs(samples.astype(np.int32)).max() > 1000
    if not fields:
        with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as sdk:
            wav = wav_bytes(from_pcm16(data, RATE))
            assert sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav)).text == TEXT


@pytest.mark.parametrize("form", ["mp3", "wav", "flac", "opus", "aac"])
def test_a_turn_is_transcribed_to_plain_text_in_a_language_to_be_detected(
    client: Callable[[], AsyncOpenAI], server: str, form: str
) -> None:
    """A server on this machine gets `language=auto`, as whisper.cpp needs it."""
    audio = io.BytesIO(spoken(server, form))
    audio.name = f"audio.{form}"

    async def scene() -> str:
        async with client() as sdk:
            return await sdk.audio.transcriptions.create(
                model="whisper-1", file=audio, response_format="text", language="auto", prompt="VoiceMode, Kokoro"
            )

    heard = asyncio.run(scene())
    assert isinstance(heard, str)
    assert heard.strip() == TEXT
