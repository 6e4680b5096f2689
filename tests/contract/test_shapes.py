"""Every shape of an answer, written from one transcript, against the SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import pytest
import srt
import webvtt
from openai import BaseModel
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
)

from open_speech.api.openai.responses import Extras, answer
from open_speech.api.openai.transcription_events import EventWriter
from open_speech.transcript import Segment, Token, Transcript, TranscriptInfo, Word

HEARD = Transcript(
    TranscriptInfo("en", 0.97, 3.5),
    (
        Segment(0.0, 1.5, " Who is it?", (Word(" Who", 0.0, 0.4), Word(" is", 0.4, 0.7), Word(" it?", 0.7, 1.5)), (5, 6), speaker="A",
                logprobs=(Token(" Who is", -0.1), Token(" it?", -0.2))),
        Segment(1.5, 3.5, " It is me.", speaker="Ann", logprobs=(Token(" It is me.", -0.3),)),
    ),
)  # fmt: skip
TEXT = "Who is it? It is me."
ALL = Extras(logprobs=True, languages=True)


def body(form: Any) -> str:
    return bytes(answer(HEARD, form, ("segment", "word"), ALL).body).decode()


@pytest.mark.parametrize(
    ("form", "kind"), [("json", Transcription), ("verbose_json", TranscriptionVerbose), ("diarized_json", TranscriptionDiarized)]
)
def test_a_body_in_json_is_the_sdks_type_and_has_the_text(form: str, kind: type[BaseModel]) -> None:
    read: Any = kind.model_validate_json(body(form), strict=True)
    assert read.text == TEXT
    assert read.usage.type == "duration"


def test_tokens_and_languages_are_the_sdks_types() -> None:
    read = Transcription.model_validate_json(body("json"), strict=True)
    assert read.logprobs is not None
    assert b"".join(bytes(map(int, token.bytes or ())) for token in read.logprobs).decode() == f" {TEXT}"
    assert read.languages is not None
    assert [language.code for language in read.languages] == ["en"]


def test_speakers_are_where_the_sdk_looks_for_them() -> None:
    read = TranscriptionDiarized.model_validate_json(body("diarized_json"), strict=True)
    assert [(segment.speaker, segment.text) for segment in read.segments] == [("A", "Who is it?"), ("Ann", "It is me.")]


def test_events_are_the_sdks_types_and_add_up() -> None:
    kinds: dict[str, type[BaseModel]] = {
        "transcript.text.delta": TranscriptionTextDeltaEvent,
        "transcript.text.segment": TranscriptionTextSegmentEvent,
        "transcript.text.done": TranscriptionTextDoneEvent,
    }
    writer = EventWriter(ALL, speakers=True)
    events = [*(event for segment in HEARD.segments for event in writer.segment(segment)), writer.done(HEARD.info)]
    read: list[Any] = [kinds[event["type"]].model_validate_json(json.dumps(event), strict=True) for event in events]
    assert "".join(event.delta for event in read if event.type == "transcript.text.delta") == read[-1].text == TEXT
    assert [event.speaker for event in read if event.type == "transcript.text.segment"] == ["A", "Ann"]


def test_the_same_text_is_in_every_shape() -> None:
    assert body("text") == f"{TEXT}\n"
    assert [cue.content for cue in srt.parse(body("srt"))] == ["[A] Who is it?", "[Ann] It is me."]
    assert [cue.text for cue in webvtt.from_string(body("vtt")).captions] == ["Who is it?", "It is me."]
