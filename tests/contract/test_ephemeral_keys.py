"""Ephemeral keys on several servers behind one address: a key that one of them made opens a session at every other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from open_speech.api.realtime.ephemeral_format import KEY_CHARS
from open_speech.app import create_app
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S

Serving = Callable[[FastAPI], AbstractContextManager[str]]
SIGNING = "the first signing key of this fleet"
KEY = {"Authorization": "Bearer open"}
SESSION = {"type": "realtime", "instructions": "Answer in one word.", "audio": {"input": {"turn_detection": None}}}
BROWSERS = ["realtime", "openai-organization.org-0123456789abcdefghijklmn", "openai-project.proj_0123456789abcdefghijklmn"]
"""Subprotocols that OpenAI's SDK offers in a browser beside the key."""


class Fleet:
    """Servers with the same models and keys unless a test changes them."""

    def __init__(self, settings: Settings, serving: Serving, stack: ExitStack) -> None:
        self._settings = settings
        self._serving = serving
        self._stack = stack

    def server(self, **changes: Any) -> str:
        settings = self._settings.model_copy(update={"os_api_key": "ann:sesame,bob:open", "os_signing_keys": SIGNING, **changes})
        return self._stack.enter_context(self._serving(create_app(settings, local_engine(settings))))


@pytest.fixture
def fleet(tones_settings: Settings, serving: Serving) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tones_settings, serving, stack)


def created(server: str, session: dict[str, Any], path: str = "client_secrets") -> httpx.Response:
    return httpx.post(f"{server}/v1/realtime/{path}", headers=KEY, json={"session": session}, timeout=PATIENCE_S)


def first(server: str, key: str, path: str = "/v1/realtime") -> Any:
    """Return the first event of a session that a browser opens with a key."""
    protocols = [Subprotocol(name) for name in (*BROWSERS, f"openai-insecure-api-key.{key}")]
    with connect(f"ws{server.removeprefix('http')}{path}", subprotocols=protocols) as socket:
        return json.loads(socket.recv(timeout=PATIENCE_S))


def is_refused(server: str, key: str) -> bool:
    try:
        first(server, key)
    except InvalidStatus as refused:
        return refused.response.status_code == 401
    return False


def test_a_key_of_one_server_opens_a_session_at_another(fleet: Fleet) -> None:
    key = created(fleet.server(), SESSION).json()["value"]
    session = first(fleet.server(), key)["session"]
    assert (session["instructions"], session["audio"]["input"]["turn_detection"]) == ("Answer in one word.", None)


def test_a_transcription_key_opens_no_conversation_at_another_server(fleet: Fleet) -> None:
    key = created(fleet.server(), {"type": "transcription"}).json()["value"]
    other = fleet.server()
    assert first(other, key)["session"]["type"] == "transcription"
    assert first(other, key, "/v1/realtime?model=gpt-realtime")["session"]["type"] == "transcription"


def test_signing_keys_are_replaced_server_by_server(fleet: Fleet) -> None:
    new = "the second signing key of this fleet"
    both, after = fleet.server(os_signing_keys=f"{new},{SIGNING}"), fleet.server(os_signing_keys=new)
    before = fleet.server()
    old_key, new_key = created(before, SESSION).json()["value"], created(both, SESSION).json()["value"]
    assert first(both, old_key)["type"] == first(both, new_key)["type"] == first(after, new_key)["type"] == "session.created"
    assert is_refused(after, old_key)


def test_a_key_is_refused_where_its_api_key_or_its_signing_key_is_not_known(fleet: Fleet) -> None:
    key = created(fleet.server(), SESSION).json()["value"]
    for changes in ({"os_api_key": "ann:sesame"}, {"os_api_key": "ann:sesame,bob:another"}, {"os_signing_keys": ""}):
        assert is_refused(fleet.server(**changes), key), changes


def test_a_key_of_a_local_only_key_stays_local_at_every_server(fleet: Fleet) -> None:
    """Also at a server whose settings do not restrict it yet. Such a session has no language model, and so its input is transcribed."""
    cloud = {"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "elsewhere"}
    restricted, other = fleet.server(os_local_only_keys=("bob",), **cloud), fleet.server(**cloud)

    def has_language_model(maker: str, server: str) -> bool:
        session = first(server, created(maker, SESSION).json()["value"])["session"]
        return session["audio"]["input"]["transcription"] is None

    assert has_language_model(other, other)
    assert not has_language_model(restricted, other)
    assert not has_language_model(other, restricted)


def noise(chars: int) -> str:
    """Return text that hardly compresses."""
    return "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(chars // 64 + 1))[:chars]


def test_the_longest_key_fits_into_the_handshake_of_a_browser(fleet: Fleet) -> None:
    server = fleet.server()
    shortest, longest = 0, 20_000
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        is_taken = created(server, {**SESSION, "instructions": noise(middle)}).status_code == 200
        shortest, longest = (middle, longest) if is_taken else (shortest, middle)
    key = created(server, {**SESSION, "instructions": noise(shortest)}).json()["value"]
    assert KEY_CHARS - 4 <= len(key) <= KEY_CHARS
    assert first(server, key)["session"]["instructions"] == noise(shortest)
    authorization = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{server}/v1/realtime", headers=authorization, timeout=PATIENCE_S).status_code == 426
    refused = created(server, {**SESSION, "instructions": noise(longest)})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "string_above_max_length", "session.instructions")
    flat = httpx.post(f"{server}/v1/realtime/sessions", headers=KEY, json={"instructions": noise(longest + 500)}, timeout=PATIENCE_S)
    assert (flat.status_code, flat.json()["error"]["param"]) == (400, "session.instructions")


def test_a_server_without_signing_keys_takes_longer_sessions(fleet: Fleet) -> None:
    server = fleet.server(os_signing_keys="")
    text = noise(100_000)
    key = created(server, {**SESSION, "instructions": text}).raise_for_status().json()["value"]
    assert first(server, key)["session"]["instructions"] == text
    assert created(server, {**SESSION, "instructions": noise(300_000)}).status_code == 400
