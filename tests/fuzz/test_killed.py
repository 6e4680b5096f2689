"""Each runner is killed, again and again, while every door is used: a turn is right or fails by name, never short, never for ever."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient

from benchmarks.served import Served, free_port, serve
from open_speech.codecs.wav import wav_header
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

TEXT = "A sentence that is said and heard. And one more."
RATE = 24_000
RUNNERS = ("tones_stt", "tones_tts")
KILLS, APART_S = 6, 2.0
TURN_S = PATIENCE_S
"""Longest that a turn may take, with a runner that has to start again on a busy machine."""


class Refused(Exception):
    """A turn failed, and the server said why."""


@dataclass(frozen=True)
class Doors:
    """Every door, as a function that has one turn at it and gives what came of it."""

    served: Served
    wyoming_port: int
    pcm: bytes = b""

    def speak(self) -> bytes:
        body = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}
        try:
            answer = httpx.post(f"{self.served.base_url}/audio/speech", json=body, timeout=TURN_S)
        except httpx.RemoteProtocolError:  # cut off in the midst of its sound, which no client takes for its end
            raise Refused from None
        return _whole(answer).content

    def listen(self) -> str:
        wav = wav_header(RATE, len(self.pcm)) + self.pcm
        files, data = {"file": ("a.wav", wav)}, {"model": "whisper-1"}
        answer = httpx.post(f"{self.served.base_url}/audio/transcriptions", files=files, data=data, timeout=TURN_S)
        return str(_whole(answer).json()["text"])

    def live_speak(self) -> bytes:
        heard = b""
        with self._socket("/v1/audio/speech/stream") as socket:
            for message in ({"type": "config", "response_format": "pcm"}, {"type": "text", "text": TEXT}, {"type": "end"}):
                socket.send(json.dumps(message))
            while True:
                said = socket.recv(timeout=TURN_S)
                if isinstance(said, bytes):
                    heard += said
                elif _event(said)["type"] == "done":
                    return heard

    def live_listen(self) -> str:
        finals = []
        with self._socket(f"/v1/audio/stream?vad=false&sample_rate={RATE}&interim_results=false") as socket:
            socket.send(self.pcm)
            socket.send(json.dumps({"type": "stop"}))
            while (event := _event(socket.recv(timeout=TURN_S)))["type"] != "session.end":
                finals += [event["text"]] if event.get("is_final") else []
        return " ".join(text.strip() for text in finals)

    def realtime(self) -> str:
        with self._socket("/v1/realtime?intent=transcription") as socket:
            session = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
            sound = base64.b64encode(self.pcm).decode()
            for message in (
                {"type": "session.update", "session": session},
                {"type": "input_audio_buffer.append", "audio": sound},
                {"type": "input_audio_buffer.commit"},
            ):
                socket.send(json.dumps(message))
            while True:
                event = _event(socket.recv(timeout=TURN_S))
                if event["type"].endswith("transcription.completed"):
                    return str(event["transcript"])

    def wyoming(self) -> str:
        return asyncio.run(self._wyoming())

    async def _wyoming(self) -> str:
        async with AsyncTcpClient("127.0.0.1", self.wyoming_port) as client:
            await client.write_event(Transcribe().event())
            await client.write_event(AudioStart(RATE, 2, 1).event())
            await client.write_event(AudioChunk(RATE, 2, 1, self.pcm).event())
            await client.write_event(AudioStop().event())
            while (event := await client.read_event()) is not None:
                if Transcript.is_type(event.type):
                    return Transcript.from_event(event).text
                if event.type == "error":
                    raise Refused(event.data)
        raise AssertionError("Wyoming closed without a word")

    def _socket(self, path: str) -> ClientConnection:
        return connect(f"ws{self.served.url.removeprefix('http')}{path}", max_size=None, open_timeout=TURN_S)


def _whole(answer: httpx.Response) -> httpx.Response:
    """Take an answer that is right. Raises Refused for one that says what is wrong in the envelope."""
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.status_code in (429, 500, 503), answer.text
        raise Refused(answer.text)
    return answer


def _event(message: str | bytes) -> dict[str, Any]:
    """Read an event. Raises Refused for one that says what is wrong."""
    event: dict[str, Any] = json.loads(message)
    if event["type"] == "error" or event["type"].endswith("failed"):
        assert event["error"]["message"]
        raise Refused(event)
    return event


@pytest.fixture(scope="module")
def doors(tones: dict[str, str]) -> Iterator[Doors]:
    port = free_port()
    with serve({**tones, "STT_VAD_ENABLED": "false", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}) as served:
        doors = Doors(served, port)
        yield replace(doors, pcm=doors.speak())


def test_every_door_is_right_or_says_why_not_while_each_runner_is_killed(doors: Doors) -> None:
    turns: dict[str, Callable[[], object]] = {
        "speak": doors.speak, "listen": doors.listen, "live speak": doors.live_speak, "live listen": doors.live_listen,
        "realtime": doors.realtime, "wyoming": doors.wyoming,
    }  # fmt: skip
    right = {name: turn() for name, turn in turns.items()}
    assert {name: right[name] for name in ("listen", "realtime", "wyoming")} == dict.fromkeys(("listen", "realtime", "wyoming"), TEXT)
    over = threading.Event()
    outcomes: Counter[str] = Counter()
    faults: list[str] = []

    def used(name: str) -> None:
        while not over.is_set():
            try:
                outcome = "right" if turns[name]() == right[name] else "wrong"
            except Refused:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001 - the boundary of this thread: whatever it was, the test has to hear of it
                outcome = repr(error)
            outcomes[f"{name}: {outcome}"] += 1
            if outcome not in ("right", "refused"):
                faults.append(f"{name}: {outcome}")
            time.sleep(0.1)

    users = [threading.Thread(target=used, args=(name,)) for name in turns]
    for user in users:
        user.start()
    for number in range(KILLS):
        time.sleep(APART_S)
        with suppress(LookupError):  # it is not back yet from the last time
            doors.served.kill(RUNNERS[number % len(RUNNERS)])
    time.sleep(APART_S)
    over.set()
    for user in users:
        user.join(2 * TURN_S)
    assert faults == []
    assert {name for name in turns if not outcomes[f"{name}: right"]} == set(), outcomes
    _all_are_right_again(turns, right)


def _all_are_right_again(turns: dict[str, Callable[[], object]], right: dict[str, object]) -> None:
    def is_right(name: str) -> bool:
        with suppress(Refused):
            assert turns[name]() == right[name]
            return True
        return False

    for name in turns:
        until(lambda name=name: is_right(name), why=lambda name=name: f"{name} does not come back")  # type: ignore[misc]
