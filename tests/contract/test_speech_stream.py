"""The WebSocket that speaks text while it is written, by a real client over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from open_speech.app import create_app
from open_speech.audio import from_pcm16
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S, until

PATH = "/v1/audio/speech/stream"
KEY = {"Authorization": "Bearer sesame"}
FIRST = "The first of the sentences is not so short that it would wait."
SECOND = "And the second one goes on for just about as long as the first."


class Client:
    """What a client keeps of a conversation: messages in order, sound as bytes among them."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def next(self) -> Any:
        message = self.socket.recv(timeout=PATIENCE_S)
        return message if isinstance(message, bytes) else json.loads(message)

    def until(self, kind: str) -> list[Any]:
        heard = [self.next()]
        while isinstance(heard[-1], bytes) or heard[-1]["type"] != kind:
            heard.append(self.next())
        return heard

    def close_code(self) -> int | None:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.socket.recv(timeout=PATIENCE_S)
        return closed.value.rcvd.code if closed.value.rcvd else None


@contextmanager
def talking(server: str, headers: dict[str, str] | None = None, **config: Any) -> Iterator[Client]:
    """Connect, and send a config."""
    with connect(f"ws{server.removeprefix('http')}{PATH}", additional_headers=KEY if headers is None else headers) as socket:
        client = Client(socket)
        with suppress(ConnectionClosed):  # a refusal may be quicker; it is still to be read
            client.say("config", **config)
        yield client


def pcm(heard: list[Any]) -> bytes:
    return b"".join(message for message in heard if isinstance(message, bytes))


def told(heard: list[Any]) -> list[str]:
    return [message["type"] for message in heard if not isinstance(message, bytes)]


def transcribed(server: str, wav: bytes) -> str:
    answer = httpx.post(
        f"{server}/v1/audio/transcriptions", headers=KEY, data={"model": "whisper-1"}, files={"file": wav}, timeout=PATIENCE_S
    )
    return str(answer.json()["text"])


def test_text_in_pieces_becomes_the_sound_of_that_text(server: str) -> None:
    with talking(server) as client:
        assert client.next() == {
            "type": "ready", "model": "tones/speak", "voice": "tone", "response_format": "pcm", "sample_rate": 24_000, "encoding": "binary",
        }  # fmt: skip
        for start in range(0, len(FIRST), 5):
            client.say("text", text=FIRST[start : start + 5])
        client.say("end")
        heard = client.until("done")
        assert client.close_code() == 1000
    sound = from_pcm16(pcm(heard), 24_000)
    assert transcribed(server, wav_bytes(sound)) == FIRST
    assert "".join(message["text"] for message in heard if not isinstance(message, bytes) and message["type"] == "sentence") == FIRST
    assert heard[-1] == {"type": "done", "characters": len(FIRST), "seconds": pytest.approx(sound.seconds, abs=0.002)}


def test_the_first_sentence_is_heard_while_the_second_is_written(server: str) -> None:
    with talking(server) as client:
        client.say("text", text=f"{FIRST} {SECOND[:10]}")
        assert told(client.until("sentence")) == ["ready", "sentence"]
        assert isinstance(client.next(), bytes)
        client.say("text", text=SECOND[10:])
        client.say("flush")
        heard = client.until("flushed")
    assert [message["text"] for message in heard if not isinstance(message, bytes) and message["type"] == "sentence"] == [SECOND]


def test_a_flush_speaks_half_a_sentence_and_the_next_text_is_one_of_its_own(server: str) -> None:
    with talking(server, sample_rate=16_000) as client:
        client.say("text", text="Half a")
        client.say("flush")
        client.say("text", text="sentence")
        client.say("flush")
        first, second = client.until("flushed"), client.until("flushed")
    assert first[0]["sample_rate"] == 16_000
    assert [transcribed(server, wav_bytes(from_pcm16(pcm(heard), 16_000))) for heard in (first, second)] == ["Half a", "sentence"]


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_utterance_is_a_whole_file_in_its_format(server: str, form: str) -> None:
    with talking(server, response_format=form) as client:
        for _ in range(2):
            client.say("text", text=FIRST)
            client.say("flush")
            file = pcm(client.until("flushed"))
            assert transcribed(server, wav_bytes(decode(file, 24_000, max_seconds=60))) == FIRST


def test_sound_comes_in_json_when_that_is_asked(server: str) -> None:
    with talking(server, encoding="base64") as client:
        client.say("text", text="Hello.")
        client.say("end")
        heard = client.until("done")
    assert pcm(heard) == b""
    assert told(heard)[:3] == ["ready", "sentence", "audio"]


