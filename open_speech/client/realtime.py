"""A session of the Realtime API on an event loop: audio in, transcripts and speech out, through callbacks."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from websockets.asyncio.client import ClientConnection

from open_speech.client.bodies import Event
from open_speech.client.endpoint import Endpoint
from open_speech.client.errors import APIError, ConnectionFailed, OpenSpeechError, TimedOut, from_event
from open_speech.client.pending import PendingWork
from open_speech.client.sockets import connected, message, translated

log = logging.getLogger("open_speech.client")

PATH = "/v1/realtime"
DEFAULT_MODEL = "gpt-realtime"
PCM_RATE = 24_000
PART_BYTES = 1 << 20
"""Maximum bytes of audio in one event; the server accepts 15 MiB."""
HANDSHAKE_S = 30.0
"""Longest wait in seconds for the first answers of the server."""
CLOSE_S = 30.0

Kind = Literal["transcript", "vad", "audio", "error", "event"]
F = TypeVar("F", bound=Callable[..., object])


class RealtimeOptions(TypedDict, total=False):
    """Options of a Realtime session."""

    model: str
    """A language model, or a text-to-speech model whose voices are used; the server's own when omitted."""
    transcription_model: str | None
    """The model that transcribes the input; None disables transcription."""
    language: str
    voice: str
    speed: float
    sample_rate: int
    """Hertz of the audio in both directions, 8000 to 48000; 24000 when omitted."""
    turn_detection: Mapping[str, Any] | None
    """How the server detects turns; None leaves the turns to `commit`."""
    respond: bool
    """Whether the language model of the server answers each turn."""
    instructions: str
    """Instructions for the language model."""


