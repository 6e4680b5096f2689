"""The Realtime door by a bare client over a real socket: who may come in, how much is taken, and what is left when somebody leaves."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from open_speech.app import create_app
from open_speech.audio import concat, from_pcm16, silence, to_pcm16
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S, until

KEY = {"Authorization": "Bearer sesame"}
TEXT = "A sentence that is said and heard."


class Client:
    """What a client says and hears."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def next(self) -> Any:
        return json.loads(self.socket.recv(timeout=PATIENCE_S))

    def until(self, kind: str) -> list[Any]:
        events = [self.next()]
        while events[-1]["type"] != kind:
            events.append(self.next())
        return events

    def write(self, text: str) -> None:
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})

    def manual(self) -> None:
        audio = {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}
        self.say("session.update", session={"type": "realtime", "audio": audio})
        self.until("session.updated")

    def append(self, pcm: bytes) -> None:
        self.say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    def close_code(self) -> int | None:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.socket.recv(timeout=PATIENCE_S)
        return closed.value.rcvd.code if closed.value.rcvd else None


@contextmanager
def talking(server: str, query: str = "", headers: dict[str, str] | None = None, **options: Any) -> Iterator[Client]:
    url = f"ws{server.removeprefix('http')}/v1/realtime{query}"
    with connect(url, additional_headers=KEY if headers is None else headers, max_size=None, **options) as socket:
        yield Client(socket)


def pcm_of(server: str, text: str) -> bytes:
    """Have a text spoken as tones at 24 kHz, with a silence around it."""
    body = {"model": "tts-1", "voice": "tone", "input": text, "response_format": "pcm"}
    sound = from_pcm16(httpx.post(f"{server}/v1/audio/speech", headers=KEY, json=body, timeout=PATIENCE_S).content, 24_000)
    return to_pcm16(concat([silence(0.2, 24_000), sound, silence(0.2, 24_000)], 24_000))


@pytest.mark.parametrize(
    ("query", "kind"),
    [("", "realtime"), ("?model=gpt-realtime", "realtime"), ("?model=tts-1", "realtime"), ("?model=whisper-1", "transcription"),
     ("?intent=transcription", "transcription"), ("?intent=transcription&model=gpt-realtime", "transcription")],
)  # fmt: skip
def test_the_query_says_which_session_it_is(server: str, query: str, kind: str) -> None:
    with talking(server, query) as client:
        created = client.next()
        assert (created["type"], created["session"]["type"]) == ("session.created", kind)


