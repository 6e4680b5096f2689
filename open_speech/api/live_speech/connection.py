"""One connection of live speech: performs the effects of the session, and reports the results to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from starlette.websockets import WebSocket

from open_speech.api.live_speech import messages
from open_speech.api.live_speech.messages import Config
from open_speech.api.live_speech.session import (
    AudioChunk,
    CueReached,
    Effect,
    Failed,
    Feed,
    Finish,
    Finished,
    Prepare,
    Report,
    Session,
    Start,
    Stop,
    Warned,
)
from open_speech.audio import Audio
from open_speech.codecs import PCM_RATE, encode_stream
from open_speech.concurrency.task_group import Tasks
from open_speech.engine import Engine
from open_speech.errors import BackendFailed, SpeechError
from open_speech.http.inbox import Inbox
from open_speech.http.send_queue import SendQueue
from open_speech.http.websockets import received, until_one_ends
from open_speech.http.ws_messages import Close, Send, SendAudio
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.text.fragments import Fragments
from open_speech.voices import VoiceOptions

log = logging.getLogger("open_speech.live_speech")

FRAME_BYTES = 32_768
"""Maximum bytes of an audio frame: a cancel drops whole frames only."""


class Connection:
    """A connection, from its first message to its last.

    The reader, the writer and the synthesis are tasks of one event loop, so each of them may call the session.
    """

    def __init__(self, socket: WebSocket, engine: Engine, *, idle_s: float) -> None:
        """The connection is closed after `idle_s` seconds without a message in either direction."""
        self._socket = socket
        self._engine = engine
        self._session = Session()
        self._outbox = SendQueue(_audio_group)
        self._fragments = Fragments()
        self._utterance: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._inbox = Inbox(socket)
        self._received = partial(received, self._inbox, self._outbox, idle_s, lambda: self._session.is_finishing, messages.MESSAGE_BYTES)

    async def run(self) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
        try:
            await until_one_ends(*map(self._tasks.begin, (self._inbox.fill(), self._read(), self._outbox.write(self._socket))))
        finally:
            await self._tasks.end()

    async def _read(self) -> None:
        """Handle messages until the client is idle for too long. The writer ends the session."""
        while (data := await self._received()) is not None:
            await self._outbox.calm()
            try:
                message = messages.parse(data if isinstance(data, str) else "")
            except SpeechError as error:
                self._perform(self._session.invalid_message(error))
            else:
                self._perform(self._session.receive(message))
        self._perform(self._session.idle())
        await asyncio.Event().wait()

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send() | SendAudio() | Close():
                    self._outbox.put(effect)
                case Prepare(config):
                    self._tasks.begin(self._prepare(config))
                case Start(number, config):
                    self._fragments = Fragments()
                    self._utterance = self._tasks.begin(self._speak(number, config, self._fragments))
                case Feed(text):
                    self._fragments.put(text)
                case Finish():
                    self._fragments.end()
                case Stop():
                    self._outbox.drop_sound()
                    if self._utterance is not None:
                        self._utterance.cancel()

    async def _prepare(self, config: Config) -> None:
        try:
            voice = await self._engine.voices.resolve(
                config.model, config.voice, VoiceOptions(), speed=config.speed, language=config.language
            )
        except SpeechError as error:
            self._perform(self._session.refused(error))
            return
        rate = config.sample_rate or (PCM_RATE if config.response_format == "pcm" else voice.model.sample_rate)
        self._perform(self._session.prepared(config, model=voice.model.id, voice=voice.voice, sample_rate=rate))

    async def _speak(self, number: int, config: Config, fragments: Fragments) -> None:
        try:
            request = SynthesisRequest(
                config.model, voice=config.voice, speed=config.speed, language=config.language, rate=config.sample_rate
            )
            speech = await self._engine.synthesis.speak_stream(request, fragments)
            async with aclosing(speech):
                seconds = await self._send(number, config, speech)
            self._report(Finished(number, seconds))
        except SpeechError as error:
            self._report(Failed(number, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an envelope may reach the client
            log.exception("a live speech session failed")
            self._report(Failed(number, BackendFailed("The speech could not be completed.")))

    async def _send(self, number: int, config: Config, speech: SpeechStream) -> float:
        """Encode speech and report it to the session frame by frame, no faster than the client reads; return its length in seconds."""
        seconds, warnings = 0.0, 0

        async def audio() -> AsyncGenerator[Audio, None]:
            nonlocal seconds, warnings
            async for item in narrated(speech):
                for message in speech.warnings[warnings:]:
                    self._report(Warned(number, message))
                warnings = len(speech.warnings)
                if isinstance(item, Cue):
                    self._report(CueReached(number, item))
                else:
                    seconds += item.seconds
                    yield item

        rate = config.sample_rate or PCM_RATE
        async with aclosing(encode_stream(audio(), config.response_format, speech.rate, pcm_rate=rate)) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), FRAME_BYTES):
                    await self._outbox.room()
                    self._report(AudioChunk(number, chunk[start : start + FRAME_BYTES]))
        for message in speech.warnings[warnings:]:
            self._report(Warned(number, message))
        return seconds

    def _report(self, report: Report) -> None:
        self._perform(self._session.report(report))


def _audio_group(message: Mapping[str, Any]) -> str | None:
    return "" if message["type"] == "audio" else None
