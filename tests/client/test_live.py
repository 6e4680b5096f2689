from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from open_speech.client import APIError, ConnectionFailed, OpenSpeechClient, Unauthorized
from tests.client.conftest import Relay
from tests.waiting import PATIENCE_S, eventually

RATE = 16_000
PART = 3_200
SILENCE = bytes(2 * 15 * RATE)
"""Longer than the silence that ends a window when voice activity detection is off."""
SENTENCES = ("One two three.", "Four five six.", "Seven eight nine.", "Ten eleven twelve.")


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["type"] == "transcript" and event["is_final"] and event["text"]]


async def parts(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), PART):
        yield audio[start : start + PART]


@pytest.fixture(scope="module")
def speech(pcm: Callable[[str], bytes]) -> list[bytes]:
    """Each of SENTENCES, with a silence after it."""
    return [pcm(text) + SILENCE for text in SENTENCES]


async def collected(client: OpenSpeechClient, audio: AsyncIterator[bytes], **options: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        return [event async for event in client.async_stream_transcribe(audio, vad=False, **options)]


def test_a_stream_yields_the_events_of_the_server(client: OpenSpeechClient, speech: list[bytes]) -> None:
    events = asyncio.run(collected(client, parts(b"".join(speech))))
    assert texts(events) == list(SENTENCES)
    assert [events[0]["type"], events[-1]["type"]] == ["session.begin", "session.end"]
    assert not [event for event in events if event["type"] == "progress" or "final_until" in event]


def test_the_same_without_an_event_loop(client: OpenSpeechClient, speech: list[bytes]) -> None:
    events = list(client.stream_transcribe(speech, vad=False, interim_results=False))
    assert texts(events) == list(SENTENCES)


@pytest.mark.parametrize("cut_before", [(1,), (2,), (1, 2, 3), (4,)])
def test_a_connection_that_is_cut_loses_no_text_and_repeats_none(
    relay: Relay, relayed: OpenSpeechClient, speech: list[bytes], cut_before: tuple[int, ...]
) -> None:
    """The cut comes in the middle of the next sentence, when the text of the one before has arrived, or (4) before the last text."""
    events: list[dict[str, Any]] = []

    async def audio() -> AsyncIterator[bytes]:
        for number, part in enumerate(speech, 1):
            middle = (len(part) - len(SILENCE)) // 2
            async for piece in parts(part[:middle]):
                yield piece
            if number in cut_before:
                await eventually(lambda least=number - 1: events and len(texts(events)) >= least)
                relay.cut()
            async for piece in parts(part[middle:]):
                yield piece

    async def scene() -> None:
        async with asyncio.timeout(PATIENCE_S):
            async for event in relayed.async_stream_transcribe(audio(), vad=False):
                events.append(event)

    asyncio.run(scene())
    assert texts(events) == list(SENTENCES)
    assert relay.connections == 1 + len(cut_before)
    assert [event["type"] for event in events].count("session.begin") == 1
    finals = [event for event in events if event["type"] == "transcript" and event["is_final"]]
    starts = [event["start"] for event in finals if event["text"]]
    wanted = [sum(len(part) for part in speech[:number]) / (2 * RATE) for number in range(len(speech))]
    assert starts == pytest.approx(wanted, abs=1.0)
    assert events[-1]["duration"] == pytest.approx(sum(map(len, speech)) / (2 * RATE), abs=0.1)


def test_a_sentence_that_is_cut_in_two_is_transcribed_as_one(relay: Relay, relayed: OpenSpeechClient, pcm: Callable[[str], bytes]) -> None:
    """The first half was sent, and a draft of it was received; neither the half nor the draft is part of the text."""
    text = "A much longer sentence with quite a lot of words in it, so that a draft of its beginning arrives."
    spoken = pcm(text)
    drafts: list[str] = []

    async def audio() -> AsyncIterator[bytes]:
        yield spoken[: len(spoken) // 2]
        await eventually(lambda: drafts)
        relay.cut()
        yield spoken[len(spoken) // 2 :]

    async def scene() -> list[dict[str, Any]]:
        events = []
        async with asyncio.timeout(PATIENCE_S):
            async for event in relayed.async_stream_transcribe(audio(), vad=False):
                events.append(event)
                drafts.extend([event["text"]] if event["type"] == "transcript" and not event["is_final"] else [])
        return events

    assert texts(asyncio.run(scene())) == [
        "A much longer sentence with quite a lot of words in it, so that a draft of its beginning arrives."
    ]


def test_a_server_that_does_not_come_back_is_given_up(relay: Relay, relayed: OpenSpeechClient, speech: list[bytes]) -> None:
    async def audio() -> AsyncIterator[bytes]:
        yield speech[0]
        await eventually(lambda: relay.open)
        relay.refuses = True
        relay.cut()
        await asyncio.Event().wait()

    with pytest.raises(ConnectionFailed):
        asyncio.run(collected(relayed, audio(), reconnect_s=3))
    assert relay.connections > 2


def test_without_reconnecting_a_cut_is_an_error(relay: Relay, relayed: OpenSpeechClient, speech: list[bytes]) -> None:
    async def audio() -> AsyncIterator[bytes]:
        yield speech[0]
        await eventually(lambda: relay.open)
        relay.cut()
        await asyncio.Event().wait()

    with pytest.raises(ConnectionFailed):
        asyncio.run(collected(relayed, audio(), reconnect_s=0))
    assert relay.connections == 1


def test_audio_after_a_disconnect_is_not_taken_without_bound(relay: Relay, relayed: OpenSpeechClient) -> None:
    taken = 0

    async def audio() -> AsyncIterator[bytes]:
        nonlocal taken
        await eventually(lambda: relay.open)
        relay.refuses = True
        relay.cut()
        while True:
            taken += 1
            yield bytes(2 * RATE)

    with pytest.raises(ConnectionFailed):
        asyncio.run(collected(relayed, audio(), reconnect_s=1.5))
    assert 120 <= taken <= 125


def test_an_hour_of_silence_is_streamed_in_little_memory(client: OpenSpeechClient) -> None:
    """The server reports that silence is done; without that, the audio that is kept would reach its limit, and the stream would stop."""

    async def audio() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield bytes(2 * RATE)

    events = asyncio.run(collected(client, audio()))
    assert [event["type"] for event in events] == ["session.begin", "session.end"]
    assert events[-1]["duration"] == pytest.approx(600, abs=0.1)


def test_an_invalid_option_is_an_error_that_names_it_and_is_not_tried_again(relay: Relay, relayed: OpenSpeechClient) -> None:
    with pytest.raises(APIError) as raised:
        asyncio.run(collected(relayed, parts(b"\0\0"), sample_rate=7))
    assert (raised.value.param, raised.value.is_invalid_request, relay.connections) == ("sample_rate", True, 1)


def test_a_wrong_key_is_an_error_with_its_status(relay: Relay) -> None:
    with OpenSpeechClient(relay.address, "wrong") as client, pytest.raises(Unauthorized) as raised:
        asyncio.run(collected(client, parts(b"\0\0")))
    assert (raised.value.status, raised.value.code, relay.connections) == (401, "invalid_api_key", 1)


def test_an_error_of_the_audio_reaches_the_caller(client: OpenSpeechClient) -> None:
    async def audio() -> AsyncIterator[bytes]:
        yield bytes(3200)
        raise LookupError("no microphone")

    with pytest.raises(LookupError, match="no microphone"):
        asyncio.run(collected(client, audio()))


def test_a_caller_that_stops_early_ends_the_connection(client: OpenSpeechClient, speech: list[bytes]) -> None:
    ended = False

    async def audio() -> AsyncIterator[bytes]:
        nonlocal ended
        try:
            yield speech[0]
            await asyncio.Event().wait()
        finally:
            ended = True

    async def scene() -> None:
        events = client.async_stream_transcribe(audio(), vad=False)
        assert (await anext(events))["type"] == "session.begin"
        await events.aclose()

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    assert ended
