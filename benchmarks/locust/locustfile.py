"""Load test of a running server with Locust: transcription, speech, live transcription and, if the server has it, text generation.

docs/load-testing.md describes how to run it and what its numbers mean. The environment variables are read here:
LOAD_API_KEY, LOAD_AUDIO, LOAD_TEXT, LOAD_STT_MODEL, LOAD_TTS_MODEL and LOAD_VOICE.
"""

from __future__ import annotations

import io
import json
import os
import ssl
import time
import wave
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import gevent
import requests
import websocket
from locust import HttpUser, between, events, task
from locust.env import Environment
from locust.exception import StopUser

KEY = os.environ.get("LOAD_API_KEY", "")
AUDIO = os.environ.get("LOAD_AUDIO", "")
TEXT = os.environ.get("LOAD_TEXT", "The quick brown fox jumps over the lazy dog.")
STT_MODEL = os.environ.get("LOAD_STT_MODEL", "")
TTS_MODEL = os.environ.get("LOAD_TTS_MODEL", "")
VOICE = os.environ.get("LOAD_VOICE", "")
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}

CHUNK_S = 0.1
"""Length of the pieces in which live audio is sent, at the speed of speech."""
TIMEOUT_S = 120.0
"""A request that takes longer is a failure."""
HEADER_BYTES = 44
"""Size of the header of a WAV file: an answer that is not longer contains no audio."""


class Clip:
    """The recording that all users send; filled before the first user starts."""

    wav: bytes = b""
    pcm: bytes = b""
    """16-bit mono samples."""
    rate: int = 16_000
    """Hertz."""


def named(**values: str) -> dict[str, str]:
    """Return the fields that have a value: the server has a default for each of the others."""
    return {name: value for name, value in values.items() if value}


