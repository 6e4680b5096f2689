"""The contenders of the evaluation: a Realtime session of this server, and pipecat's pipeline in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.dialogue.configurations import Configuration
from benchmarks.dialogue.values import What
from benchmarks.peers import environment
from benchmarks.served import Served
from open_speech.audio import Audio, to_pcm16

STT, TTS = "Systran/faster-whisper-base", "piper/en_US-joe-medium"
PIPECAT = "pipecat-ai[silero,openai]==1.14.0"
SCRIPT = Path(__file__).with_name("pipecat_process.py")
BYTES_PER_S = 48_000
"""Of the audio of an answer: 16-bit samples at 24 kHz."""
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Raw:
    """An event with its time of `time.perf_counter`."""

    what: What
    at: float
    text: str = ""
    seconds: float = 0.0


class Contender(Protocol):
    """Something to talk to, in real time."""

    rate: int
    """Sample rate of the audio that it takes, in Hertz."""
    log: Log

    async def send(self, audio: Audio) -> None:
        """Send the next audio of the user."""
        ...


@dataclass
class Log:
    """What a contender has done so far, and the playback of its answers."""

    events: list[Raw] = field(default_factory=list)
    is_active: bool = False
    """Whether an answer is being generated."""
    playing_until: float = 0.0

    def add(self, what: What, text: str = "", seconds: float = 0.0) -> None:
        """Add an event that happens now."""
        now = time.perf_counter()
        self.events.append(Raw(what, now, text, seconds))
        match what:
            case "sound":
                self.playing_until = max(self.playing_until, now) + seconds
            case "stopped":
                self.playing_until = now
            case _:
                pass

    @property
    def is_playing(self) -> bool:
        """Whether the user hears an answer."""
        return time.perf_counter() < self.playing_until


class RealtimeContender:
    """A session of the Realtime API, with a usual client: the playback stops when the response is cancelled, or when the user speaks."""

    rate = 24_000

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.log = Log()

    async def send(self, audio: Audio) -> None:
        await self.event("input_audio_buffer.append", audio=base64.b64encode(to_pcm16(audio)).decode())

    async def event(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        """Receive an event. Raises AssertionError for an error of the server."""
        event: dict[str, Any] = json.loads(await self._socket.recv())
        assert event["type"] != "error", event["error"]
        return event

    async def listen(self) -> None:
        """Log events until the connection is closed."""
        while True:
            self._take(await self.next())

    def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "input_audio_buffer.speech_started":
                if self.log.is_playing and not self.log.is_active:
                    self.log.add("stopped")
            case "input_audio_buffer.speech_stopped":
                self.log.add("turn end")
            case "conversation.item.input_audio_transcription.completed":
                self.log.add("text", event["transcript"])
            case "response.created":
                self.log.is_active = True
            case "response.output_audio.delta":
                self.log.add("sound", seconds=len(base64.b64decode(event["delta"])) / BYTES_PER_S)
            case "response.done":
                self.log.is_active = False
                self.log.add("stopped" if event["response"]["status"] == "cancelled" else "done")


@asynccontextmanager
async def realtime(served: Served, configuration: Configuration) -> AsyncIterator[RealtimeContender]:
    """Open a session with the turn detection of a configuration."""
    async with connect(f"ws{served.url.removeprefix('http')}/v1/realtime?model=gpt-realtime", max_size=None) as socket:
        contender = RealtimeContender(socket)
        audio = {
            "input": {"transcription": {"model": STT, "language": "en"}, "turn_detection": dict(configuration.detection)},
        }
        await contender.event("session.update", session={"type": "realtime", "audio": audio})
        while (await contender.next())["type"] != "session.updated":
            pass
        listening = asyncio.create_task(contender.listen())
        try:
            yield contender
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


class PipecatContender:
    """pipecat's pipeline of voice detection, smart-turn, and services that use the REST endpoints of this server."""

    rate = 16_000

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log = Log()
        self.ready = asyncio.Event()

    async def send(self, audio: Audio) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(base64.b64encode(to_pcm16(audio)) + b"\n")
        await self._process.stdin.drain()

    async def listen(self) -> None:
        """Log events until the process ends. Raises ChildProcessError then."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            match event["what"]:
                case "ready":
                    self.ready.set()
                case "active":
                    self.log.is_active = True
                case "done" | "stopped" as what:
                    self.log.is_active = False
                    self.log.add(what)
                case what:
                    self.log.add(what, event.get("text", ""), event.get("seconds", 0.0))
        raise ChildProcessError("pipecat has ended")


@asynccontextmanager
async def pipecat(served: Served, chat_url: str) -> AsyncIterator[PipecatContender]:
    """Run the pipeline in an environment of its own, which is created at the first run and kept.

    Raises CalledProcessError if it cannot be installed, TimeoutError if it does not start.
    """
    python = await asyncio.to_thread(environment, PIPECAT, "pipecat") / "python"
    command = [str(python), "-P", str(SCRIPT), served.base_url, chat_url, STT, TTS]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20)
    contender = PipecatContender(process)
    listening = asyncio.create_task(contender.listen())
    try:
        async with asyncio.timeout(READY_S):
            await asyncio.wait({listening, asyncio.create_task(contender.ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        yield contender
    finally:
        listening.cancel()
        process.kill()
        await process.wait()
        await asyncio.gather(listening, return_exceptions=True)
