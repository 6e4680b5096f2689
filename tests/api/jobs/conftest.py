"""A server on the tones pair whose jobs lie in a folder that outlives it: starting it again is what a restart is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.api.jobs.receiver import Receiver, receiving
from tests.waiting import until

PATH = "/v1/audio/jobs"
SENTENCE = "Hello there world."
Running = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture
def settings(tones_settings: Settings) -> Settings:
    return tones_settings.model_copy(update={"os_webhook_allow_private": True})


@contextmanager
def serving(settings: Settings, *, works: bool = True) -> Iterator[TestClient]:
    """The app with its workers, as service.py runs it; without `works` jobs are taken and stay where they are."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = local_engine(settings)
        if not works:
            yield
            return
        async with app.state.jobs.working(app.state.engine):
            yield

    with TestClient(create_app(settings, lifespan=lifespan)) as client:
        yield client


@pytest.fixture
def served() -> Running:
    return serving


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with serving(settings) as client:
        yield client


@pytest.fixture
def clip(client: TestClient) -> bytes:
    """SENTENCE as a wav file."""
    return said(client, SENTENCE)


def said(client: TestClient, text: str) -> bytes:
    answer = client.post("/v1/audio/speech", json={"model": "tts-1", "input": text, "voice": "alloy", "response_format": "wav"})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture
def say() -> Callable[[TestClient, str], bytes]:
    return said


@pytest.fixture
def until_job() -> Callable[..., dict[str, Any]]:
    """Wait for a job to have a status; by default one of those that end it."""

    def wait(client: TestClient, name: str, *statuses: str) -> dict[str, Any]:
        asked: list[dict[str, Any]] = []

        def has_status() -> bool:
            asked.append(client.get(f"{PATH}/{name}").json())
            return asked[-1]["status"] in (statuses or ("completed", "failed", "cancelled"))

        until(has_status, why=lambda: asked[-1])
        return asked[-1]

    return wait


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
