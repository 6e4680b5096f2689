from __future__ import annotations

import json
from typing import Any

import pytest

from open_speech.openai.answers import answer, events
from open_speech.openai.schemas import Granularity
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word

WORDS = (Word(" Guten", 0.1004, 0.5), Word(" Tag.", 0.5, 0.9))
TRANSCRIPT = Transcript(TranscriptInfo("de", 0.9, 1.2346), (Segment(0.1004, 0.9, " Guten Tag.", WORDS, tokens=(1, 2), avg_logprob=-0.25),))
SILENCE = Transcript(TranscriptInfo("en", 1.0, 3.0))


def verbose(*granularities: Granularity, transcript: Transcript = TRANSCRIPT) -> dict[str, Any]:
    return dict(json.loads(bytes(answer(transcript, "verbose_json", granularities).body)))


def test_verbose_json_names_the_language_and_has_what_was_asked_for() -> None:
    body = verbose("segment")
    assert (body["language"], body["duration"], body["text"]) == ("german", 1.235, "Guten Tag.")
    assert body["usage"] == {"type": "duration", "seconds": 2}
    assert body["segments"][0] == {
        "id": 0, "seek": 0, "start": 0.1, "end": 0.9, "text": " Guten Tag.", "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.25, "compression_ratio": 0.0, "no_speech_prob": 0.0,
    }  # fmt: skip
    assert "words" not in body


def test_word_granularity_lists_words_without_their_spaces() -> None:
    body = verbose("word")
    assert body["words"] == [{"word": "Guten", "start": 0.1, "end": 0.5}, {"word": "Tag.", "start": 0.5, "end": 0.9}]
    assert "segments" not in body
    assert verbose("word", "segment").keys() == {"task", "language", "duration", "text", "segments", "words", "usage"}


def test_silence_has_empty_lists_and_no_missing_key() -> None:
    body = verbose("word", "segment", transcript=SILENCE)
    assert (body["text"], body["segments"], body["words"]) == ("", [], [])


def test_a_translation_is_in_english() -> None:
    translated = Transcript(TranscriptInfo("de", 0.9, 1.0, "translate"), (Segment(0, 1, " Good day."),))
    body = verbose("segment", transcript=translated)
    assert (body["task"], body["language"]) == ("translate", "english")


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("text", "Guten Tag.\n"),
        ("srt", "1\n00:00:00,100 --> 00:00:00,900\nGuten Tag.\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.100 --> 00:00:00.900\nGuten Tag.\n\n"),
    ],
)
def test_plain_formats_are_text_as_the_api_writes_it(form: Any, body: str) -> None:
    response = answer(TRANSCRIPT, form)
    assert bytes(response.body).decode() == body
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_events_add_up_to_the_text_and_end_with_usage() -> None:
    lines = bytes(events(TRANSCRIPT).body).decode().split("\n\n")
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert "".join(e["delta"] for e in data[:-1]) == data[-1]["text"] == "Guten Tag."
    assert data[-1]["usage"] == {"type": "tokens", "input_tokens": 13, "output_tokens": 3, "total_tokens": 16}


def test_silence_is_one_event() -> None:
    assert bytes(events(SILENCE).body).count(b"data: ") == 1
