from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest

from open_speech.api.openai.known_speakers import diarization
from open_speech.api.openai.transcription_request import TranscriptionRequest
from open_speech.audio import Audio
from open_speech.backends import STT_RATE, DiarizeOptions
from open_speech.codecs import wav_bytes
from open_speech.errors import InvalidValue
from open_speech.http.errors import validated


def voice(seconds: float, rate: int = 8000) -> str:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)
    return "data:audio/wav;base64," + base64.b64encode(wav_bytes(Audio(noise, rate))).decode()


def asked(**fields: Any) -> DiarizeOptions | None:
    return asyncio.run(diarization(validated(TranscriptionRequest, {"model": "m", **fields})))


def test_nothing_is_asked_where_nobody_wants_to_know_who_spoke() -> None:
    assert asked() is None
    assert asked(known_speaker_names=["Ann"], known_speaker_references=["nonsense"]) is None


def test_the_number_of_speakers_may_be_bounded() -> None:
    assert asked(diarize=True) == DiarizeOptions()
    assert asked(diarize=True, min_speakers=2, max_speakers="3") == DiarizeOptions(2, 3)
    with pytest.raises(InvalidValue) as raised:
        asked(diarize=True, min_speakers=3, max_speakers=2)
    assert raised.value.param == "max_speakers"


def test_known_voices_are_decoded_under_their_names() -> None:
    options = asked(response_format="diarized_json", known_speaker_names=["Ann", "Bob"], known_speaker_references=[voice(2), voice(10)])
    assert options is not None
    assert [name for name, _ in options.references] == ["Ann", "Bob"]
    assert [(audio.rate, round(audio.seconds)) for _, audio in options.references] == [(STT_RATE, 2), (STT_RATE, 10)]


@pytest.mark.parametrize(
    ("references", "why"),
    [
        ([], "one reference for each"),
        ([voice(2), voice(2)], "one reference for each"),
        ([voice(1)], "2 to 10 seconds"),
        ([voice(11)], "2 to 10 seconds"),
        (["https://example.org/voice.wav"], "data URL"),
        (["data:audio/wav,plain"], "data URL"),
        (["data:audio/wav;base64,%%%"], "base64"),
        (["data:audio/wav;base64,"], "not audio"),
        (["data:audio/wav;base64," + base64.b64encode(b"a letter, no sound").decode()], "not audio"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(references: list[str], why: str) -> None:
    with pytest.raises(InvalidValue, match=why) as raised:
        asked(diarize=True, known_speaker_names=["Ann"], known_speaker_references=references)
    assert raised.value.param == "known_speaker_references"


@pytest.mark.parametrize("names", [["Ann", "Ann"], [" "], ["x" * 101]])
def test_names_must_be_names_that_differ(names: list[str]) -> None:
    with pytest.raises(InvalidValue) as raised:
        asked(diarize=True, known_speaker_names=names, known_speaker_references=[voice(2)] * len(names))
    assert raised.value.param == "known_speaker_names"
