"""One connection of a Wyoming client: reads events, performs the effects of the session, and reports the results to it."""

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
from open_speech.api.wyoming.effects import (
    AppendAudio,
    AppendText,
    BeginTranscription,
    Close,
    Effect,
    Failed,
    Report,
    Send,
    SendInfo,
    Speak,
    SpeechAudio,
    SpeechBegan,
    SpeechDone,
)
from open_speech.api.wyoming.framing import read_event, to_bytes
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
"""Seconds for which a client may stop reading while there is something to read."""
LINGER_S, LINGER_BYTES = 2.0, 32 << 20
"""Seconds and bytes that are still read from a client after the last event to it. An immediate close could lose that event."""
WAITING_CHUNKS = 16
"""Maximum chunks of audio that wait; no more is read until they are processed."""
FRAME_S = 0.5
"""Seconds of audio that are written between two waits for the client to read."""
LARGE_BYTES = 1 << 18
"""Larger chunks, in bytes, are decoded off the event loop."""


class Connection(AsyncEventHandler):
    """A connection, from its first event to its last.

    The reader, the transcription and the speech are tasks of one event loop, so each of them may call the session and write: no task switch
    occurs within an event.
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
        self._recognizers = SessionRecognizer(service.engine.recognition.recognizer)
        self._session = Session()
        self.ended = asyncio.Event()
        """Set when the connection has ended, with all its tasks."""
        self._sent = 0
        self._sending_info = False
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._fragments = Fragments()
        self._tasks = Tasks()

    async def run(self) -> None:
        """Serve until one side closes the connection; all tasks that were started here end with it."""
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
            self._perform(self._session.invalid_event(refusal))
        except OSError:  # the client has disconnected, or does not read
            self.writer.transport.abort()
        except Exception:  # noqa: BLE001 - the boundary of this connection: an error must not affect other connections
            log.exception("a connection failed")
        finally:
            await self._tasks.end()
            with suppress(OSError):
                await self._linger()
            self.writer.close()
            self.ended.set()
            if self._after is not None:
                self._after()

    async def handle_event(self, event: Event) -> bool:
        """Handle one event of the client; return False when the connection is to be closed."""
        try:
            request = messages.parse(event)
        except SpeechError as error:
            self._perform(self._session.invalid_event(error))
        else:
            if request is not None:
                self._perform(self._session.receive(request))
        return not self._closing.is_set()

    async def stop(self) -> None:
        """End the connection because the server stops."""
        self._perform([Close()])
        await super().stop()

    async def _read(self) -> None:
        while not self._closing.is_set():
            await self._wait_until_ready()
            try:
                event = await self._next()
            except SpeechError as error:
                self._perform(self._session.invalid_event(error))
            else:
                if event is None or not await self.handle_event(event):
                    return

    async def _watch(self) -> None:
        """End the connection when it was reset. While a response is pending nothing is read, so no other task would notice."""
        try:
            with suppress(OSError):
                await self.writer.wait_closed()
        except NotImplementedError:  # a pipe
            return
        self._perform([Close()])

    async def _next(self) -> Event | None:
        """Wait for an event; None when either side ends the connection."""
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

    async def _wait_until_ready(self) -> None:
        """Wait until the session accepts another event and the client has read what was sent, so that nothing accumulates here."""
        while not self._closing.is_set() and (self._session.is_busy or self._sending_info or self._audio.qsize() >= WAITING_CHUNKS):
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
                case SendInfo():
                    self._sending_info = True
                    self._begin(self._send_info())
                case BeginTranscription(form, request):
                    self._audio = asyncio.Queue()
                    self._begin(self._transcribe(form, request, self._audio))
                case AppendAudio(data):
                    self._audio.put_nowait(data)
                case Speak(request):
                    self._fragments = Fragments()
                    self._begin(self._speak(request, self._fragments))
                case AppendText(text):
                    self._fragments.put(text) if text is not None else self._fragments.end()
                case Close():
                    self._closing.set()
        self._changed.set()

    def _write(self, event: Event) -> None:
        if not self.writer.is_closing():
            self.writer.write(to_bytes(event))
        self._sent += 1

    async def _send_info(self) -> None:
        try:
            info = await asyncio.to_thread(self._service.offer.info)
            self._write(info.event())
        finally:
            self._sending_info = False
            self._changed.set()

    async def _transcribe(self, form: PcmFormat, request: Transcribe, chunks: asyncio.Queue[bytes | None]) -> None:
        transcription: Transcription | None = None
        try:
            transcription = await self._service.transcription(request, self._report, self._recognizers)
            reader = PcmReader(form)
            while (data := await chunks.get()) is not None:
                self._changed.set()
                await transcription.feed(await asyncio.to_thread(reader.feed, data) if len(data) > LARGE_BYTES else reader.feed(data))
            self._report(await transcription.finish())
        except SpeechError as error:
            self._report(Failed(error))
        finally:
            if transcription is not None:
                transcription.cancel()

    async def _speak(self, request: Synthesize | SynthesizeStart, fragments: Fragments) -> None:
        try:
            speech = await self._service.speech(request, fragments)
            async with aclosing(speech):
                self._report(SpeechBegan(speech.rate))
                async for audio in speech:
                    await self._send_audio(audio)
            self._report(SpeechDone())
        except NothingToSpeak:  # a language model may answer with an emoji: that is not a failure
            self._report(SpeechDone())
        except SpeechError as error:
            self._report(Failed(error))

    async def _send_audio(self, audio: Audio) -> None:
        """Write audio no faster than the client reads it."""
        step = round(FRAME_S * audio.rate)
        for at in range(0, len(audio.samples), step):
            self._report(SpeechAudio(to_pcm16(Audio(audio.samples[at : at + step], audio.rate))))
            await self._drain()

    def _report(self, report: Report) -> None:
        self._perform(self._session.report(report))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.begin(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (ConnectionError, TimeoutError):  # the client has disconnected, or does not read
            self.writer.transport.abort()
            self._perform([Close()])
        except Exception:  # noqa: BLE001 - the boundary of this request: nothing but an event may reach the client
            log.exception("a request failed")
            self._report(Failed(BackendFailed("The request could not be completed.")))

    async def _linger(self) -> None:
        """Make sure that the last event reaches a client that is still sending."""
        await self._drain()
        if self.writer.is_closing() or not self._closing.is_set() or not self.writer.can_write_eof():
            return
        self.writer.write_eof()
        remaining = LINGER_BYTES
        async with asyncio.timeout(LINGER_S):
            while remaining > 0 and (data := await self.reader.read(1 << 16)):
                remaining -= len(data)


def _address(writer: asyncio.StreamWriter) -> str | None:
    """Return the address of a client; None for one at a Unix socket or a pipe."""
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else None
