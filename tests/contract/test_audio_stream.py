"""The WebSocket that writes speech down while it is said, by a real client over a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from open_speech.app import create_app
from open_speech.audio import Audio, concat, resample, silence, to_pcm16
from open_speech.codecs import decode
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S, until

PATH = "/v1/audio/stream"
PATHS = (PATH, "/v1/audio/transcriptions/stream")
KEY = {"Authorization": "Bearer sesame"}
SENTENCE = "Hello there world."


class Client:
    """What a client keeps of a connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, data: bytes, piece: int = 3201) -> None:
        for start in range(0, len(data), piece):
            self.socket.send(data[start : start + piece])

    def say(self, kind: str) -> None:
        self.socket.send(json.dumps({"type": kind}))

    def next(self) -> Any:
        return json.loads(self.socket.recv(timeout=PATIENCE_S))

    def until(self, kind: str) -> list[Any]:
        heard = [self.next()]
        while heard[-1]["type"] != kind:
            heard.append(self.next())
        return heard

    def close_code(self) -> int | None:
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.socket.recv(timeout=PATIENCE_S)
        return closed.value.rcvd.code if closed.value.rcvd else None


@contextmanager
def streaming(server: str, query: str = "", headers: dict[str, str] | None = None, path: str = PATH, **options: Any) -> Iterator[Client]:
    url = f"ws{server.removeprefix('http')}{path}?{query}"
    with connect(url, additional_headers=KEY if headers is None else headers, **options) as socket:
        yield Client(socket)


def finals(heard: list[Any]) -> list[Any]:
    return [message for message in heard if message["type"] == "transcript" and message["is_final"]]


def text(heard: list[Any]) -> str:
    return " ".join(message["text"] for message in finals(heard) if message["text"])


@pytest.fixture(scope="module")
def tones(server: str) -> Callable[[int], bytes]:
    """SENTENCE in tones, as PCM at a rate."""
    answer = httpx.post(
        f"{server}/v1/audio/speech",
        headers=KEY,
        json={"model": "tts-1", "input": SENTENCE, "voice": "alloy", "response_format": "wav"},
        timeout=PATIENCE_S,
    )
    sound = decode(answer.content, 24_000, max_seconds=60)
    return lambda rate: to_pcm16(resample(concat([silence(0.2, 24_000), sound, silence(0.4, 24_000)], 24_000), rate))


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
def test_sound_of_any_rate_in_odd_pieces_is_written_down(server: str, tones: Callable[[int], bytes], rate: int) -> None:
    with streaming(server, f"sample_rate={rate}&vad=false") as client:
        begun = client.next()
        assert begun["type"] == "session.begin"
        assert (begun["model"], begun["sample_rate"], begun["vad"], begun["encoding"]) == ("tones/listen", rate, False, "pcm_s16le")
        client.send(tones(rate), 1001)
        client.say("stop")
        heard = client.until("session.end")
        assert text(heard) == SENTENCE
        assert finals(heard)[-1]["speech_final"] is True
        assert heard[-1]["duration"] == pytest.approx(len(tones(rate)) / 2 / rate, abs=0.01)
        assert client.close_code() == 1000


@pytest.mark.parametrize("path", PATHS)
def test_finalize_ends_an_utterance_and_the_next_one_follows(server: str, tones: Callable[[int], bytes], path: str) -> None:
    with streaming(server, "vad=false", path=path) as client:
        for _ in range(3):
            client.send(tones(16_000))
            client.say("finalize")
        client.say("stop")
        heard = client.until("session.end")
    assert [message["text"] for message in finals(heard)] == [SENTENCE] * 3
    starts = [message["start"] for message in finals(heard)]
    assert starts == sorted(starts)
    assert starts[2] > 2 * len(tones(16_000)) / 32_000 - 0.1


def test_a_client_that_stops_without_a_sound_gets_an_end(server: str) -> None:
    with streaming(server) as client:
        client.next()
        client.say("stop")
        assert client.next() == {"type": "session.end", "duration": 0.0}
        assert client.close_code() == 1000


