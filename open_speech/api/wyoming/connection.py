"""One connection of a Wyoming client: reads events, performs what the session decides, and tells it what came of it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from wyoming.asr import Transcribe
from wyoming.error import Error
from wyoming.event import Event
from wyoming.server import AsyncEventHandler
from wyoming.tts import Synthesize, SynthesizeStart

from open_speech import logs
from open_speech.api.wyoming import messages
from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.effects import Began, Close, Effect, Failed, Hear, Listen, Report, Say, Send, Sounded, Speak, Spoken, Tell
from open_speech.api.wyoming.framing import read_event, written
from open_speech.api.wyoming.pcm import PcmFormat, PcmReader
from open_speech.api.wyoming.service import Service
from open_speech.api.wyoming.session import Session
from open_speech.api.wyoming.transcription import Transcription
from open_speech.audio import Audio, to_pcm16
from open_speech.concurrency.task_group import Tasks
from open_speech.errors import BackendFailed, NothingToSpeak, SpeechError
from open_speech.metrics.labels import WYOMING
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.text.fragments import Fragments

log = logging.getLogger("open_speech.wyoming")
access = logging.getLogger("open_speech.access")

STALLED_S = 60.0
"""Seconds a client may stop reading while there is something to read."""
LINGER_S, LINGER_BYTES = 2.0, 32 << 20
"""How long, and how much, is still read from a client after the last event to it: closed at once, it might never see that event."""
WAITING_CHUNKS = 16
"""Chunks of sound that may wait; no more is read until they were taken."""
FRAME_S = 0.5
"""Seconds of sound written before it is looked whether the client reads."""
LARGE_BYTES = 1 << 18
"""Chunks of this size are decoded off the event loop."""


class Connection(AsyncEventHandler):
    """A connection from its first event to its last.

    The reader, the transcription and the speech are tasks of one event loop, so each of them may call the session and write: nothing waits
    between two parts of an event.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        admission: ConnectionLimit,
        service: Service,
        after: Callable[[], None] | None = None,
    ) -> None:
        """`after` is called when the connection has ended."""
        super().__init__(reader, writer)
        self._after = after
        self._admission = admission
        self._service = service
        self._ears = SessionRecognizer(service.engine.recognition.recognizer)
        self._session = Session()
        self.over = asyncio.Event()
        """Set when nothing of it is left."""
        self._sent = 0
        self._telling = False
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._fragments = Fragments()
        self._tasks = Tasks()

    async def run(self) -> None:
        """Serve until one side closes the connection; nothing that was begun here outlives it."""
        meter = self._service.engine.meter
        with (
            logs.on(logs.RequestContext(f"wyoming_{uuid.uuid4().hex}", WYOMING, failed=partial(meter.failed, WYOMING))),
            meter.session(WYOMING),
        ):
            since = time.perf_counter()
            await self._run()
            access.info("%s WYOMING %d ms", _address(self.writer) or "-", int((time.perf_counter() - since) * 1000))

    async def _run(self) -> None:
        try:
            with self._admission.admitted(_address(self.writer)):
                self._tasks.begin(self._watch())
                await self._read()
        except SpeechError as refusal:
            self._perform(self._session.misread(refusal))
        except OSError:  # the client is gone, or reads nothing
            self.writer.transport.abort()
        except Exception:  # noqa: BLE001 - the boundary of this connection: no other may suffer from it
            log.exception("a connection failed")
        finally:
            await self._tasks.end()
            with suppress(OSError):
                await self._linger()
            self.writer.close()
            self.over.set()
            if self._after is not None:
                self._after()

    async def handle_event(self, event: Event) -> bool:
        """Take one event of the client; False when the connection is to be closed."""
        try:
            asked = messages.parse(event)
        except SpeechError as error:
            self._perform(self._session.misread(error))
        else:
            if asked is not None:
                self._perform(self._session.receive(asked))
        return not self._closing.is_set()

    async def stop(self) -> None:
        """End the connection: the server is told to stop."""
        self._perform([Close()])
        await super().stop()

    async def _read(self) -> None:
        while not self._closing.is_set():
            await self._calm()
            try:
                event = await self._next()
            except SpeechError as error:
                self._perform(self._session.misread(error))
            else:
                if event is None or not await self.handle_event(event):
                    return

    async def _watch(self) -> None:
        """End the connection when it was reset: while an answer is owed nothing is read, so nothing else would notice."""
        try:
            with suppress(OSError):
                await self.writer.wait_closed()
        except NotImplementedError:  # a pipe
            return
        self._perform([Close()])

    async def _next(self) -> Event | None:
        """Wait for an event; None at the end of the connection, whichever side wants it."""
        reading = asyncio.ensure_future(read_event(self.reader))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while not reading.done() and not self._closing.is_set():
                sent = self._sent
                await asyncio.wait({reading, closing}, timeout=self._service.rules.idle_s, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() and self._sent == sent:
                    self._perform(self._session.idle())
            return reading.result() if reading.done() and not self._closing.is_set() else None
        finally:
            reading.cancel()
            closing.cancel()
            await asyncio.wait({reading, closing})  # only one may read at a time

    async def _calm(self) -> None:
        """Wait until the session takes another event, and the client has read what was sent: so nothing piles up here."""
        while not self._closing.is_set() and (self._session.is_busy or self._telling or self._sound.qsize() >= WAITING_CHUNKS):
            self._changed.clear()
            await self._changed.wait()
        await self._drain()

    async def _drain(self) -> None:
        async with asyncio.timeout(STALLED_S):
            await self.writer.drain()

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(event):
                    if Error.is_type(event.type):
                        logs.note_error(event.data.get("code"))
                    self._write(event)
                case Tell():
                    self._telling = True
                    self._begin(self._tell())
                case Listen(form, asked):
                    self._sound = asyncio.Queue()
                    self._begin(self._listen(form, asked, self._sound))
                case Hear(data):
                    self._sound.put_nowait(data)
                case Speak(asked):
                    self._fragments = Fragments()
                    self._begin(self._speak(asked, self._fragments))
                case Say(text):
                    self._fragments.put(text) if text is not None else self._fragments.end()
                case Close():
                    self._closing.set()
        self._changed.set()

    def _write(self, event: Event) -> None:
        if not self.writer.is_closing():
            self.writer.write(written(event))
        self._sent += 1

    async def _tell(self) -> None:
        try:
            info = await asyncio.to_thread(self._service.offer.info)
            self._write(info.event())
        finally:
            self._telling = False
            self._changed.set()

    async def _listen(self, form: PcmFormat, asked: Transcribe, sound: asyncio.Queue[bytes | None]) -> None:
        listening: Transcription | None = None
        try:
            listening = await self._service.listening(asked, self._report, self._ears)
            reader = PcmReader(form)
            while (data := await sound.get()) is not None:
                self._changed.set()
                await listening.hear(await asyncio.to_thread(reader.feed, data) if len(data) > LARGE_BYTES else reader.feed(data))
            self._report(await listening.finish())
        except SpeechError as error:
            self._report(Failed(error))
        finally:
            if listening is not None:
                listening.cancel()

    async def _speak(self, asked: Synthesize | SynthesizeStart, fragments: Fragments) -> None:
        try:
            speech = await self._service.speech(asked, fragments)
            async with aclosing(speech):
                self._report(Began(speech.rate))
                async for audio in speech:
                    await self._sound_out(audio)
            self._report(Spoken())
        except NothingToSpeak:  # a language model may well answer with an emoji: that is no failure
            self._report(Spoken())
        except SpeechError as error:
            self._report(Failed(error))

    async def _sound_out(self, audio: Audio) -> None:
        """Write sound no faster than the client reads it."""
        step = round(FRAME_S * audio.rate)
        for at in range(0, len(audio.samples), step):
            self._report(Sounded(to_pcm16(Audio(audio.samples[at : at + step], audio.rate))))
            await self._drain()

    def _report(self, report: Report) -> None:
        self._perform(self._session.report(report))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.begin(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (ConnectionError, TimeoutError):  # the client is gone, or reads nothing
            self.writer.transport.abort()
            self._perform([Close()])
        except Exception:  # noqa: BLE001 - the boundary of this request: nothing but an event may reach the client
            log.exception("a request failed")
            self._report(Failed(BackendFailed("The request could not be completed.")))

    async def _linger(self) -> None:
        """See to it that the last event reaches a client that is still sending."""
        await self._drain()
        if self.writer.is_closing() or not self._closing.is_set() or not self.writer.can_write_eof():
            return
        self.writer.write_eof()
        left = LINGER_BYTES
        async with asyncio.timeout(LINGER_S):
            while left > 0 and (data := await self.reader.read(1 << 16)):
                left -= len(data)


def _address(writer: asyncio.StreamWriter) -> str | None:
    """Tell where a client is; None for one at a Unix socket or a pipe."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else None