class AsyncRealtimeSession:
    """One session. Callbacks are functions or coroutine functions; they are called one at a time, in the order of the events.

    The conversation is state of the connection, so a lost connection ends the session: `on_error` receives ConnectionFailed.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._callbacks: dict[Kind, list[Callable[..., object]]] = {}
        self._pending = PendingWork()
        self._changed = asyncio.Event()
        self._closing = False
        self._reading: asyncio.Task[None] | None = None
        self._numbers = 0

    @classmethod
    async def open(cls, endpoint: Endpoint, **options: Unpack[RealtimeOptions]) -> AsyncRealtimeSession:
        """Connect and configure a session. Raises ConnectionFailed, or APIError for invalid options."""
        socket = await connected(endpoint, PATH, {"model": options.get("model", DEFAULT_MODEL)})
        session = cls(socket)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await session._expect("session.created")
                await session.send({"type": "session.update", "session": configuration(options)})
                await session._expect("session.updated")
        except TimeoutError:
            await socket.close()
            raise TimedOut("The server did not begin the session in time.") from None
        except BaseException:
            await socket.close()
            raise
        session._reading = asyncio.create_task(session._read())
        return session

    def on_transcript(self, callback: F) -> F:
        """Call a function with each completed transcript: an event with `item_id` and `transcript`."""
        return self._on("transcript", callback)

    def on_vad(self, callback: F) -> F:
        """Call a function when the server detects the start or the end of speech."""
        return self._on("vad", callback)

    def on_audio(self, callback: F) -> F:
        """Call a function with the next bytes of speech: 16-bit mono PCM in the sample rate of the session."""
        return self._on("audio", callback)

    def on_error(self, callback: F) -> F:
        """Call a function with each error: APIError, or ConnectionFailed when the connection is lost."""
        return self._on("error", callback)

    def on_event(self, callback: F) -> F:
        """Call a function with every event of the server."""
        return self._on("event", callback)

    async def send_audio(self, pcm: bytes) -> None:
        """Append 16-bit mono PCM in the sample rate of the session. Raises ConnectionFailed."""
        for start in range(0, len(pcm), PART_BYTES):
            audio = base64.b64encode(pcm[start : start + PART_BYTES]).decode()
            await self.send({"type": "input_audio_buffer.append", "audio": audio})

    async def commit(self) -> None:
        """End the turn: the audio so far is transcribed. Raises ConnectionFailed."""
        await self.send({"type": "input_audio_buffer.commit"})

    async def create_response(self, text: str | None = None, *, voice: str | None = None, instructions: str | None = None) -> None:
        """Speak a text word for word, or without one let the language model of the server answer. Raises ConnectionFailed."""
        await self.send({"type": "response.create", "response": response(text, voice, instructions)})

    async def cancel_response(self) -> None:
        """Stop the response in progress: no more audio of it is received. Raises ConnectionFailed."""
        await self.send({"type": "response.cancel"})

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send any event of the Realtime API. Raises ConnectionFailed."""
        self._numbers += 1
        numbered = {"event_id": f"client_{self._numbers}", **event}
        self._pending.sent(numbered)
        with translated():
            await self._socket.send(json.dumps(numbered))

    async def close(self, wait_s: float = CLOSE_S) -> None:
        """Close the session; first wait up to `wait_s` seconds for the transcripts and responses that were requested. 0: close at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self._pending.is_open and self._reading is not None and not self._reading.done():
                    self._changed.clear()
                    await self._changed.wait()
        self._closing = True
        await self._socket.close()
        if self._reading is not None and self._reading is not asyncio.current_task():
            await asyncio.gather(self._reading, return_exceptions=True)

    async def __aenter__(self) -> AsyncRealtimeSession:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close(0.0 if raised[0] is not None else CLOSE_S)

    def _on(self, kind: Kind, callback: F) -> F:
        self._callbacks.setdefault(kind, []).append(callback)
        return callback

    async def _expect(self, name: str) -> None:
        while True:
            with translated():
                event = message(await self._socket.recv())
            if event.get("type") == "error":
                raise from_event(event)
            if event.get("type") == name:
                return

    async def _read(self) -> None:
        """Pass all events to the callbacks, until the connection ends. An error of a callback ends the session and is logged."""
        try:
            with translated():
                async for data in self._socket:
                    event = message(data)
                    self._pending.received(event)
                    await self._dispatch(event)
                    self._changed.set()
            if not self._closing:
                raise ConnectionFailed("The server closed the session.")
        except OpenSpeechError as error:
            if not self._closing:
                await self._call("error", error)
        except Exception:
            log.exception("a callback of a Realtime session failed: the session ends")
            raise
        finally:
            self._changed.set()
            await self._socket.close()

    async def _dispatch(self, event: Event) -> None:
        await self._call("event", event)
        match event.get("type"):
            case "conversation.item.input_audio_transcription.completed":
                await self._call("transcript", event)
            case "input_audio_buffer.speech_started" | "input_audio_buffer.speech_stopped":
                await self._call("vad", event)
            case "response.output_audio.delta":
                await self._call("audio", base64.b64decode(event["delta"]))
            case "error" | "conversation.item.input_audio_transcription.failed":
                await self._call("error", from_event(event))
            case "response.done" if event["response"].get("status") == "failed":
                await self._call("error", failed(event["response"]))

    async def _call(self, kind: Kind, value: Event | bytes | OpenSpeechError) -> None:
        if kind == "error" and not self._callbacks.get("error"):
            log.warning("%s", value)
        for callback in self._callbacks.get(kind, []):
            result = callback(value)
            if isawaitable(result):
                await result


def configuration(options: RealtimeOptions) -> dict[str, Any]:
    """Return the session in the form of the API."""
    audio = {"type": "audio/pcm", "rate": options.get("sample_rate", PCM_RATE)}
    model = options.get("transcription_model", "whisper-1")
    transcription = None if model is None else {"model": model, **({"language": options["language"]} if "language" in options else {})}
    turns = options.get("turn_detection", {"type": "server_vad"})
    answers = options.get("respond", False)
    return {
        "type": "realtime",
        **({"instructions": options["instructions"]} if "instructions" in options else {}),
        "audio": {
            "input": {
                "format": audio,
                "transcription": transcription,
                "turn_detection": None if turns is None else {"create_response": answers, **turns},
            },
            "output": {"format": audio, **{name: options[name] for name in ("voice", "speed") if name in options}},
        },
    }


def response(text: str | None, voice: str | None, instructions: str | None) -> dict[str, Any]:
    """Return a response in the form of the API. A text is spoken as it is, and not part of the conversation."""
    given: dict[str, Any] = {"audio": {"output": {"voice": voice}}} if voice else {}
    if instructions is not None:
        given["instructions"] = instructions
    if text is not None:
        content = [{"type": "input_text", "text": text}]
        given |= {"conversation": "none", "tool_choice": "none", "input": [{"type": "message", "role": "user", "content": content}]}
    return given


def failed(answer: Mapping[str, Any]) -> APIError:
    """Return the error of a response that failed."""
    details = answer.get("status_details") or {}
    return from_event(details if isinstance(details, dict) else {})
