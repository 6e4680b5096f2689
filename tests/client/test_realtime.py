from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.client import APIError, AsyncOpenSpeechClient, ConnectionFailed, OpenSpeechClient, OpenSpeechError
from tests.client.conftest import KEY, SENTENCE, Relay
from tests.waiting import PATIENCE_S, until


@pytest.fixture(scope="module")
def pcm24(client: OpenSpeechClient) -> bytes:
    return client.speak(SENTENCE, response_format="pcm")


def test_a_session_transcribes_and_speaks_and_close_waits_for_both(client: OpenSpeechClient, pcm24: bytes) -> None:
    transcripts: list[str] = []
    speech: list[bytes] = []
    session = client.realtime_session(turn_detection=None)
    session.on_transcript(lambda event: transcripts.append(event["transcript"]))
    session.on_audio(speech.append)
    session.send_audio(pcm24)
    session.commit()
    session.create_response("Good morning.", voice="alloy")
    session.close()
    session.close()
    assert transcripts == [SENTENCE]
    wav = client.jobs.wait(client.jobs.submit_speech("Good morning.", response_format="pcm")["id"])
    assert len(b"".join(speech)) == pytest.approx(len(client.jobs.result(wav["id"])), abs=4800)


def test_callbacks_may_use_the_session_and_be_decorators(client: OpenSpeechClient, pcm24: bytes) -> None:
    done = threading.Event()
    events: list[str] = []
    with client.realtime_session(turn_detection=None) as session:

        @session.on_transcript
        def answer(event: dict[str, Any]) -> None:
            session.create_response(event["transcript"])

        @session.on_event
        def seen(event: dict[str, Any]) -> None:
            events.append(event["type"])
            if event["type"] == "response.done":
                done.set()

        session.send_audio(pcm24)
        session.commit()
        assert done.wait(PATIENCE_S)
    assert "response.output_audio.delta" in events


def test_an_invalid_option_is_an_error_at_once(client: OpenSpeechClient) -> None:
    with pytest.raises(APIError) as raised:
        client.realtime_session(voice="nobody")
    assert raised.value.code == "voice_not_found"


def test_an_error_of_the_server_reaches_its_callback_and_close_does_not_wait_for_it(client: OpenSpeechClient) -> None:
    errors: list[OpenSpeechError] = []
    session = client.realtime_session(turn_detection=None)
    session.on_error(errors.append)
    session.commit()
    session.create_response("Hello.", voice="nobody")
    session.close(PATIENCE_S)
    assert [error.code for error in errors if isinstance(error, APIError)] == ["input_audio_buffer_commit_empty", "voice_not_found"]


def test_a_lost_connection_is_reported_and_then_nothing_can_be_sent(relay: Relay, relayed: OpenSpeechClient) -> None:
    errors: list[OpenSpeechError] = []
    session = relayed.realtime_session()
    session.on_error(errors.append)
    relay.cut()
    until(lambda: errors)
    assert isinstance(errors[0], ConnectionFailed)
    with pytest.raises(ConnectionFailed):
        session.commit()
    session.close()


def test_a_session_on_an_event_loop(address: str, pcm24: bytes, pcm: Callable[[str], bytes]) -> None:
    transcripts: list[str] = []

    async def take(event: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        transcripts.append(event["transcript"])

    async def scene() -> None:
        async with AsyncOpenSpeechClient(address, KEY) as client:
            async with await client.realtime_session(turn_detection=None, sample_rate=16_000) as session:
                session.on_transcript(take)
                await session.send_audio(pcm(SENTENCE))
                await session.commit()

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))
    assert transcripts == [SENTENCE]


def test_an_error_of_a_callback_ends_the_session(client: OpenSpeechClient, pcm24: bytes, caplog: pytest.LogCaptureFixture) -> None:
    session = client.realtime_session(turn_detection=None)

    @session.on_transcript
    def fails(event: dict[str, Any]) -> None:
        raise LookupError("in the callback")

    session.send_audio(pcm24)
    session.commit()
    session.close(PATIENCE_S)
    assert "in the callback" in caplog.text
