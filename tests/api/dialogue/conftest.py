"""A server on tones: it hears and speaks without weights, and its language model repeats the last message, or does what it says."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.language_model import KEY, LanguageModelServer

Serve = Callable[..., TestClient]


@pytest.fixture
def serve(tones_settings: Settings, tmp_path: Path) -> Iterator[Serve]:
    """Start the server, with other settings if they are given."""
    opened: list[TestClient] = []

    def start(**changed: Any) -> TestClient:
        settings = Settings(**{**tones_settings.model_dump(), "llm_backends": ("tones-llm",), "llm_model": "echo", **changed})
        client = TestClient(create_app(settings, local_engine(settings)))
        client.__enter__()
        opened.append(client)
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()


@pytest.fixture
def scripted(serve: Serve, language_model: LanguageModelServer) -> TestClient:
    """The server with the scripted language model instead."""
    return serve(llm_base_url=language_model.url, llm_api_key=KEY, llm_model="small")


def spoken(client: TestClient, text: str, **headers: str) -> bytes:
    """Speak a text as a wav file."""
    answer = client.post("/v1/audio/speech", json={"input": text, "response_format": "wav"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


def dialogue(client: TestClient, said: str | bytes, *, path: str = "/v1/dialogue", key: str = "", **fields: str) -> Any:
    """Send a dialogue and return the response."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    audio = spoken(client, said, **headers) if isinstance(said, str) else said
    return client.post(path, files={"file": ("said.wav", audio)}, data=fields, headers=headers)


def heard(client: TestClient, audio: bytes, **form: str) -> str:
    """Transcribe audio."""
    answer = client.post("/v1/audio/transcriptions", files={"file": ("answer.wav", audio)}, data=form)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["text"]
    return text


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
