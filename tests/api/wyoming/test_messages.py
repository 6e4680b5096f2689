from __future__ import annotations

from typing import Any

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import Synthesize, SynthesizeVoice

from open_speech.api.wyoming.messages import failure, parse
from open_speech.errors import BackendFailed, InvalidRequest, MissingField, UnknownVoice


@pytest.mark.parametrize(
    "asked",
    [
        Describe(),
        Transcribe(name="tiny", language="de", vad_sensitivity="relaxed", transcript_names=["Ada"], transcript_terms=["lamp"]),
        AudioChunk(16_000, 2, 1, b"12", timestamp=7),
        Synthesize("Hello.", SynthesizeVoice("af_sky", speaker="3"), "ssml", {"id": 1}),
    ],
    ids=lambda asked: type(asked).__name__,
)
def test_what_the_library_writes_is_read(asked: Any) -> None:
    assert parse(asked.event()) == asked


def test_fields_of_a_later_protocol_are_ignored() -> None:
    assert parse(Event("synthesize", {"text": "x", "mood": "calm", "voice": {"language": "de", "age": 7}})) == Synthesize(
        "x", SynthesizeVoice(language="de")
    )


@pytest.mark.parametrize("kind", ["run-satellite", "detect", "info", "", "__class__"])
def test_events_for_somebody_else_are_ignored(kind: str) -> None:
    assert parse(Event(kind, {"text": 5})) is None


@pytest.mark.parametrize(
    ("kind", "data", "field"),
    [
        ("synthesize", {}, "text"),
        ("synthesize", {"text": 5}, "text"),
        ("synthesize", {"text": "x", "voice": "af_sky"}, "voice"),
        ("synthesize-chunk", {"text": None}, "text"),
        ("transcribe", {"transcript_names": "Ada"}, "transcript_names"),
        ("audio-start", {"rate": "fast", "width": 2, "channels": 1}, "rate"),
        ("audio-chunk", {"rate": 16_000, "width": 2}, "channels"),
        ("select-program", {"name": ["x"]}, "name"),
    ],
)
def test_a_wrong_field_is_named(kind: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Event(kind, data))
    assert caught.value.param == field
    assert isinstance(caught.value, MissingField) is (field not in data)


def test_an_error_says_what_is_wrong_and_where() -> None:
    assert failure(UnknownVoice("There is no voice `x`.", param="voice")).data == {
        "text": "voice: There is no voice `x`.",
        "code": "voice_not_found",
    }
    assert failure(BackendFailed("Broken.")).data == {"text": "Broken.", "code": "backend_failed"}
