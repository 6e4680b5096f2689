from __future__ import annotations

import math
from typing import Any

import pytest

from open_speech.api.live_transcription import messages
from open_speech.api.live_transcription.messages import Command
from open_speech.errors import InvalidRequest, InvalidValue, MissingField, TextTooLong
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word


def heard(*segments: Segment) -> Transcript:
    return Transcript(TranscriptInfo("en", 1.0, 3.0), segments)


def test_without_a_query_everything_has_a_default() -> None:
    query = messages.query({})
    assert (query.model, query.sample_rate, query.encoding, query.interim_results) == ("whisper-1", 16_000, "pcm_s16le", True)
    assert (query.vad, query.endpointing, query.language) == (None, None, None)


def test_a_query_is_read() -> None:
    query = messages.query({"vad": "false", "interim_results": "0", "sample_rate": "48000", "endpointing": "500", "language": "", "x": "y"})
    assert (query.vad, query.interim_results, query.sample_rate, query.endpointing, query.language) == (False, False, 48_000, 500, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", "7999"), ("sample_rate", "192001"), ("sample_rate", "fast"), ("encoding", "opus"), ("vad", "perhaps"),
        ("endpointing", "-1"), ("endpointing", "99"), ("endpointing", "1e9"), ("interim_results", "2"), ("model", "m" * 201),
        ("language", "l" * 36), ("prompt", "p" * 2001),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_query_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        messages.query({name: value})
    assert wrong.value.param == name


@pytest.mark.parametrize(("data", "command"), [
    ('{"type":"stop"}', Command.STOP),
    ('{"type": "Finalize", "more": 1}', Command.FINALIZE),
    ('{"type":"KeepAlive"}', Command.KEEPALIVE),
])  # fmt: skip
def test_messages_are_read(data: str, command: Command) -> None:
    assert messages.parse(data) is command


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("", InvalidRequest), ("nonsense", InvalidRequest), ("[]", InvalidRequest), ("{}", MissingField), ('{"type":1}', InvalidValue),
        ('{"type":"fly"}', InvalidValue), ('{"type":null}', MissingField), ("[" * 4000, InvalidRequest), ("x" * 4097, TextTooLong),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: str, error: type[InvalidRequest]) -> None:
    with pytest.raises(error):
        messages.parse(data)


def test_a_final_text_has_the_time_of_the_stream() -> None:
    told = messages.final(heard(Segment(0.2, 1, " One"), Segment(1, 1.5, " two.")), 10, speech_final=True)
    assert told == {
        "type": "transcript", "is_final": True, "speech_final": True, "text": "One two.", "start": 10.2, "end": 11.5, "confidence": None,
        "language": "en",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "confidence"),
    [
        ([], None),
        ([Segment(0, 1, " x")], None),
        ([Segment(0, 1, " x", avg_logprob=-0.5)], math.exp(-0.5)),
        ([Segment(0, 1, "x", avg_logprob=-1), Segment(1, 2, "xxx", avg_logprob=-0.2)], math.exp(-0.4)),
        ([Segment(0, 1, " x", words=(Word(" x", 0, 1, 0.5), Word(" y", 0, 1, 0.7)), avg_logprob=-3)], 0.6),
        ([Segment(0, 1, " x", words=(Word(" x", 0, 1),))], None),
    ],
)
def test_confidence_is_what_the_recogniser_told_and_nothing_else(segments: list[Segment], confidence: float | None) -> None:
    found: Any = messages.confidence(heard(*segments))
    assert found == (None if confidence is None else pytest.approx(confidence, abs=0.001))