def test_a_cancel_is_answered_at_once_and_no_sound_comes_after_it(server: str) -> None:
    with talking(server) as client:
        client.say("text", text=f"{FIRST} {SECOND} " * 500)
        client.until("sentence")
        assert isinstance(client.next(), bytes)
        client.say("cancel")
        assert told(client.until("cancelled")).count("sentence") < 100  # of a thousand
        client.say("text", text="Anew.")
        client.say("flush")
        heard = client.until("flushed")
    assert told(heard) == ["sentence", "flushed"]
    assert transcribed(server, wav_bytes(from_pcm16(pcm(heard), 24_000))) == "Anew."


def test_a_cancel_stops_the_synthesis(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.speaks.clear()
    with talking(url) as client:
        client.say("text", text="Please hang.")
        client.say("flush")
        assert runner.speaks.wait(PATIENCE_S)
        client.say("cancel")
        client.until("cancelled")
        assert runner.left.wait(PATIENCE_S)


def test_a_client_that_leaves_stops_the_synthesis(moody_server: tuple[str, Any]) -> None:
    url, runner = moody_server
    runner.left.clear()
    runner.speaks.clear()
    with talking(url) as client:
        client.say("text", text="Please hang.")
        client.say("flush")
        client.until("ready")
        assert runner.speaks.wait(PATIENCE_S)
    assert runner.left.wait(PATIENCE_S)


def test_an_engine_that_breaks_is_an_error_and_the_connection_lives_on(moody_server: tuple[str, Any]) -> None:
    with talking(moody_server[0]) as client:
        client.say("text", text="Now break.")
        client.say("flush")
        heard = client.until("flushed")
        assert told(heard) == ["ready", "error", "flushed"]
        assert heard[1]["error"]["code"] == "backend_unavailable"
        client.say("text", text="Go on.")
        client.say("end")
        assert pcm(client.until("done"))


def test_a_voice_that_nobody_has_is_named(server: str) -> None:
    with talking(server, voice="nobody") as client:
        assert client.next()["error"]["param"] == "voice"
        client.say("config", voice="tone")
        assert client.next()["type"] == "ready"


@pytest.mark.parametrize("message", ["no json", '{"type":"sing"}', b"bytes"])
def test_what_is_no_message_is_an_error_and_the_connection_lives_on(server: str, message: str | bytes) -> None:
    with talking(server) as client:
        client.until("ready")
        client.socket.send(message)
        assert client.next()["error"]["type"] == "invalid_request_error"
        client.say("end")
        assert client.next()["type"] == "done"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_the_key_there_is_no_connection(server: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(server, headers):
        raise AssertionError("connected")
    assert refused.value.response.status_code in (401, 403)


def test_a_browser_hands_over_the_key_as_a_subprotocol(server: str) -> None:
    protocols: Any = ["realtime", "openai-insecure-api-key.sesame"]
    with connect(f"ws{server.removeprefix('http')}{PATH}", subprotocols=protocols) as socket:
        assert socket.subprotocol == "realtime"


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory, serving: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[str]:
    """Two connections, one origin, and little patience."""
    settings = Settings(
        os_models_dir=tmp_path_factory.mktemp("models"), os_offline=True, stt_backends=("tones-stt",), tts_backends=("tones-tts",),
        stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone", os_stream_max_connections=2, os_stream_idle_timeout_s=2.5,
        os_cors_origins=("https://a.example",), os_voice_library_path=tmp_path_factory.mktemp("library"),
    )  # fmt: skip
    with serving(create_app(settings, local_engine(settings))) as url:
        yield url


def test_one_connection_too_many_is_turned_away_until_another_ends(narrow_server: str) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(talking(narrow_server)).until("ready")
        with talking(narrow_server) as client:
            assert client.next()["error"]["code"] == "server_overloaded"
            assert client.close_code() == 1013

    def is_free() -> bool:
        with talking(narrow_server) as client:
            return bool(client.next()["type"] == "ready")

    until(is_free, why=lambda: "the seats are still taken")


def test_a_connection_on_which_nothing_happens_is_closed(narrow_server: str) -> None:
    with talking(narrow_server) as client:
        assert told(client.until("error")) == ["ready", "error"]
        assert client.close_code() == 1008


@pytest.mark.parametrize(("origin", "welcome"), [("https://a.example", True), ("https://b.example", False)])
def test_a_page_from_elsewhere_is_turned_away(narrow_server: str, origin: str, welcome: bool) -> None:
    with talking(narrow_server, {"Origin": origin}) as client:
        assert (client.next()["type"] == "ready") is welcome
        if not welcome:
            assert client.close_code() == 1008
