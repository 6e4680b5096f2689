"""A WebRTC client for tests, made with aiortc: it sends a recording in real time, and keeps what it hears and the events it receives."""

from __future__ import annotations

import asyncio
import fractions
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, CodecContext, Packet
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from open_speech.audio import Audio, concat, resample, to_pcm16
from tests.waiting import PATIENCE_S, Pace, eventually

RATE, FRAME = 48_000, 960
KEY = {"Authorization": "Bearer sesame"}


class Microphone(MediaStreamTrack):  # type: ignore[misc]
    """Sends what `say` was given, and silence otherwise, a frame every 20 ms. Its encoder is set as in browsers, with error correction."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder = CodecContext.create("libopus", "w")
        assert isinstance(self._encoder, AudioCodecContext)
        self._encoder.bit_rate, self._encoder.format, self._encoder.layout, self._encoder.sample_rate = 32_000, "s16", "mono", RATE
        self._encoder.options = {"application": "voip", "fec": "1", "packet_loss": "20"}
        self._waiting: NDArray[np.float32] = np.zeros(0, np.float32)
        self._count = 0
        self._pace: Pace | None = None

    @property
    def is_quiet(self) -> bool:
        return not len(self._waiting)

    def say(self, audio: Audio) -> None:
        self._waiting = np.concatenate([self._waiting, resample(audio, RATE).samples])

    async def recv(self) -> Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        self._pace = self._pace or Pace()
        await asyncio.sleep(self._pace.until_s(self._count * 0.02))
        taken, self._waiting = self._waiting[:FRAME], self._waiting[FRAME:]
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(to_pcm16(Audio(np.pad(taken, (0, FRAME - len(taken))), RATE)))
        frame.sample_rate, frame.time_base, frame.pts = RATE, fractions.Fraction(1, RATE), self._count * FRAME
        (packet,) = self._encoder.encode(frame)
        packet.pts, packet.time_base = self._count * FRAME, frame.time_base
        self._count += 1
        return packet


class Caller:
    """One call, from the side of the client."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.events: list[dict[str, Any]] = []
        self.heard: list[NDArray[np.float32]] = []
        self.location = ""
        self.channel: RTCDataChannel | None = None
        self._listening: asyncio.Task[None] | None = None

    async def offer(self, *, channel: str | None = "oai-events") -> str:
        self.pc.addTrack(self.microphone)
        self.pc.on("track", self._track)
        if channel is not None:
            self.channel = self.pc.createDataChannel(channel)
            self.channel.on("message", lambda text: self.events.append(json.loads(text)))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def dial(
        self, session: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None, query: str = "",
        change: Callable[[str], str] = str,
    ) -> httpx.Response:  # fmt: skip
        """Send the offer, as a form with a session or as it is; take the answer if there is one."""
        sdp = change(await self.offer())
        url, keys = f"{self.server}/v1/realtime/calls{query}", KEY if headers is None else headers
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            if session is None:
                answer = await http.post(url, headers={**keys, "Content-Type": "application/sdp"}, content=sdp)
            else:
                parts = {"sdp": (None, sdp, "application/sdp"), "session": (None, json.dumps(session), "application/json")}
                answer = await http.post(url, headers=keys, files=parts)
        if answer.status_code == 201:
            self.location = answer.headers["location"]
            await self.take(answer.text)
        return answer

    async def dial_live(
        self, session: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None, channel: str | None = "oai-events"
    ) -> httpx.Response:
        """Create a Live session; take the answer if there is one."""
        offer = {"type": "webrtc", "sdp": await self.offer(channel=channel)}
        body = {"session": {"model": "gpt-live-1", **(session or {})}, "transport": offer}
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            answer = await http.post(f"{self.server}/v1/live/sessions", headers=headers or {}, json=body)
        if answer.status_code == 201:
            self.location = f"/v1/live/sessions/{answer.json()['session']['id']}"
            await self.take(answer.json()["transport"]["sdp"])
        return answer

    async def take(self, sdp: str) -> None:
        """Take the answer of the server."""
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    def send(self, kind: str, **fields: Any) -> None:
        assert self.channel is not None
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str, *, count: int = 1) -> dict[str, Any]:
        """Wait for the event number `count` of a type."""
        await eventually(lambda: len(self.all(kind)) >= count, why=lambda: [event["type"] for event in self.events])
        return self.all(kind)[count - 1]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def degrade(self, *, loss: float, swapped: float = 0.0, seed: int = 1) -> None:
        """Lose a share of the sent audio packets, and send a share of them after the next two."""
        (sender,) = self.pc.getSenders()
        transport, chance = sender.transport, random.Random(seed)
        send = transport._send_rtp
        held: list[tuple[int, bytes]] = []

        async def send_badly(data: bytes) -> None:
            if not 192 <= data[1] <= 223:  # else it is RTCP
                held[:] = [(left - 1, packet) for left, packet in held]
                if chance.random() < loss:
                    data = b""
                elif chance.random() < swapped:
                    held.append((2, data))
                    data = b""
            if data:
                await send(data)
            while held and held[0][0] <= 0:
                await send(held.pop(0)[1])

        transport._send_rtp = send_badly

    @property
    def is_silent(self) -> bool:
        """Whether the last 100 ms that were heard are silence."""
        return len(self.heard) >= 5 and max(abs(part).max() for part in self.heard[-5:]) < 0.01

    def text(self, side: str) -> str:
        """The transcript of a side of a Live session so far."""
        return "".join(event["delta"] for event in self.all(f"session.{side}_transcript.delta"))

    @property
    def audio(self) -> Audio:
        """Everything that was heard so far."""
        return concat([Audio(part, RATE) for part in self.heard], RATE)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        await self.pc.close()

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.heard.append(frame.to_ndarray().reshape(-1, 2)[:, 0].astype(np.float32) / 32_768)


@asynccontextmanager
async def calling(server: str, session: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Caller]:
    """A call whose session has begun."""
    caller = Caller(server)
    try:
        answer = await caller.dial(session, **options)
        assert answer.status_code == 201, answer.text
        await caller.until("session.created")
        yield caller
    finally:
        await caller.close()


@asynccontextmanager
async def living(server: str, session: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Caller]:
    """A call whose Live session has begun."""
    caller = Caller(server)
    try:
        answer = await caller.dial_live(session, **options)
        assert answer.status_code == 201, answer.text
        await caller.until("session.started")
        yield caller
    finally:
        await caller.close()
