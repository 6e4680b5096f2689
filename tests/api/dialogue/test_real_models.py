"""A spoken question to real models: faster-whisper hears it, Gemma answers, Kokoro speaks, and faster-whisper hears the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from open_speech import config
from open_speech.app import create_app
from runners.wiring.engine import local_engine
from tests.api.dialogue.conftest import decoded, dialogue, heard

pytestmark = pytest.mark.weights

VOICE = "kokoro"
"""Piper's speech differs from call to call, and Whisper once heard the capital of friends in it. Kokoro's is always the same."""


@pytest.fixture
def real_client(model_folder: Callable[[str], Path]) -> Iterator[TestClient]:
    for model in ("Systran/faster-whisper-base", VOICE, "gemma-3-270m"):
        model_folder(model)
    settings = config.load(
        {"OS_OFFLINE": "true", "STT_BACKENDS": "faster-whisper", "TTS_BACKENDS": "kokoro", "TTS_MODEL": VOICE, "LLM_MODEL": "gemma-3-270m"}
    )
    with TestClient(create_app(settings, local_engine(settings))) as client:
        yield client


def test_a_spoken_question_has_the_right_answer(real_client: TestClient) -> None:
    options = json.dumps({"temperature": 0, "max_tokens": 24, "repeat_penalty": 1.0, "stop": ["\n"]})
    answer = dialogue(real_client, "What is the capital of France?", generation_config=options, session_id="geography")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "capital of France" in body["transcript"]["text"]
    assert "Paris" in body["response_text"]
    # The answer may be one word, and one word is too little to detect its language from: Whisper has heard it as Korean.
    assert "Paris" in heard(real_client, decoded(body["audio_base64"]), language="en")
    assert (body["model"], body["speech_error"]) == ("gemma-3-270m", None)
    timings = body["timings"]
    assert 0 < timings["transcription_s"] < timings["first_token_s"] < timings["first_audio_s"] <= timings["total_s"]
    assert real_client.get("/v1/dialogue/sessions").json()["data"][0]["turns"] == 1
