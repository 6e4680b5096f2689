from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeVoice

from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.service import Service
from open_speech.security.network import networks
from tests.waiting import PATIENCE_S, eventually

LONG = " ".join(f"This is sentence number {number}, and it is long enough to be a piece of its own." for number in range(200))
SPOKEN = 200
"""Pieces of LONG, at least."""


def run(work: Coroutine[Any, Any, None], within_s: float = PATIENCE_S) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(within_s):
            await work

    asyncio.run(bounded())


class Client:
    """A connection whose bytes the test writes itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def say(self, *events: Any) -> None:
        for event in events:
            await async_write_event(event if isinstance(event, Event) else event.event(), self.writer)

    async def read(self) -> Event | None:
        return await async_read_event(self.reader)

    async def rest(self) -> list[str]:
        """The types of all events up to the end of the connection."""
        types = []
        while (event := await self.read()) is not None:
            types.append(event.type)
        return types

    async def leave(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def told_off(client: Client) -> str:
    """Read an error, and the end of the connection after it; gives the error's text."""
    event = await client.read()
    assert event is not None
    assert event.type == "error"
    assert await client.read() is None
    await client.leave()
    return str(event.data["text"])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\n",
        b"[]\n",
        b'{"type": "synthesize"}\n',
        b'{"type": "transcribe", "data": {"name": 5}}\n',
        b'{"type": "ping", "payload_length": 1000000000000}\n',
        b'{"type": "x", "data": "' + b"y" * 10_000_000 + b'"}\n',
    ],
    ids=["http", "tls", "no-object", "missing-field", "wrong-field", "endless-payload", "10-MB-line"],
)
def test_garbage_is_answered_with_an_error_and_the_end(tones: Service, door: Callable[..., Any], data: bytes) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            client = await Client.at(port)
            client.writer.write(data)
            assert await told_off(client)

    run(scene())


def test_a_client_that_leaves_in_the_midst_of_a_header_is_let_go(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        admission = ConnectionLimit(slots=1)
        async with door(tones, admission) as port:
            client = await Client.at(port)
            client.writer.write(b'{"type": "pi')
            client.writer.write_eof()
            assert "middle" in await told_off(client)
            await answers(port)

    run(scene())


async def answers(port: int) -> None:
    client = await Client.at(port)
    await client.say(Ping("still there?"))
    event = await client.read()
    assert event is not None
    assert event.data["text"] == "still there?"
    await client.leave()


async def has_a_seat(port: int) -> bool:
    client = await Client.at(port)
    await client.say(Ping("mine?"))
    event = await client.read()
    await client.leave()
    return event is not None and event.type == "pong"


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([Synthesize("Hello.", SynthesizeVoice("nobody"))], "voice: "),
        ([Synthesize("Hello.", text_format="html")], "text_format: "),
        ([Synthesize("<speak>Hello", text_format="ssml")], "input: "),
        ([Synthesize("Hello.", SynthesizeVoice(language="sw"))], "language: "),
        ([Synthesize("word " * 10_000)], "input: "),
        ([SynthesizeStart(SynthesizeVoice("nobody")), SynthesizeChunk("A first sentence that is spoken. And")], "voice: "),
        ([Transcribe(name="nothing"), AudioStart(16_000, 2, 1)], "model: "),
        ([Transcribe(language="de"), AudioStart(16_000, 2, 1), AudioStop()], "language: "),
        ([Transcribe(), AudioChunk(16_000, 2, 1, b"12")], "type: "),
    ],
    ids=["voice", "format", "ssml", "language", "50000-characters", "streamed-voice", "model", "spoken-language", "no-audio-start"],
)
def test_what_cannot_be_done_is_said_and_ends_the_connection(
    tones: Service, door: Callable[..., Any], events: list[Any], said: str
) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            client = await Client.at(port)
            await client.say(*events)
            assert (await told_off(client)).startswith(said)

    run(scene())


