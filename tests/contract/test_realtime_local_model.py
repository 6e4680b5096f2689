"""A spoken question, a local language model and a spoken answer, by OpenAI's own SDK: nothing leaves this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from open_speech.app import create_app
from open_speech.audio import Audio, concat, from_pcm16, silence
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.contract.test_realtime_sdk import play, sound_of, talking, transcribed
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.weights
QUESTION = "What is the capital of France?"


@pytest.fixture
def server(
    default_weights: None,
    model_folder: Callable[[str], Path],
    weights_root: Path,
    tmp_path: Path,
    serving: Callable[[FastAPI], AbstractContextManager[str]],
) -> Iterator[str]:
    """The default engines and the smallest language model in this process. The model is not named: it is the one that is downloaded."""
    model_folder("gemma-3-270m")
    settings = Settings(os_models_dir=weights_root, os_offline=True, os_voice_library_path=tmp_path, llm_context_size=1024, llm_parallel=1)
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


def spoken(url: str, text: str) -> Audio:
    body = {"model": "tts-1", "voice": "af_heart", "input": text, "response_format": "pcm"}
    sound = from_pcm16(httpx.post(f"{url}/v1/audio/speech", json=body, timeout=PATIENCE_S).content, 24_000)
    return concat([silence(0.3, 24_000), sound, silence(2, 24_000)], 24_000)


def test_a_spoken_question_is_answered_by_the_local_model(server: str) -> None:
    async def scene() -> None:
        question = await asyncio.to_thread(spoken, server, QUESTION)
        async with talking(server) as talk:
            # A base model continues texts: without instructions it sees the question and nothing else. Sampled, it may say anything.
            turns = {"type": "server_vad", "create_response": False}
            heard = {"turn_detection": turns, "transcription": {"model": "whisper-1", "language": "en"}}
            await talk.set(instructions="", audio={"input": heard})
            await talk.say(question)
            completed = (await talk.until("conversation.item.input_audio_transcription.completed"))[-1]
            assert completed.transcript.strip() == QUESTION
            await talk.connection.response.create(response={"temperature": 0})
            events = await talk.until("response.done")
            answer = "".join(event.delta for event in events if event.type == "response.output_audio_transcript.delta")
            assert "Paris" in answer
            assert events[-1].response.status == "completed"
            assert events[-1].response.usage.output_tokens > 0
            assert "paris" in (await asyncio.to_thread(transcribed, server, sound_of(events))).lower()

    play(scene, within_s=2 * PATIENCE_S)