@pytest.mark.parametrize("path", PATHS)
def test_plain_http_is_told_to_upgrade(server: str, path: str) -> None:
    answer = httpx.get(f"{server}{path}", headers=KEY, timeout=PATIENCE_S)
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert answer.json()["error"]["code"] == "upgrade_required"
    assert httpx.post(f"{server}{path}", headers=KEY, timeout=PATIENCE_S).status_code == 405


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("sample_rate=7000", "sample_rate", None), ("encoding=mp3", "encoding", None), ("model=nobody/nothing", "model", "model_not_found"),
        ("model=tones/speak", "model", "model_wrong_task"), ("language=klingon", "language", "unsupported_language"),
        ("vad=maybe", "vad", None),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_is_refused_by_name(server: str, query: str, param: str, code: str | None) -> None:
    with streaming(server, query) as client:
        refused = client.next()
        assert refused["type"] == "error"
        assert refused["error"]["param"] == param
        assert code is None or refused["error"]["code"] == code
        assert client.close_code() == 1008


def test_what_is_no_message_is_told_and_the_session_goes_on(server: str, tones: Callable[[int], bytes]) -> None:
    with streaming(server, "vad=false") as client:
        client.next()
        for wrong in ("nonsense", "[]", "{}", '{"type":"fly"}', "x" * 100_000):
            client.socket.send(wrong)
            assert client.next()["type"] == "error"
        client.say("keepalive")
        client.socket.send(b"")
        client.send(tones(16_000))
        client.say("stop")
        assert text(client.until("session.end")) == SENTENCE


def test_a_key_is_wanted(server: str) -> None:
    with pytest.raises(InvalidStatus), streaming(server, headers={}):
        pass


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(
        os_models_dir=folder, os_offline=True, stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen",
        tts_model="tones/speak", tts_voice="tone", stt_vad_enabled=False, os_voice_library_path=folder / "library", **more,
    )  # fmt: skip


Serving = Callable[[FastAPI], AbstractContextManager[str]]


def test_seats_are_limited_and_free_again_after_use(serving: Serving, tmp_path: Path) -> None:
    chosen = settings(tmp_path, os_stream_max_connections=1)
    with serving(create_app(chosen, local_engine(chosen))) as url:
        with streaming(url) as first:
            first.next()
            with streaming(url) as second:
                assert second.next()["error"]["code"] == "server_overloaded"
                assert second.close_code() == 1013

        def is_free() -> bool:
            with streaming(url) as third:
                return bool(third.next()["type"] == "session.begin")

        until(is_free, why=lambda: "the seat was never free again")


@pytest.mark.parametrize(
    ("configured", "query", "endpointing"),
    [
        ({"stt_vad_silence_ms": 1200}, "", 1200),
        ({"stt_vad_silence_ms": 1200}, "endpointing=400", 400),
        ({"stt_vad_silence_ms": 1200, "os_stream_endpointing_ms": 500}, "", 500),
    ],
)
def test_the_silence_of_speech_detection_rules_a_stream_without_one_of_its_own(
    serving: Serving, tmp_path: Path, configured: dict[str, int], query: str, endpointing: int
) -> None:
    chosen = settings(tmp_path, **configured)
    with serving(create_app(chosen, local_engine(chosen))) as url, streaming(url, query) as client:
        assert client.next()["endpointing"] == endpointing


def test_a_page_of_another_origin_is_turned_away(serving: Serving, tmp_path: Path) -> None:
    chosen = settings(tmp_path, os_cors_origins=("https://here.example",))
    with serving(create_app(chosen, local_engine(chosen))) as url:
        with streaming(url, headers={"Origin": "https://here.example"}) as client:
            assert client.next()["type"] == "session.begin"
        with streaming(url, headers={"Origin": "https://elsewhere.example"}) as client:
            assert client.next()["type"] == "error"
            assert client.close_code() == 1008


