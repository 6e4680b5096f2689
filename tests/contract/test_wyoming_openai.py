"""The calls of wyoming-openai 0.8.0, a Wyoming server before OpenAI-compatible ones, with each of the backends that it knows."""

from __future__ import annotations

import asyncio
import base64
import io
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI, omit

from open_speech.audio import to_pcm16
from open_speech.codecs import decode
from tests.waiting import PATIENCE_S

TEXT = "the quick brown fox"
VOICES = "alloy ash coral echo fable onyx nova sage shimmer ballad verse marin cedar".split()


@pytest.fixture
def sdk(server: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0, timeout=PATIENCE_S) as sdk:
        yield sdk


@pytest.fixture
def plain(server: str) -> Iterator[httpx.Client]:
    """The client below the SDK's, with which it asks for what OpenAI does not have."""
    headers = {"Authorization": "Bearer sesame"}
    with httpx.Client(base_url=f"{server}/v1/", headers=headers, timeout=PATIENCE_S, follow_redirects=True) as client:
        yield client


def spoken(sdk: OpenAI, model: str, voice: str) -> bytes:
    """Speak as it does: a WAV in pieces of 2048 bytes, without a speed and without instructions."""
    with sdk.audio.speech.with_streaming_response.create(
        model=model, voice=voice, input=TEXT, response_format="wav", speed=omit, instructions=omit
    ) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
        return b"".join(answer.iter_bytes(2048))


def test_it_takes_the_server_for_one_that_speaks_openais_dialect(plain: httpx.Client) -> None:
    assert plain.get("/readyz").status_code == 404  # LocalAI answers
    assert plain.get("../../health").text != "OK"  # Speaches says no more
    assert plain.get("/test").status_code == 404  # Kokoro-FastAPI answers {"status": "ok"}


@pytest.mark.parametrize("voice", VOICES)
def test_openai_has_the_voices_that_it_lists_itself(sdk: OpenAI, voice: str) -> None:
    with wave.open(io.BytesIO(spoken(sdk, "tts-1", voice))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)


@pytest.mark.parametrize("model", ["tts-1", "tones/speak"])
def test_speaches_describes_the_voices_of_a_model(sdk: OpenAI, plain: httpx.Client, model: str) -> None:
    described = plain.get(f"/models/{model}").json()
    names = [voice["name"] for voice in described["voices"]]
    assert names == ["tone"]
    assert decode(spoken(sdk, model, names[0]), 24_000, max_seconds=60).seconds > 0.5


def test_kokoro_fastapi_lists_voices_that_an_alias_speaks_with(sdk: OpenAI, plain: httpx.Client) -> None:
    listed = plain.get("/audio/voices").json()["voices"]
    names = [voice.get("id") or voice.get("name") for voice in listed]
    assert "tone" in names
    for name in names:
        assert spoken(sdk, "tts-1", name)[:4] == b"RIFF"


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts", "tones/speak", "openai/tts-1"])
def test_localai_has_one_voice_for_each_model_which_is_called_like_it(sdk: OpenAI, model: str) -> None:
    audio = spoken(sdk, model, model)
    assert sdk.audio.transcriptions.create(model="whisper-1", file=("audio.wav", audio)).text == TEXT


@pytest.mark.parametrize("extra", [None, {"vad_filter": False}])
def test_a_recording_is_transcribed_at_once(sdk: OpenAI, extra: dict[str, Any] | None) -> None:
    """With Speaches it switches the detector off."""
    heard = sdk.audio.transcriptions.create(
        file=("audio.wav", spoken(sdk, "tts-1", "alloy")), model="whisper-1", language="en", response_format="json", extra_body=extra
    )
    assert heard.text == TEXT


def test_a_recording_is_transcribed_piece_by_piece(sdk: OpenAI) -> None:
    recording = ("audio.wav", spoken(sdk, "tts-1", "alloy"))
    events = sdk.audio.transcriptions.create(
        file=recording, model="gpt-4o-mini-transcribe", language="en", response_format="json", stream=True
    )
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == TEXT


def test_a_turn_of_a_realtime_session_is_transcribed(server: str, sdk: OpenAI) -> None:
    audio = to_pcm16(decode(spoken(sdk, "tts-1", "alloy"), 24_000, max_seconds=60))
    session: Any = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "gpt-realtime-whisper", "language": "en"},
                "turn_detection": None,
            }
        },
    }

    async def scene() -> tuple[str, str]:
        deltas = ""
        async with (
            AsyncOpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as client,
            client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
        ):
            await connection.session.update(session=session)
            for at in range(0, len(audio), 4096):
                await connection.input_audio_buffer.append(audio=base64.b64encode(audio[at : at + 4096]).decode())
            await connection.input_audio_buffer.commit()
            async for event in connection:
                assert event.type != "error", event
                if event.type == "conversation.item.input_audio_transcription.delta":
                    deltas += event.delta or ""
                if event.type == "conversation.item.input_audio_transcription.completed":
                    return deltas, event.transcript
        raise AssertionError("the connection was closed")

    assert asyncio.run(asyncio.wait_for(scene(), PATIENCE_S)) == (TEXT, TEXT)
