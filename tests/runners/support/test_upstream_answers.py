"""Transcripts of all kinds of servers, read: what is there is kept, what is wrong is mended or named."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.errors import BackendFailed, SpeechError
from open_speech.transcript import Segment
from runners.support.upstream_answers import Delta, Done, events_of, written_of

VERBOSE = {
    "task": "transcribe", "language": "english", "duration": 4.0, "text": "Ever tried. Ever failed.",
    "segments": [
        {"id": 0, "start": 0.0, "end": 1.5, "text": " Ever tried.", "avg_logprob": -0.2, "no_speech_prob": 0.01},
        {"id": 1, "start": 1.5, "end": 4.0, "text": " Ever failed."},
    ],
    "words": [
        {"word": "Ever", "start": 0.1, "end": 0.5}, {"word": "tried", "start": 0.5, "end": 1.2},
        {"word": "Ever", "start": 1.6, "end": 2.0}, {"word": "failed", "start": 2.0, "end": 3.0},
    ],
}  # fmt: skip


def words(segment: Segment) -> list[str]:
    return [word.text for word in segment.words]


def test_openais_verbose_json_is_read_with_all_that_is_in_it() -> None:
    written = written_of(VERBOSE, 4.0)
    first, second = written.segments
    assert written.language == "en"
    assert (first.start, first.end, first.text, first.avg_logprob) == (0.0, 1.5, " Ever tried.", -0.2)
    assert words(first) == [" Ever", " tried."]
    assert words(second) == [" Ever", " failed."]
    assert (second.words[1].start, second.words[1].end) == (2.0, 3.0)


def test_a_text_alone_is_one_segment_of_the_whole_audio() -> None:
    written = written_of({"text": " Hello. "}, 2.0)
    assert written.segments == (Segment(0.0, 2.0, " Hello."),)
    assert written.language is None


def test_words_alone_are_given_to_the_one_segment() -> None:
    (segment,) = written_of({"text": VERBOSE["text"], "words": VERBOSE["words"]}, 4.0).segments
    assert words(segment) == [" Ever", " tried.", " Ever", " failed."]


def test_words_within_their_segments_are_found_there() -> None:
    row = {"start": 0, "end": 2, "text": "Hello there.", "words": [{"word": "Hello", "start": 0, "end": 1, "probability": 0.5}]}
    (segment,) = written_of({"text": "Hello there.", "segments": [row]}, 2.0).segments
    assert [(word.text, word.probability) for word in segment.words] == [(" Hello there.", 0.5)]


def test_segments_without_spaces_are_joined_as_the_whole_text_is() -> None:
    rows = [{"text": "你好。", "start": 0, "end": 1}, {"text": "世界。", "start": 1, "end": 2}]
    written = written_of({"text": "你好。世界。", "segments": rows}, 2.0)
    assert "".join(segment.text for segment in written.segments).strip() == "你好。世界。"


@pytest.mark.parametrize("language", ["en", "English", "en-US"])
def test_a_language_is_understood_however_it_is_written(language: str) -> None:
    assert written_of({"text": "", "language": language}, 1.0).language == "en"


def test_logprobs_are_kept() -> None:
    (segment,) = written_of({"text": "Hi", "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72]}, {"no": 1}]}, 1.0).segments
    assert [(token.text, token.logprob) for token in segment.logprobs] == [("Hi", -0.5)]


@pytest.mark.parametrize("answer", [None, [], "Hello", 3, {}, {"text": None}, {"error": "no"}])
def test_what_is_no_transcript_is_named_so(answer: Any) -> None:
    with pytest.raises(BackendFailed):
        written_of(answer, 1.0)


NUMBER = st.floats(allow_nan=True) | st.integers(-5, 50) | st.none() | st.text(max_size=3)
TEXT = st.text(max_size=12) | st.none() | st.integers()
ROW = st.fixed_dictionaries({"text": TEXT, "start": NUMBER, "end": NUMBER})
WORD = st.fixed_dictionaries({"word": TEXT, "start": NUMBER, "end": NUMBER, "probability": NUMBER})
ROWS = st.lists(ROW | st.none(), max_size=4) | st.none()


@given(st.text(max_size=40), ROWS, st.lists(WORD | st.none(), max_size=4) | st.none(), st.floats(0, 30))
def test_whatever_a_server_writes_the_times_are_in_order_and_within_the_audio(text: str, rows: Any, spoken: Any, seconds: float) -> None:
    written = written_of({"text": text, "segments": rows, "words": spoken}, seconds)
    times = list(itertools.chain.from_iterable((segment.start, segment.end) for segment in written.segments))
    assert [0.0, *times, seconds] == sorted([0.0, *times, seconds])
    for segment in written.segments:
        inner = [segment.start, *(time for word in segment.words for time in (word.start, word.end)), segment.end]
        assert inner == sorted(inner)
        assert "".join(words(segment)) in ("", segment.text)


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n" for event in events)


DELTAS = sse(
    {"type": "transcript.text.delta", "delta": "Ever"},
    {"type": "transcript.text.delta", "delta": " tried."},
    {"type": "transcript.text.done", "text": "Ever tried.", "languages": [{"code": "en"}]},
)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_events_are_read_however_they_are_chopped(size: int) -> None:
    chunks = [DELTAS[at : at + size] for at in range(0, len(DELTAS), size)]
    assert list(events_of(chunks)) == [Delta("Ever"), Delta(" tried."), Done("Ever tried.", "en")]


def test_lines_may_end_as_on_windows_and_hold_comments() -> None:
    told = b": ping\r\nevent: x\r\n" + DELTAS.replace(b"\n", b"\r\n")
    assert list(events_of([told]))[-1] == Done("Ever tried.", "en")


@pytest.mark.parametrize(
    "events",
    [["Ever tried.", "Ever failed."], [{"text": "Ever tried."}, {"text": "Ever failed."}], ["Ever tried.", "Ever failed.", "[DONE]"]],
)
def test_older_servers_send_bare_segments(events: list[Any]) -> None:
    assert list(events_of([sse(*events)])) == [Delta(" Ever tried."), Delta(" Ever failed."), Done(None)]


@pytest.mark.parametrize(
    "stream",
    [
        DELTAS[:40],
        sse({"type": "transcript.text.delta", "delta": "Ever"}),
        sse({"type": "transcript.text.delta", "delta": "Ever"}, {"error": {"message": "out of memory"}}),
        b"",
    ],
)
def test_a_stream_without_an_end_is_a_failure(stream: bytes) -> None:
    with pytest.raises(BackendFailed):
        list(events_of([stream]))


@given(st.binary(max_size=200))
def test_garbage_is_never_more_than_a_failure(data: bytes) -> None:
    try:
        assert all(isinstance(event, (Delta, Done)) for event in events_of([data]))
    except SpeechError as error:
        assert isinstance(error, BackendFailed)
