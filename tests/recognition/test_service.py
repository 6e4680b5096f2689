from __future__ import annotations

import asyncio

import pytest

from open_speech.errors import InvalidAudio
from tests.engines import TRANSCRIBE, Runner, engine, upload


def test_an_upload_is_decoded_and_transcribed_at_the_recogniser_s_rate() -> None:
    runner = Runner()
    transcript = asyncio.run(engine(runner).recognition.transcribe(upload(0.5), TRANSCRIBE))
    assert transcript.text == "heard"
    assert runner.heard_s == [pytest.approx(0.5, abs=0.01)]


def test_what_is_not_audio_is_refused_and_reaches_no_runner() -> None:
    runner = Runner()
    with pytest.raises(InvalidAudio):
        asyncio.run(engine(runner).recognition.transcribe(b"this is text", TRANSCRIBE))
    assert runner.heard_s == []