def speech_fields(sample_rate: int | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {"input": TEXT, "response_format": "wav", **named(model=TTS_MODEL, voice=VOICE)}
    return fields if sample_rate is None else {**fields, "sample_rate": sample_rate}


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Read LOAD_AUDIO, or let the server speak LOAD_TEXT; then every word of the recording is known."""

    def read(environment: Environment, **_: Any) -> None:
        if AUDIO:
            with open(AUDIO, "rb") as file:
                Clip.wav = file.read()
        else:
            Clip.wav = spoken(str(environment.host))
        Clip.pcm, Clip.rate = samples_of(Clip.wav)

    environment.events.test_start.add_listener(read)


def spoken(host: str) -> bytes:
    """Return LOAD_TEXT as the server speaks it. Exits if the server does not: without a recording there is nothing to test."""
    try:
        answer = requests.post(f"{host}/v1/audio/speech", json=speech_fields(Clip.rate), headers=HEADERS, timeout=TIMEOUT_S, verify=False)
        answer.raise_for_status()
    except requests.RequestException as failed:
        raise SystemExit(f"The server did not speak LOAD_TEXT: {failed}") from failed
    return answer.content


def samples_of(wav: bytes) -> tuple[bytes, int]:
    """Return the samples and the sample rate in Hz of a WAV file. Exits if it is not 16-bit mono."""
    with wave.open(io.BytesIO(wav)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise SystemExit("LOAD_AUDIO must be a WAV file with one channel of 16-bit samples.")
        return file.readframes(file.getnframes()), file.getframerate()


class Transcription(HttpUser):
    """Uploads the recording."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Accept any certificate."""
        self.client.verify = False

    @task
    def transcribe(self) -> None:
        form = {"response_format": "json", **named(model=STT_MODEL)}
        files = {"file": ("speech.wav", Clip.wav, "audio/wav")}
        with self.client.post(
            "/v1/audio/transcriptions", data=form, files=files, headers=HEADERS, timeout=TIMEOUT_S, catch_response=True
        ) as answer:
            if answer.ok and not answer.json()["text"].strip():
                answer.failure("The transcript is empty.")


class Speech(HttpUser):
    """Requests speech, and measures the first audio as well as the whole response."""

    wait_time = between(0.5, 1.5)

    @task
    def speak(self) -> None:
        started = time.perf_counter()
        with self.client.post(
            "/v1/audio/speech", json=speech_fields(), headers=HEADERS, timeout=TIMEOUT_S, stream=True, catch_response=True
        ) as answer:
            if not answer.ok:
                return
            size = 0
            for chunk in answer.iter_content(4096):
                if size <= HEADER_BYTES < size + len(chunk):
                    self.fire("first audio", started, 0)
                size += len(chunk)
            if size <= HEADER_BYTES:
                answer.failure("The response contains no audio.")
            else:
                self.fire("last audio", started, size)

    def fire(self, name: str, started: float, size: int) -> None:
        self.environment.events.request.fire(
            request_type="POST", name=f"/v1/audio/speech: {name}", response_time=(time.perf_counter() - started) * 1000,
            response_length=size, exception=None, context={},
        )  # fmt: skip


class Live(HttpUser):
    """Speaks to the server at the speed of speech, and measures how long after the end of the audio the transcript is complete."""

    wait_time = between(0.5, 1.5)

    @task
    def talk(self) -> None:
        query = urlencode({"sample_rate": Clip.rate, **named(model=STT_MODEL)})
        address = f"{str(self.host).replace('http', 'ws', 1)}/v1/audio/stream?{query}"
        error: Exception | None = None
        words, stopped = 0, time.perf_counter()
        try:
            socket = websocket.create_connection(
                address, timeout=TIMEOUT_S, header=[f"{name}: {value}" for name, value in HEADERS.items()],
                sslopt={"cert_reqs": ssl.CERT_NONE},
            )  # fmt: skip
            try:
                reader = gevent.spawn(read_transcript, socket)
                for chunk in chunks(Clip.pcm, Clip.rate):
                    socket.send_binary(chunk)
                    gevent.sleep(CHUNK_S)
                socket.send(json.dumps({"type": "stop"}))
                stopped = time.perf_counter()
                words = len(reader.get(timeout=TIMEOUT_S).split())
            finally:
                socket.close()
            if not words:
                error = ValueError("The transcript is empty.")
        except (websocket.WebSocketException, OSError, ValueError, gevent.Timeout) as failed:
            error = failed if isinstance(failed, Exception) else TimeoutError(str(failed))
        self.environment.events.request.fire(
            request_type="WS", name="/v1/audio/stream: end to transcript", response_time=(time.perf_counter() - stopped) * 1000,
            response_length=words, exception=error, context={},
        )  # fmt: skip


def chunks(pcm: bytes, rate: int) -> Iterator[bytes]:
    step = int(rate * CHUNK_S) * 2
    return (pcm[start : start + step] for start in range(0, len(pcm), step))


def read_transcript(socket: websocket.WebSocket) -> str:
    """Read until the session has ended; return its final text. Raises ValueError for an error message of the server."""
    text = []
    while True:
        received = socket.recv()
        if not received:
            raise ValueError("The server closed the connection before the end of the session.")
        message = json.loads(received)
        if message["type"] == "error":
            raise ValueError(message["error"]["message"])
        if message["type"] == "transcript" and message["is_final"]:
            text.append(message["text"])
        if message["type"] == "session.end":
            return " ".join(text)


class Generation(HttpUser):
    """Lets the language model of the server write, if the server has `/v1/generate`."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Stop this user on a server without the endpoint."""
        paths = requests.get(f"{self.host}/openapi.json", timeout=TIMEOUT_S, verify=False).json()["paths"]
        if "/v1/generate" not in paths:
            raise StopUser

    @task
    def generate(self) -> None:
        body = {"prompt": f"Continue: {TEXT}", "max_tokens": 32}
        with self.client.post("/v1/generate", json=body, headers=HEADERS, timeout=TIMEOUT_S, catch_response=True) as answer:
            if answer.ok and not answer.json()["generated_text"].strip():
                answer.failure("The generated text is empty.")
