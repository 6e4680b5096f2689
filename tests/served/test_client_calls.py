"""Calls of four third-party clients to the default server: what they have spoken is heard back as the same words."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from typing import Any

import av
import httpx
import pytest
from openai import AsyncOpenAI, OpenAI

from benchmarks.served import Served
from open_speech.audio import from_pcm16, to_pcm16
from open_speech.codecs import decode, wav_bytes
from open_speech.testing.words import ALLOWED_ERRORS, word_errors
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.served, pytest.mark.weights]

TEXT = "The quick brown fox jumps over the lazy dog, and then it runs across the field."


@pytest.fixture
def sdk(real_server: Served) -> OpenAI:
    return OpenAI(base_url=real_server.base_url, api_key="unused", timeout=PATIENCE_S, max_retries=0)


def assert_heard(sdk: OpenAI, audio: bytes, name: str) -> None:
    """Transcribe as VoiceMode does on this machine: plain text, the language to be detected."""
    heard = sdk.audio.transcriptions.create(model="whisper-1", file=(name, audio), response_format="text", language="auto")
    assert word_errors(TEXT, str(heard)) <= ALLOWED_ERRORS, heard


def test_voicemode_streams_samples_of_a_kokoro_voice_by_its_own_name(sdk: OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(model="tts-1", voice="af_sky", input=TEXT, response_format="pcm") as answer:
        data = b"".join(answer.iter_bytes(4096))
    assert 3 < len(data) / 2 / 24_000 < 9
    assert_heard(sdk, wav_bytes(from_pcm16(data, 24_000)), "audio.wav")


def test_realtimetts_speaks_mp3(sdk: OpenAI) -> None:
    request: dict[str, Any] = {"model": "tts-1", "voice": "nova", "input": TEXT, "instructions": None, "response_format": "mp3"}
    data = b"".join(sdk.audio.speech.create(**request).iter_bytes())
    with av.open(io.BytesIO(data)) as container:
        assert (container.format.name, container.streams.audio[0].rate) == ("mp3", 24_000)
    assert_heard(sdk, data, "audio.mp3")


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_openai_tts_of_home_assistant_speaks_with_a_piper_voice_of_the_list(sdk: OpenAI, real_server: Served, form: str) -> None:
    listed = httpx.get(f"{real_server.base_url}/audio/voices", params={"limit": 100}, timeout=PATIENCE_S).json()
    voice = next(voice["id"] for voice in listed["data"] if voice["id"] == "en_US-joe-medium")
    body = {"model": "tts-1", "input": TEXT, "voice": voice, "response_format": form, "speed": 1.0}
    answer = httpx.post(f"{real_server.base_url}/audio/speech", json=body, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, {"mp3": "audio/mpeg", "wav": "audio/wav"}[form])
    if form == "wav":
        with wave.open(io.BytesIO(answer.content)) as file:
            assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
    assert_heard(sdk, answer.content, f"audio.{form}")


def test_wyoming_openai_speaks_with_the_voices_that_it_finds_in_each_mode(sdk: OpenAI, real_server: Served) -> None:
    speaches = httpx.get(f"{real_server.base_url}/models/tts-1", timeout=PATIENCE_S).json()["voices"]
    kokoro = httpx.get(f"{real_server.base_url}/audio/voices", timeout=PATIENCE_S).json()["voices"]
    assert len(speaches) == 54
    assert len(kokoro) > 54
    british = next(voice["id"] for voice in kokoro if voice["id"] == "bf_emma")
    for voice in ("alloy", speaches[0]["name"], british, "tts-1"):  # OpenAI, Speaches, Kokoro-FastAPI, LocalAI
        with sdk.audio.speech.with_streaming_response.create(model="tts-1", voice=voice, input=TEXT, response_format="wav") as answer:
            data = b"".join(answer.iter_bytes(2048))
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)
        assert_heard(sdk, data, "audio.wav")


def test_wyoming_openai_transcribes_at_once_in_pieces_and_by_realtime(sdk: OpenAI, real_server: Served) -> None:
    audio = sdk.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav").content
    at_once = sdk.audio.transcriptions.create(
        model="whisper-1", file=("audio.wav", audio), language="en", response_format="json", extra_body={"vad_filter": False}
    )
    assert word_errors(TEXT, at_once.text) <= ALLOWED_ERRORS, at_once.text
    pieces = "".join(
        event.delta
        for event in sdk.audio.transcriptions.create(
            model="gpt-4o-mini-transcribe", file=("audio.wav", audio), language="en", response_format="json", stream=True
        )
        if event.type == "transcript.text.delta"
    )
    assert word_errors(TEXT, pieces) <= ALLOWED_ERRORS, pieces
    realtime = asyncio.run(asyncio.wait_for(turn(real_server.base_url, to_pcm16(decode(audio, 24_000, max_seconds=60))), PATIENCE_S))
    assert word_errors(TEXT, realtime) <= ALLOWED_ERRORS, realtime


async def turn(base_url: str, samples: bytes) -> str:
    """Have one turn transcribed in a session without turn detection."""
    heard: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": {"model": "gpt-realtime-whisper", "language": "en"},
        "turn_detection": None,
    }
    async with (
        AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        await connection.session.update(session={"type": "transcription", "audio": {"input": heard}})  # type: ignore[typeddict-item]
        for at in range(0, len(samples), 8192):
            await connection.input_audio_buffer.append(audio=base64.b64encode(samples[at : at + 8192]).decode())
        await connection.input_audio_buffer.commit()
        async for event in connection:
            assert event.type != "error", event
            if event.type == "conversation.item.input_audio_transcription.completed":
                return event.transcript
    raise AssertionError("the connection was closed")
