"""Of several API keys none can use up what all have in common: each limit leaves room for the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from websockets.sync.client import ClientConnection, connect

from open_speech.api.jobs.service import FOLLOWERS
from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S

Serving = Callable[[FastAPI], AbstractContextManager[str]]
GREEDY, MODEST = {"Authorization": "Bearer sesame"}, {"Authorization": "Bearer open"}
SPEECH = {"model": "tts-1", "input": "Hello there world."}


def keyed(settings: Settings, **more: Any) -> Settings:
    bounds = {"os_stream_max_connections": 4, "os_realtime_max_sessions": 4, "os_batch_max_pending": 4}
    return settings.model_copy(update={"os_api_key": "greedy:sesame,open", **bounds, **more})


@pytest.fixture
def server(serving: Serving, tones_settings: Settings) -> Iterator[str]:
    """Jobs are accepted and not worked off."""
    settings = keyed(tones_settings)
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


def opened(server: str, path: str, key: dict[str, str], stack: ExitStack) -> tuple[ClientConnection, dict[str, Any]]:
    socket = stack.enter_context(connect(f"ws{server.removeprefix('http')}{path}", additional_headers=key))
    first: dict[str, Any] = json.loads(socket.recv(timeout=PATIENCE_S))
    return socket, first


def is_refused(first: dict[str, Any]) -> bool:
    return "OS_KEY_SHARE" in json.dumps(first)


@pytest.mark.parametrize("path", ["/v1/audio/stream", "/v1/audio/transcriptions/stream", "/v1/realtime"])
def test_connections_of_one_key_leave_room_for_another(server: str, path: str) -> None:
    with ExitStack() as stack:
        assert [is_refused(opened(server, path, GREEDY, stack)[1]) for _ in range(3)] == [False, False, True]
        assert [is_refused(opened(server, path, MODEST, stack)[1]) for _ in range(2)] == [False, False]


def test_all_kinds_of_streams_share_the_seats(server: str) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(f"ws{server.removeprefix('http')}/v1/audio/speech/stream", additional_headers=GREEDY))
        assert is_refused(opened(server, "/v1/audio/stream", GREEDY, stack)[1])


def test_sessions_of_an_ephemeral_key_count_as_those_of_the_key_that_made_it(server: str) -> None:
    value = httpx.post(f"{server}/v1/realtime/client_secrets", headers=GREEDY, json={}, timeout=PATIENCE_S).json()["value"]
    ephemeral = {"Authorization": f"Bearer {value}"}
    with ExitStack() as stack:
        taken = [is_refused(opened(server, "/v1/realtime", key, stack)[1]) for key in (GREEDY, ephemeral, ephemeral, GREEDY)]
        assert taken == [False, False, True, True]
        assert not is_refused(opened(server, "/v1/realtime", MODEST, stack)[1])


def test_jobs_of_one_key_leave_room_for_another(server: str) -> None:
    def handed_in(key: dict[str, str]) -> list[int]:
        return [httpx.post(f"{server}/v1/audio/jobs", headers=key, json=SPEECH, timeout=PATIENCE_S).status_code for _ in range(3)]

    assert handed_in(GREEDY) == [202, 202, 429]
    assert handed_in(MODEST) == [202, 202, 429]


@pytest.mark.parametrize("jobs", [True, False], ids=["jobs", "models"])
def test_followers_with_one_key_leave_room_for_another(server: str, jobs: bool) -> None:
    paths = {}
    for name, key in (("greedy", GREEDY), ("modest", MODEST)):
        made = httpx.post(f"{server}/v1/audio/jobs", headers=key, json=SPEECH, timeout=PATIENCE_S).json()
        paths[name] = f"/v1/audio/jobs/{made['id']}/events" if jobs else "/api/models/tones/speak/status?stream=true"
    with httpx.Client(base_url=server, limits=httpx.Limits(max_connections=None), timeout=PATIENCE_S) as client, ExitStack() as stack:
        for _ in range(FOLLOWERS // 2):
            assert stack.enter_context(client.stream("GET", paths["greedy"], headers=GREEDY)).status_code == 200
        refused = stack.enter_context(client.stream("GET", paths["greedy"], headers=GREEDY))
        assert (refused.status_code, is_refused(json.loads(refused.read()))) == (429, True)
        assert stack.enter_context(client.stream("GET", paths["modest"], headers=MODEST)).status_code == 200


def test_one_key_alone_may_use_everything(serving: Serving, tones_settings: Settings) -> None:
    settings = keyed(tones_settings, os_api_key="greedy:sesame,greedy:newer")  # while a key is changed it is there twice
    with serving(create_app(settings, local_engine(settings))) as server, ExitStack() as stack:
        refused = ["error" in json.dumps(opened(server, "/v1/audio/stream", GREEDY, stack)[1]) for _ in range(5)]
        assert refused == [False, False, False, False, True]


def test_the_share_can_be_set(serving: Serving, tones_settings: Settings) -> None:
    settings = keyed(tones_settings, os_key_share=100)
    with serving(create_app(settings, local_engine(settings))) as server, ExitStack() as stack:
        assert [is_refused(opened(server, "/v1/audio/stream", GREEDY, stack)[1]) for _ in range(4)] == [False] * 4
