from __future__ import annotations

import json
from typing import Any

import pytest

from open_speech.api.openai.responses import Extras, answer
from open_speech.api.openai.transcription_request import Granularity
from open_speech.recognition.subtitle_layout import Shape
from open_speech.transcript import Segment, Token, Transcript, TranscriptInfo, Word

WORDS = (Word(" Guten", 0.1004, 0.5), Word(" Tag.", 0.5, 0.9))
TRANSCRIPT = Transcript(TranscriptInfo("de", 0.9, 1.2346), (Segment(0.1004, 0.9, " Guten Tag.", WORDS, tokens=(1, 2), avg_logprob=-0.25),))
SILENCE = Transcript(TranscriptInfo("en", 1.0, 3.0))
DIALOGUE = Transcript(
    TranscriptInfo("de", 0.9, 4.0),
    (
        Segment(0, 1, " Wer da?", (Word(" Wer", 0, 0.5), Word(" da?", 0.5, 1)), speaker="A"),
        Segment(1, 2, "  "),
        Segment(2, 3.00004, " Ich.", speaker="Ann"),
    ),
)


def verbose(*granularities: Granularity, transcript: Transcript = TRANSCRIPT) -> dict[str, Any]:
    return dict(json.loads(bytes(answer(transcript, "verbose_json", granularities).body)))


def body(transcript: Transcript, form: Any = "json", **extras: Any) -> dict[str, Any]:
    return dict(json.loads(bytes(answer(transcript, form, extras=Extras(**extras)).body)))


def test_json_has_nothing_but_text_and_usage_unless_more_is_asked_for() -> None:
    assert body(TRANSCRIPT) == {"text": "Guten Tag.", "usage": {"type": "duration", "seconds": 2}}


def test_json_lists_tokens_with_their_bytes() -> None:
    heard = Transcript(TRANSCRIPT.info, (Segment(0, 1, " Tür", logprobs=(Token(" T", -0.1), Token("ür", -0.2))),))
    assert body(heard, logprobs=True)["logprobs"] == [
        {"token": " T", "logprob": -0.1, "bytes": [32, 84]},
        {"token": "ür", "logprob": -0.2, "bytes": [195, 188, 114]},
    ]
    assert body(SILENCE, logprobs=True)["logprobs"] == []


def test_json_lists_the_language_that_was_heard() -> None:
    assert body(TRANSCRIPT, languages=True)["languages"] == [{"code": "de"}]
    assert body(SILENCE, languages=True)["languages"] == []


def test_verbose_json_names_the_language_and_has_what_was_asked_for() -> None:
    shown = verbose("segment")
    assert (shown["language"], shown["language_probability"], shown["duration"], shown["text"]) == ("german", 0.9, 1.235, "Guten Tag.")
    assert shown["usage"] == {"type": "duration", "seconds": 2}
    assert shown["segments"][0] == {
        "id": 0, "seek": 0, "start": 0.1, "end": 0.9, "text": " Guten Tag.", "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.25, "compression_ratio": 0.0, "no_speech_prob": 0.0,
    }  # fmt: skip
    assert "words" not in shown


def test_word_granularity_lists_words_without_their_spaces() -> None:
    shown = verbose("word")
    assert shown["words"] == [{"word": "Guten", "start": 0.1, "end": 0.5}, {"word": "Tag.", "start": 0.5, "end": 0.9}]
    assert "segments" not in shown
    usual = {"task", "language", "language_probability", "duration", "text", "segments", "words", "usage"}
    assert verbose("word", "segment").keys() == usual


def test_silence_has_empty_lists_and_no_missing_key() -> None:
    shown = verbose("word", "segment", transcript=SILENCE)
    assert (shown["text"], shown["segments"], shown["words"]) == ("", [], [])
    assert body(SILENCE, "diarized_json")["segments"] == []


def test_a_translation_is_in_english() -> None:
    translated = Transcript(TranscriptInfo("de", 0.9, 1.0, "translate"), (Segment(0, 1, " Good day."),))
    shown = verbose("segment", transcript=translated)
    assert (shown["task"], shown["language"]) == ("translate", "english")


def test_speakers_are_named_on_segments_and_their_words() -> None:
    shown = verbose("segment", "word", transcript=DIALOGUE)
    assert [segment.get("speaker") for segment in shown["segments"]] == ["A", None, "Ann"]
    assert [word["speaker"] for word in shown["words"]] == ["A", "A"]


def test_diarized_json_says_who_said_what() -> None:
    shown = body(DIALOGUE, "diarized_json")
    assert (shown["task"], shown["duration"], shown["text"]) == ("transcribe", 4.0, "Wer da?   Ich.")
    assert shown["segments"] == [
        {"type": "transcript.text.segment", "id": "seg_001", "start": 0.0, "end": 1.0, "text": "Wer da?", "speaker": "A"},
        {"type": "transcript.text.segment", "id": "seg_002", "start": 2.0, "end": 3.0, "text": "Ich.", "speaker": "Ann"},
    ]


def test_in_diarized_json_everybody_has_a_label() -> None:
    assert body(TRANSCRIPT, "diarized_json")["segments"][0]["speaker"] == "A"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "Guten Tag.\n"),
        ("srt", "1\n00:00:00,100 --> 00:00:00,900\nGuten Tag.\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.100 --> 00:00:00.900\nGuten Tag.\n\n"),
    ],
)
def test_plain_formats_are_text_as_the_api_writes_it(form: Any, text: str) -> None:
    response = answer(TRANSCRIPT, form)
    assert bytes(response.body).decode() == text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_take_the_shape_that_was_asked_for(form: Any) -> None:
    spoken = Transcript(TranscriptInfo("en", 1.0, 10), (Segment(0, 10, " one two three four five six"),))
    shown = bytes(answer(spoken, form, extras=Extras(Shape(line_width=9, line_count=1))).body).decode()
    assert shown.count(" --> ") == 4
    assert bytes(answer(spoken, form).body).decode().count(" --> ") == 1