def test_a_beta_client_is_known_by_its_header_or_its_subprotocol(server: str) -> None:
    with talking(server, headers={**KEY, "OpenAI-Beta": "realtime=v1"}) as client:
        assert "modalities" in client.next()["session"]
    with talking(server, subprotocols=["realtime", "openai-beta.realtime-v1"]) as client:
        assert "modalities" in client.next()["session"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer ek_wrong"}])
def test_without_the_key_the_upgrade_is_refused(server: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(server, headers=headers):
        raise AssertionError("connected")
    assert refused.value.response.status_code == 401


def test_a_browser_hands_over_the_key_as_a_subprotocol_and_azure_as_a_header(server: str) -> None:
    protocols = ["realtime", "openai-insecure-api-key.sesame", "openai-beta.realtime-v1"]
    with talking(server, headers={}, subprotocols=protocols) as client:
        assert client.socket.subprotocol == "realtime"
    with talking(server, headers={"api-key": "sesame"}) as client:
        assert client.next()["type"] == "session.created"


def test_an_ephemeral_key_opens_a_session_and_nothing_else(server: str) -> None:
    body = {"session": {"type": "transcription"}, "expires_after": {"seconds": 10}}
    before = datetime.now(UTC).timestamp()
    made = httpx.post(f"{server}/v1/realtime/client_secrets", headers=KEY, json=body, timeout=PATIENCE_S).json()
    assert made["value"].startswith("ek_")
    assert before + 9 <= made["expires_at"] <= datetime.now(UTC).timestamp() + 11
    assert made["session"]["type"] == "transcription"
    headers = {"Authorization": f"Bearer {made['value']}"}
    with talking(server, headers=headers) as client:
        assert client.next()["session"]["type"] == "transcription"
    for path in ("/v1/models", "/v1/audio/voices"):
        assert httpx.get(server + path, headers=headers, timeout=PATIENCE_S).status_code == 401
    assert httpx.post(f"{server}/v1/realtime/client_secrets", headers=headers, json={}, timeout=PATIENCE_S).status_code == 401


@pytest.mark.parametrize(
    ("session", "query", "param"),
    [
        ({"type": "realtime"}, "?intent=transcription", "intent"),
        ({"type": "realtime"}, "?model=whisper-1", "model"),
        ({"type": "realtime", "model": "gpt-realtime"}, "?model=tts-1", "model"),
        ({"type": "realtime", "model": "gpt-realtime"}, "?model=acme/whisper", "model"),
        ({"type": "realtime", "model": "gpt-realtime"}, "?intent=transcription&model=gpt-realtime", "intent"),
    ],
)
def test_an_ephemeral_key_opens_no_other_session_than_it_was_made_for(server: str, session: dict[str, str], query: str, param: str) -> None:
    made = httpx.post(f"{server}/v1/realtime/client_secrets", headers=KEY, json={"session": session}, timeout=PATIENCE_S).json()
    headers = {"Authorization": f"Bearer {made['value']}"}
    with talking(server, query, headers=headers) as client:
        event = client.next()
        assert (event["type"], event["error"]["param"]) == ("error", param)
        assert "ephemeral key" in event["error"]["message"]
    with talking(server, f"?model={session['model']}" if "model" in session else "", headers=headers) as client:
        assert client.next()["session"]["type"] == "realtime"


@pytest.mark.parametrize(("path", "kind"), [("sessions", "voice"), ("transcription_sessions", "input_audio_transcription")])
def test_the_beta_has_its_keys_within_the_session(server: str, path: str, kind: str) -> None:
    made = httpx.post(f"{server}/v1/realtime/{path}", headers=KEY, json={"input_audio_format": "g711_ulaw"}, timeout=PATIENCE_S).json()
    assert made["client_secret"]["value"].startswith("ek_")
    assert made["input_audio_format"] == "g711_ulaw"
    assert kind in made
    with talking(server, headers={"Authorization": f"Bearer {made['client_secret']['value']}"}) as client:
        assert client.next()["session"]["audio"]["input"]["format"]["type"] == "audio/pcmu"


@pytest.mark.parametrize(
    ("body", "param"),
    [({"expires_after": {"seconds": 5}}, "expires_after"), ({"session": "x"}, "session"),
     ({"session": {"audio": {"output": {"voice": "nobody"}}}}, "session.audio.output.voice")],
)  # fmt: skip
def test_a_key_for_a_session_that_cannot_be_is_refused(server: str, body: dict[str, Any], param: str) -> None:
    answer = httpx.post(f"{server}/v1/realtime/client_secrets", headers=KEY, json=body, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_twenty_megabytes_at_once_are_taken(server: str) -> None:
    """15 MiB of sound, most of it silence, are 20 MiB in base64: five minutes, with one sentence at their end."""
    said = pcm_of(server, TEXT)
    with talking(server) as client:
        client.manual()
        client.append(bytes(15 * (1 << 20) - len(said) - 2 * 24_000 // 2) + said)
        client.say("input_audio_buffer.commit")
        assert client.until("conversation.item.input_audio_transcription.completed")[-1]["transcript"] == TEXT


def test_a_message_beyond_the_limit_is_an_error_and_the_session_goes_on(server: str) -> None:
    with talking(server) as client:
        client.until("session.created")
        client.say("input_audio_buffer.append", audio="A" * (21 << 20))
        assert client.next()["type"] == "error"
        client.write(TEXT)
        client.until("conversation.item.done")


def test_sound_at_many_times_its_pace_is_all_heard(server: str) -> None:
    said = pcm_of(server, TEXT)
    with talking(server) as client:
        client.manual()
        for _ in range(20):
            for start in range(0, len(said), 4800):
                client.append(said[start : start + 4800])
            client.say("input_audio_buffer.commit")
        heard = [client.until("conversation.item.input_audio_transcription.completed")[-1]["transcript"] for _ in range(20)]
    assert heard == [TEXT] * 20


@pytest.mark.parametrize(
    ("message", "code"),
    [("no json", "invalid_json"), (b"\xff\xfe", "invalid_json"), ('{"type":"sing"}', "invalid_event"), ("[1]", "invalid_json"),
     ('{"type":"input_audio_buffer.append","audio":"%"}', "invalid_value"),
     ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
     ('{"type":"response.cancel"}', "response_cancel_not_active")],
)  # fmt: skip
def test_what_is_wrong_is_an_error_and_the_session_goes_on(server: str, message: str | bytes, code: str) -> None:
    with talking(server) as client:
        client.until("session.created")
        client.socket.send(message)
        error = client.next()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        client.write(TEXT)
        client.until("conversation.item.done")


def test_a_client_that_never_reads_is_not_read_from_either(server: str) -> None:
    """It asks for 240 MB and takes none of it: what waits for it, here and on the way, stays small. Then it reads, and all is there."""
    count = 1200
    with talking(server) as client:
        client.until("session.created")
        item = {"id": "long", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 200_000}]}
        client.say("conversation.item.create", item=item)
        client.until("conversation.item.done")
        before = psutil.Process().memory_info().rss
        asks = [partial(client.say, "conversation.item.retrieve", item_id="long")] * count
        asking = threading.Thread(target=lambda: [ask() for ask in asks], daemon=True)
        asking.start()
        time.sleep(1.5)
        assert psutil.Process().memory_info().rss - before < 80 << 20
        assert [client.next()["type"] for _ in range(count)] == ["conversation.item.retrieved"] * count
        asking.join(PATIENCE_S)


def speak(client: Client, text: str) -> None:
    client.write(text)
    client.say("response.create")


def test_a_client_that_leaves_stops_the_synthesis(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.speaks.clear()
    with talking(url) as client:
        speak(client, "Please hang.")
        client.until("response.created")
        assert runner.speaks.wait(PATIENCE_S)
    assert runner.left.wait(PATIENCE_S)


def test_a_cancel_stops_the_synthesis_and_is_answered_at_once(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.speaks.clear()
    with talking(url) as client:
        speak(client, "Please hang.")
        client.until("response.created")
        assert runner.speaks.wait(PATIENCE_S)
        client.say("response.cancel")
        assert client.until("response.done")[-1]["response"]["status"] == "cancelled"
        assert runner.left.wait(PATIENCE_S)


def test_a_voice_that_breaks_fails_its_response_and_the_session_goes_on(moody_server: tuple[str, Any]) -> None:
    with talking(moody_server[0]) as client:
        speak(client, "Now break.")
        failed = client.until("response.done")[-1]["response"]
        assert (failed["status"], failed["status_details"]["error"]["code"]) == ("failed", "backend_unavailable")
        speak(client, "Go on.")
        assert client.until("response.done")[-1]["response"]["status"] == "completed"


@pytest.fixture
def serving_with(tones_settings: Settings, serving: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[Callable[..., str]]:
    """Serve the tones pair with other settings."""
    with ExitStack() as stack:

        def serve(**changes: Any) -> str:
            settings = tones_settings.model_copy(update=changes)
            return stack.enter_context(serving(create_app(settings, local_engine(settings))))

        yield serve


def test_one_session_too_many_is_turned_away_until_another_ends(serving_with: Callable[..., str]) -> None:
    server = serving_with(os_realtime_max_sessions=1)
    with talking(server) as first:
        first.until("session.created")
        with talking(server) as second:
            error = second.next()["error"]
            assert error["code"] == "server_overloaded"
            assert "OS_REALTIME_MAX_SESSIONS" in error["message"]
            assert second.close_code() == 1013

    def is_free() -> bool:
        with talking(server) as client:
            return bool(client.next()["type"] == "session.created")

    until(is_free, why=lambda: "the seat is still taken")


@pytest.mark.parametrize(
    ("settings", "query", "headers", "code"),
    [
        ({"os_realtime_enabled": False}, "", {}, None),
        ({"os_cors_origins": ("https://a.example",)}, "", {"Origin": "https://b.example"}, None),
        ({}, "?call_id=rtc_1", {}, "not_found"),
        ({}, "", {"Authorization": "Bearer ek_expired"}, "invalid_api_key"),
    ],
)
def test_who_cannot_be_served_is_told_why(
    serving_with: Callable[..., str], settings: dict[str, Any], query: str, headers: dict[str, str], code: str | None
) -> None:
    with talking(serving_with(**settings), query, headers) as client:
        error = client.next()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        assert client.close_code() == 1008


def test_a_session_in_which_nothing_happens_is_closed(serving_with: Callable[..., str]) -> None:
    with talking(serving_with(os_realtime_idle_timeout_s=0.3)) as client:
        assert client.until("error")[-1]["error"]["code"] == "session_idle_timeout"
        assert client.close_code() == 1008


def test_more_sound_than_the_buffer_holds_is_refused(serving_with: Callable[..., str]) -> None:
    with talking(serving_with(os_realtime_max_buffer_mb=1)) as client:
        client.until("session.created")
        client.manual()
        client.append(bytes(2 << 20))
        assert client.next()["error"]["code"] == "input_audio_buffer_full"
        client.append(bytes(1 << 19))
        client.say("input_audio_buffer.commit")
        client.until("input_audio_buffer.committed")


def test_plain_http_is_told_to_upgrade(server: str) -> None:
    answer = httpx.get(f"{server}/v1/realtime", headers=KEY, timeout=PATIENCE_S)
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.json()["error"]["code"] == "upgrade_required"
