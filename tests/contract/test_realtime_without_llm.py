"""A Realtime session without a language model transcribes what it receives and speaks the text that it is given, in both protocols."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from open_speech.audio import concat, from_pcm16
from open_speech.testing.words import words
from tests.contract.test_realtime_connections import KEY, TEXT, Client, pcm_of, talking

COMPLETED = "conversation.item.input_audio_transcription.completed"
BETA = {"OpenAI-Beta": "realtime=v1"}
MODELS = ["", "?model=gpt-realtime", "?model=gpt-4o-realtime-preview", "?model=whisper-large-v3-turbo", "?model=whisper-1", "?model=tts-1"]


@pytest.fixture(scope="module")
def pcm(server: str) -> bytes:
    return pcm_of(server, TEXT)


def transcript(client: Client, pcm: bytes) -> str:
    """Append the audio, commit it, and return the first transcript. Fails if there is none."""
    client.append(pcm)
    client.say("input_audio_buffer.commit")
    return str(client.until(COMPLETED)[-1]["transcript"])


@pytest.mark.parametrize("headers", [{}, BETA])
@pytest.mark.parametrize("query", MODELS)
def test_a_client_that_configures_nothing_gets_transcripts(server: str, pcm: bytes, query: str, headers: dict[str, str]) -> None:
    with talking(server, query, {**KEY, **headers}, subprotocols=["realtime"]) as client:
        assert client.next()["session"]["id"]
        assert words(transcript(client, pcm)) == words(TEXT)


@pytest.mark.parametrize("headers", [{}, BETA])
def test_a_client_that_wants_no_transcripts_gets_none(server: str, pcm: bytes, headers: dict[str, str]) -> None:
    current = {"type": "realtime", "audio": {"input": {"transcription": None, "turn_detection": None}}}
    with talking(server, headers={**KEY, **headers}) as client:
        client.say("session.update", session={"input_audio_transcription": None, "turn_detection": None} if headers else current)
        client.until("session.updated")
        client.append(pcm)
        client.say("input_audio_buffer.commit")
        item = client.until("input_audio_buffer.committed")[-1]["item_id"]
        client.say("conversation.item.delete", item_id=item)
        assert COMPLETED not in [event["type"] for event in client.until("conversation.item.deleted")]


SPOKEN = [
    ({}, {"instructions": TEXT, "voice": "alloy", "modalities": ["audio", "text"]}, "response.audio.delta"),
    (BETA, {"instructions": TEXT, "voice": "alloy", "modalities": ["audio", "text"]}, "response.audio.delta"),
    (BETA, {"instructions": TEXT}, "response.audio.delta"),
    ({}, {"instructions": TEXT}, "response.output_audio.delta"),
    ({}, {"instructions": TEXT, "output_modalities": ["audio"]}, "response.output_audio.delta"),
    (
        {},
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}]},
        "response.output_audio.delta",
    ),
]


@pytest.mark.parametrize("query", ["", "?model=whisper-1"])
@pytest.mark.parametrize(("headers", "response", "delta"), SPOKEN)
def test_the_text_of_a_response_is_spoken(server: str, query: str, headers: dict[str, str], response: dict[str, Any], delta: str) -> None:
    with talking(server, query, {**KEY, **headers}, subprotocols=["realtime"]) as client:
        client.say("response.create", response=response)
        events = client.until("response.done")
        assert events[-1]["response"]["status"] == "completed"
        deltas = [base64.b64decode(event["delta"]) for event in events if event["type"] == delta]
        assert len(concat([from_pcm16(data, 24_000) for data in deltas], 24_000).samples) > 24_000


def test_the_calls_of_the_client_library_of_open_speech_work_in_one_session(server: str, pcm: bytes) -> None:
    with talking(server, "", subprotocols=["realtime"]) as client:
        assert words(transcript(client, pcm)) == words(TEXT)
        client.say("response.create", response={"instructions": TEXT, "voice": "alloy", "modalities": ["audio", "text"]})
        events = client.until("response.done")
        assert "response.audio.delta" in [event["type"] for event in events]


def test_a_session_that_asks_for_transcripts_only_speaks_nothing(server: str) -> None:
    with talking(server, "?intent=transcription&model=whisper-1") as client:
        client.say("response.create", response={"instructions": TEXT})
        assert client.until("error")[-1]["error"]["param"] == "type"
