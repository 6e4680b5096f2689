"""Spoken interruptions in virtual time: 20 ms of the user's audio, then 20 ms of what the user hears, with real speech detection.

Nothing here depends on the speed of the machine: the next 20 ms begin when everything that follows from the last ones is done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.api.live.call_media import CallInput as LiveInput
from open_speech.api.live.call_media import CallOutput
from open_speech.api.live.connection import Connection as LiveConnection
from open_speech.api.live.opening import open_session
from open_speech.api.realtime.call_media import CallInput, CallMedia
from open_speech.api.realtime.connection import Connection
from open_speech.api.realtime.opening import SessionRequest, session_of
from open_speech.audio import Audio
from open_speech.config import Settings
from open_speech.dialogue.language_models import LanguageModels
from open_speech.engine import Engine
from open_speech.http.inbox import Inbox
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.turn_detection import Endpointer, Started
from open_speech.webrtc.frames import FRAME, FRAME_S, RATE
from open_speech.webrtc.playback import Playback
from tests.waiting import eventually

TEXT = "one two three four five six seven eight nine ten " * 12
"""An answer without a pause: 30 s in the voice of live_server.py."""
SILENCE = np.zeros(FRAME, np.float32)
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Delay:
    """When, in seconds from the beginning of the recording, the speech began, was detected, and what the user hears was silent."""

    onset_s: float
    decided_s: float
    stopped_s: float


class VirtualPeer:
    """A client: its track, its data channel, and what it hears."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.events: list[dict[str, Any]] = []
        self._audio: asyncio.Queue[Audio] = asyncio.Queue()
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._idle = asyncio.Event()

    async def audio(self) -> Audio:
        self._idle.set()
        return await self._audio.get()

    async def receive(self) -> MutableMapping[str, Any]:
        return {"type": "websocket.receive", "text": await self._messages.get()}

    async def send_text(self, data: str) -> None:
        self.events.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        raise AssertionError

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        return None

    def say(self, kind: str, **fields: Any) -> None:
        self._messages.put_nowait(json.dumps({"type": kind, **fields}))

    def has(self, kind: str) -> bool:
        return any(event["type"] == kind for event in self.events)

    async def step(self, samples: Samples) -> bool:
        """Speak for 20 ms; return whether the 20 ms that are heard after that are loud."""
        await self._idle.wait()
        self._idle.clear()
        self._audio.put_nowait(Audio(samples, RATE))
        await self._idle.wait()
        heard = self.playback.frame()
        return heard is not None and bool(np.abs(heard).max() > 0.01)

    async def hears_for(self, seconds: float) -> None:
        """Be silent until the answer has been heard for so long."""
        loud = 0

        async def heard() -> bool:
            nonlocal loud
            loud += await self.step(SILENCE)
            return loud * FRAME_S >= seconds

        await eventually(heard)

    async def interrupts(self, recording: Audio, engine: Engine) -> Delay:
        """Speak the recording while the answer is heard; return when the answer stopped."""
        frames = [recording.samples[at : at + FRAME] for at in range(0, len(recording.samples) - FRAME, FRAME)]
        loud = [await self.step(frame) for frame in frames]
        assert loud[0] and not any(loud[loud.index(False) :]), "the answer stops, and nothing of it is heard later"
        level = [float(np.abs(frame).max()) for frame in frames]
        onset = next(index for index, peak in enumerate(level) if peak > 0.05 * max(level))
        return Delay(onset * FRAME_S, await decided_s(frames, engine), loud.index(False) * FRAME_S)


async def decided_s(frames: list[Samples], engine: Engine) -> float:
    """Return after how many seconds of audio the detector decides that somebody speaks."""
    buffer = InputBuffer(await engine.recognition.detector(), Endpointer())
    for _ in range(50):
        buffer.feed(Audio(SILENCE, RATE))
    for number, frame in enumerate(frames, 1):
        if any(isinstance(event, Started) for event in buffer.feed(Audio(frame, RATE))):
            return number * FRAME_S
    raise AssertionError("nothing is detected")


async def interrupted_realtime_call(engine: Engine, settings: Settings, recording: Audio) -> Delay:
    """Interrupt an answer of a Realtime session over WebRTC."""
    peer = VirtualPeer()
    session = session_of(SessionRequest("realtime", ""), settings, engine, "", can_pause=True)
    media, track = CallMedia(peer.playback), CallInput(peer, lambda: session.config)
    connection = Connection(peer, engine, session, llm=None, media=media, track=track)
    async with running(connection.run()):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
        peer.say("conversation.item.create", item=item)
        peer.say("response.create")
        await peer.hears_for(1.0)
        return await peer.interrupts(recording, engine)


async def interrupted_live_call(engine: Engine, settings: Settings, models: LanguageModels, recording: Audio) -> Delay:
    """Interrupt an answer of a Live session over WebRTC."""
    peer = VirtualPeer()
    opened = await open_session({"model": "gpt-live-1"}, settings, engine, models, is_call=True)
    media, track = CallOutput(peer.playback), LiveInput(peer)
    connection = LiveConnection(peer, Inbox(peer), opened.session, holder="", media=media, track=track)
    async with running(connection.run(engine, opened.speech, None, None)):
        peer.say("session.commentary.append", content=TEXT, delegation_id=None)
        await peer.hears_for(1.0)
        return await peer.interrupts(recording, engine)


class running:
    """Run a session during the block."""

    def __init__(self, work: Any) -> None:
        self._work = work

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._work)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
