"""A bare client of the Live API for tests: it sends audio in real time in a thread, and collects what is sent to it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.waiting import PATIENCE_S, Pace

FRAME = 4800
"""Bytes of 100 ms."""
Event = dict[str, Any]


class Client:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Event] = []
        self._stop = threading.Event()
        self._sound = bytearray()
        self._microphone: threading.Thread | None = None

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def start(self, **session: Any) -> Event:
        self.say("session.start", session={"model": "gpt-live-1", **session})
        return self.next()

    def next(self) -> Event:
        event: Event = json.loads(self.socket.recv(timeout=PATIENCE_S))
        self.events.append(event)
        return event

    def until(self, kind: str, where: Callable[[Event], bool] = lambda _: True) -> list[Event]:
        """Return the events up to and with the first of a kind. Output audio never ends, so there is a deadline."""
        pace = Pace()
        events = [self.next()]
        while not (events[-1]["type"] == kind and where(events[-1])):
            others = [event for event in self.events if event["type"] != "session.output_audio.delta"]
            assert pace.seconds < PATIENCE_S, f"no {kind} after {others[-20:]}"
            events.append(self.next())
        return events

    def until_sound(self) -> list[Event]:
        return self.until("session.output_audio.delta", lambda event: is_loud(event))

    def until_silence(self) -> list[Event]:
        return self.until("session.output_audio.delta", lambda event: not is_loud(event))

    def append(self, pcm: bytes) -> None:
        self.say("session.input_audio.append", audio=base64.b64encode(pcm).decode())

    def listen(self) -> None:
        """Send what is spoken, and silence otherwise, in real time."""
        self._microphone = threading.Thread(target=self._send, daemon=True)
        self._microphone.start()

    def speak(self, pcm: bytes) -> None:
        """Speak into the microphone."""
        self._sound += pcm

    def mute(self) -> None:
        """Stop sending."""
        self._stop.set()
        if self._microphone is not None:
            self._microphone.join(PATIENCE_S)

    def _send(self) -> None:
        pace, due = Pace(), 0.0
        while not self._stop.is_set():
            frame, self._sound[:FRAME] = bytes(self._sound[:FRAME]), b""
            try:
                self.append(frame.ljust(FRAME, b"\0"))
            except ConnectionClosed:
                return
            due += 0.1
            time.sleep(pace.until_s(due))

    def close_code(self) -> int | None:
        try:
            while True:
                self.events.append(json.loads(self.socket.recv(timeout=PATIENCE_S)))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def is_loud(event: Event) -> bool:
    """Return whether an event is output audio that is not silence."""
    return event["type"] == "session.output_audio.delta" and any(base64.b64decode(event["delta"]))


def text_of(events: list[Event], side: str) -> str:
    """Return the transcript of a side."""
    return "".join(event["delta"] for event in events if event["type"] == f"session.{side}_transcript.delta")


@contextmanager
def connected(server: str, path: str = "/v1/live/sessions", **options: Any) -> Iterator[Client]:
    with connect(f"ws{server.removeprefix('http')}{path}", max_size=None, **options) as socket:
        client = Client(socket)
        try:
            yield client
        finally:
            client.mute()


@contextmanager
def talking(server: str, *, headers: dict[str, str] | None = None, **session: Any) -> Iterator[Client]:
    """Start a session, and send audio."""
    with connected(server, additional_headers=headers or {}) as client:
        assert client.start(**session)["type"] == "session.started"
        client.listen()
        yield client