def test_a_server_that_is_still_starting_says_so(serving: Serving, tmp_path: Path) -> None:
    with serving(create_app(settings(tmp_path))) as url, streaming(url) as client:
        assert client.next()["error"]["code"] == "backend_unavailable"
        assert client.close_code() == 1013


def test_a_client_that_says_nothing_is_closed_and_keepalive_keeps_it(serving: Serving, tmp_path: Path) -> None:
    chosen = settings(tmp_path, os_stream_idle_timeout_s=2)
    with serving(create_app(chosen, local_engine(chosen))) as url, streaming(url) as client:
        client.next()
        for _ in range(8):
            with pytest.raises(TimeoutError):
                client.socket.recv(timeout=0.4)
            client.say("keepalive")
        assert client.next()["type"] == "error"
        assert client.close_code() == 1008


def test_a_client_that_leaves_in_the_midst_leaves_nothing_behind(serving: Serving, tmp_path: Path, tones: Callable[[int], bytes]) -> None:
    chosen = settings(tmp_path)
    app = create_app(chosen, local_engine(chosen))
    with serving(app) as url:
        for _ in range(5):
            with streaming(url, "vad=false") as client:
                client.send(tones(16_000))
        until(lambda: app.state.slots._free == chosen.os_stream_max_connections)


@pytest.mark.weights
def test_real_speech_streamed_at_full_speed_is_written_down(real_server: str, speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["two_cities"], 48_000, max_seconds=60)
    with streaming(real_server, "sample_rate=48000&endpointing=700", headers={}) as client:
        client.send(to_pcm16(sound), 9600)
        client.say("stop")
        heard = client.until("session.end")
    said = text(heard).lower()
    for phrase in ("it was the best of times", "it was the worst of times", "nothing before us", "superlative degree of comparison"):
        assert phrase in said
    states = [message["state"] for message in heard if message["type"] == "vad"]
    assert states[::2] == ["speech_start"] * (len(states) // 2 + len(states) % 2)
    assert len(states) >= 8
    told = [message for message in finals(heard) if message["text"]]
    assert all(0 < message["confidence"] < 1 for message in told)
    assert all(before["end"] <= after["start"] + 0.2 for before, after in zip(told, told[1:], strict=False))


@pytest.mark.weights
def test_drafts_come_while_somebody_speaks_and_the_final_text_soon_after(real_server: str, speech_clips: dict[str, Path]) -> None:
    sound = decode(speech_clips["two_cities"], 16_000, max_seconds=60)
    first = Audio(np.concatenate([sound.samples[: round(8.4 * 16_000)], np.zeros(16_000, np.float32)]), 16_000)
    pcm = to_pcm16(first)
    with streaming(real_server, "endpointing=600&language=en", headers={}) as client:
        client.next()
        for start in range(0, len(pcm), 3200):
            client.socket.send(pcm[start : start + 3200])
            time.sleep(0.1)
        client.say("stop")
        heard = client.until("session.end")
    kinds = [message["type"] if message["type"] != "transcript" else message["is_final"] for message in heard]
    assert kinds.index(False) < kinds.index(True), "a draft comes first"
    assert "best of times" in text(heard).lower()


@pytest.mark.weights
def test_silence_and_noise_are_no_text(real_server: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.003, 16_000 * 20).astype(np.float32)
    for sound in (np.zeros(16_000 * 20, np.float32), noise):
        with streaming(real_server, headers={}) as client:
            client.send(to_pcm16(Audio(sound, 16_000)), 32_000)
            client.say("stop")
            assert [message["type"] for message in client.until("session.end")] == ["session.begin", "session.end"]


@pytest.fixture(scope="module")
def real_server(serving: Serving, default_weights: None, weights_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on real weights, in this process."""
    chosen = Settings(
        os_models_dir=weights_root, os_voice_library_path=tmp_path_factory.mktemp("library"), stt_backends=("faster-whisper",),
        tts_backends=(), stt_device="cpu",
    )  # fmt: skip
    engine = local_engine(chosen)
    asyncio.run(engine.pool.load("whisper-1"))
    with serving(create_app(chosen, engine)) as url:
        yield url
