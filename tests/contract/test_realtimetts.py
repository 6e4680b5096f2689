"""The calls of the OpenAI engine of RealtimeTTS 0.8.10, which speaks the text of a language model while it is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import av
import pytest
from openai import OpenAI

from open_speech.audio import from_pcm16
from open_speech.codecs import wav_bytes
from tests.waiting import PATIENCE_S

TEXT = "the quick brown fox"
VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")


@pytest.fixture
def sdk(server: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0) as sdk:
        yield sdk


def synthesize(sdk: OpenAI, text: str, **fields: Any) -> tuple[str, bytes]:
    """Return the content type and the bytes; instructions that are not set are sent as null."""
    request: dict[str, Any] = {"model": "tts-1", "voice": "nova", "input": text, "instructions": None, "response_format": "mp3", **fields}
    answer = sdk.audio.speech.create(**request)
    return answer.response.headers["content-type"], b"".join(answer.iter_bytes())


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_that_the_engine_lists_speaks_mp3(sdk: OpenAI, voice: str) -> None:
    media, data = synthesize(sdk, TEXT, voice=voice)
    assert media == "audio/mpeg"
    with av.open(io.BytesIO(data)) as container:
        assert container.format.name == "mp3"
        assert container.streams.audio[0].rate == 24_000


def test_samples_are_heard_back(sdk: OpenAI) -> None:
    media, data = synthesize(sdk, TEXT, response_format="pcm", timeout=PATIENCE_S)
    assert media.startswith("audio/pcm")
    wav = wav_bytes(from_pcm16(data, 24_000))
    assert sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav)).text == TEXT


def test_instructions_and_speed_are_taken(sdk: OpenAI) -> None:
    _, usual = synthesize(sdk, TEXT, response_format="pcm")
    _, fast = synthesize(sdk, TEXT, response_format="pcm", model="gpt-4o-mini-tts", instructions="Cheerful and quick.", speed=2.0)
    assert len(fast) == pytest.approx(len(usual) / 2, rel=0.2)


@pytest.mark.parametrize("text", [".", "...", "- ", "👍", "?!", "\n\n-"])
@pytest.mark.parametrize("form", ["mp3", "pcm"])
def test_what_is_left_between_two_sentences_is_a_short_silence(sdk: OpenAI, text: str, form: str) -> None:
    _, data = synthesize(sdk, text, response_format=form)
    assert data
    if form == "pcm":
        assert set(data) == {0}
