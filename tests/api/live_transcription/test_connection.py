from __future__ import annotations

import asyncio

from starlette.types import Message
from starlette.websockets import WebSocket

from open_speech.api.live_transcription.connection import Connection
from open_speech.api.live_transcription.session import Session
from open_speech.backends import TranscribeOptions
from open_speech.config import Settings
from open_speech.http.inbox import AHEAD_BYTES
from open_speech.http.send_queue import CALM_BYTES, LEAST_BYTES
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.live_input import LiveInput
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S


def test_a_client_that_never_reads_is_not_read_from_either(tones_settings: Settings) -> None:
    """It says what must be answered as fast as it can, and takes no answer: after so many of them it is left to wait."""
    said = 0

    async def receive() -> Message:
        nonlocal said
        said += 1
        return {"type": "websocket.receive", "text": "no json"} if said > 1 else {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] != "websocket.accept":
            await asyncio.Event().wait()

    async def scene() -> int:
        socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
        await socket.accept()
        engine = local_engine(tones_settings)
        recognizer = await engine.recognition.recognizer("tones/listen", TranscribeOptions())
        session = Session(vad=False, interim_results=True)
        connection = Connection(socket, engine, session, recognizer, LiveInput(InputBuffer(None, None)), rate=16_000, idle_s=60)
        running = asyncio.create_task(connection.run({"type": "session.begin"}))
        before = -1
        while before != said:
            before = said
            await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return said

    most = (CALM_BYTES + AHEAD_BYTES) // LEAST_BYTES
    assert most <= asyncio.run(asyncio.wait_for(scene(), PATIENCE_S)) <= most + 5