def test_too_much_sound_is_refused(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(replace(tones, rules=replace(tones.rules, longest_s=2))) as port:
            client = await Client.at(port)
            await client.say(AudioStart(16_000, 2, 1), *[AudioChunk(16_000, 2, 1, bytes(32_000))] * 4)
            assert "longer than" in await told_off(client)

    run(scene())


@pytest.mark.parametrize("spoken", [Synthesize("A sentence that will break."), Synthesize("One that is fine. " * 4 + "And one to break.")])
def test_a_speech_that_fails_ends_in_an_error(speaking: Service, door: Callable[..., Any], spoken: Synthesize) -> None:
    async def scene() -> None:
        async with door(speaking) as port:
            client = await Client.at(port)
            await client.say(spoken)
            assert (await client.rest())[-1] == "error"
            await client.leave()

    run(scene())


def test_a_client_that_does_not_read_is_not_spoken_to_and_one_that_leaves_ends_the_speech(
    speaking: Service, mouth: Any, door: Callable[..., Any]
) -> None:
    async def scene() -> None:
        async with door(speaking) as port:
            client = await Client.at(port)
            await client.say(Synthesize(LONG))
            made = -1
            while made != mouth.pieces:
                made = mouth.pieces
                await asyncio.sleep(0.5)
            assert 0 < made < SPOKEN / 2
            client.writer.transport.abort()
            await asyncio.sleep(0.5)
            left = mouth.pieces
            await asyncio.sleep(0.5)
            assert mouth.pieces == left < SPOKEN

    run(scene())


def test_a_client_that_only_asks_and_never_reads_is_read_no_further(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            client = await Client.at(port)
            ping = Ping("x" * 50_000)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    for _ in range(4000):  # 200 MB
                        await client.say(ping)
            client.writer.transport.abort()
            await answers(port)

    run(scene())


def test_a_description_does_not_wait_for_other_connections(speaking: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(speaking) as port:
            clients = [await Client.at(port) for _ in range(5)]
            for client in clients:
                await client.say(Synthesize("hang"))
            asking = await Client.at(port)
            await asking.say(Describe())
            event = await asking.read()
            assert event is not None
            assert event.type == "info"
            for client in (*clients, asking):
                client.writer.transport.abort()

    run(scene())


def test_events_are_answered_in_their_order(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            client = await Client.at(port)
            await client.say(Synthesize("One."), Describe(), Ping("a"), Event("unknown"), Ping("b"))
            client.writer.write_eof()  # who has nothing more to say still gets all its answers
            types = [kind for kind in await client.rest() if kind != "audio-chunk"]
            assert types == ["audio-start", "audio-stop", "info", "pong", "pong"]
            await client.leave()

    run(scene())


def test_a_client_that_leaves_without_hearing_what_was_wrong_leaves_no_trace(
    tones: Service, door: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            before = len(asyncio.all_tasks())
            for _ in range(20):
                client = await Client.at(port)
                await client.say(Synthesize("One. " * 50), AudioStop())
                client.writer.write(b"garbage\n")
                await client.writer.drain()
                client.writer.transport.abort()
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.02)

    with caplog.at_level(logging.WARNING):
        run(scene())
    assert caplog.records == []


@pytest.mark.parametrize("begun", [None, AudioStart(16_000, 2, 1), SynthesizeStart()], ids=["nothing", "sound", "text"])
def test_a_connection_on_which_nothing_happens_is_closed(tones: Service, door: Callable[..., Any], begun: Any) -> None:
    async def scene() -> None:
        async with door(tones, idle_s=1) as port:
            client = await Client.at(port)
            if begun is not None:
                await client.say(begun)
            assert await client.rest() == (["error"] if begun is not None else [])
            await client.leave()

    run(scene())


def test_a_client_that_leaves_before_its_answer_leaves_no_trace(
    tones: Service, door: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with door(tones, ConnectionLimit(slots=1)) as port:
            before = len(asyncio.all_tasks())
            for _ in range(5):
                client = await Client.at(port)
                await client.say(Transcribe(), AudioStart(16_000, 2, 1), AudioChunk(16_000, 2, 1, bytes(64_000)), AudioStop())
                client.writer.transport.abort()
                while len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0.02)
            await answers(port)

    with caplog.at_level(logging.WARNING):
        run(scene())
    assert caplog.records == []


def test_a_client_beyond_the_last_seat_is_told(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones, ConnectionLimit(slots=1)) as port:
            first = await Client.at(port)
            await first.say(Ping())
            await first.read()
            assert "OS_WYOMING_MAX_CONNECTIONS" in await told_off(await Client.at(port))
            await first.leave()
            await eventually(lambda: has_a_seat(port))

    run(scene())


def test_a_client_from_elsewhere_is_told(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones, ConnectionLimit(networks(["192.0.2.0/24"]))) as port:
            assert "OS_WYOMING_ALLOWED_HOSTS" in await told_off(await Client.at(port))

    run(scene())


def test_a_chunk_of_sound_may_be_cut_anywhere_and_be_large(tones: Service, door: Callable[..., Any]) -> None:
    async def scene() -> None:
        async with door(tones) as port:
            client = await Client.at(port)
            await client.say(Synthesize("Sound in pieces of any length."))
            pcm = b""
            while (event := await client.read()) is not None and event.type != "audio-stop":
                pcm += event.payload or b""
            stereo = b"".join(pcm[at : at + 2] * 2 for at in range(0, len(pcm), 2))
            for cuts in ([len(stereo)], [4001] * (len(stereo) // 4001 + 1)):
                await client.say(AudioStart(24_000, 2, 2))
                at = 0
                for cut in cuts:
                    await client.say(AudioChunk(24_000, 2, 2, stereo[at : at + cut]))
                    at += cut
                await client.say(AudioStop())
                event = await client.read()
                while event is not None and event.type != "transcript":
                    event = await client.read()
                assert event is not None
                assert event.data["text"] == "Sound in pieces of any length."
                assert json.dumps(await stop_of(client)) == "{}"
            await client.leave()

    run(scene())


async def stop_of(client: Client) -> dict[str, Any]:
    event = await client.read()
    assert event is not None
    assert event.type == "transcript-stop"
    return event.data
