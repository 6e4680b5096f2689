"""A text in bits becomes segments in order, and not a letter of it is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.backends import TranscribeOptions
from open_speech.errors import UnsupportedValue
from open_speech.transcript import Segment, TranscriptInfo
from runners.support.partial_results import LONGEST_CHARS, Growing, announced


def grown(*deltas: str, seconds: float = 10.0, whole: str | None = None) -> list[Segment]:
    growing = Growing(seconds)
    return [*(segment for delta in deltas for segment in growing.feed(delta)), *growing.finish(whole)]


def test_a_sentence_comes_as_soon_as_the_next_begins() -> None:
    growing = Growing(10.0)
    assert list(growing.feed("Ever tried.")) == []
    assert [segment.text for segment in growing.feed(" Ever")] == ["Ever tried."]
    assert [segment.text for segment in growing.feed(" failed. No")] == [" Ever failed."]
    assert [segment.text for segment in growing.finish()] == [" No"]


def test_a_number_is_not_cut_in_two() -> None:
    assert [segment.text for segment in grown("It costs 3", ".50 here.")] == ["It costs 3.50 here."]


def test_chinese_sentences_end_without_a_space() -> None:
    assert [segment.text for segment in grown("你好。世界。")] == ["你好。", "世界。"]


def test_a_text_without_sentences_is_cut_between_words() -> None:
    segments = grown(*["word "] * 100)
    assert len(segments) > 1
    assert all(len(segment.text) <= LONGEST_CHARS + 5 for segment in segments)
    assert "".join(segment.text for segment in segments) == "word " * 100


@pytest.mark.parametrize(
    ("deltas", "whole", "text"),
    [
        (["Ever"], "Ever tried.", "Ever tried."),
        ([], "Ever tried.", "Ever tried."),
        (["Ever tried."], None, "Ever tried."),
        ([" Ever tried. Ever"], "Something else.", "Ever tried. Ever"),
        ([], "", ""),
    ],
)
def test_the_whole_text_adds_what_is_missing_and_takes_nothing_back(deltas: list[str], whole: str | None, text: str) -> None:
    assert "".join(segment.text for segment in grown(*deltas, whole=whole)).strip() == text


@given(st.lists(st.text(max_size=300), max_size=8), st.floats(0, 60))
def test_whatever_comes_no_letter_is_lost_and_the_times_are_in_order(deltas: list[str], seconds: float) -> None:
    segments = grown(*deltas, seconds=seconds)
    assert "".join(segment.text for segment in segments).strip() == "".join(deltas).strip()
    times = [0.0, *itertools.chain.from_iterable((segment.start, segment.end) for segment in segments), seconds]
    assert times == sorted(times)


SEGMENT = Segment(0, 1, "Hello.")


def test_the_language_is_told_before_the_text_and_again_when_it_is_known() -> None:
    first, *_, last = announced([None, SEGMENT, "de"], 2.0, TranscribeOptions())
    assert first == TranscriptInfo("en", 0.0, 2.0)
    assert last == TranscriptInfo("de", 1.0, 2.0)


def test_a_language_that_is_told_at_once_is_told_once() -> None:
    assert list(announced(["de", SEGMENT], 2.0, TranscribeOptions())) == [TranscriptInfo("de", 1.0, 2.0), SEGMENT]


def test_a_language_that_was_given_is_believed() -> None:
    assert list(announced(["de", SEGMENT], 2.0, TranscribeOptions(language="nl"))) == [TranscriptInfo("nl", 1.0, 2.0), SEGMENT]


def test_silence_has_an_info_too() -> None:
    assert list(announced([], 2.0, TranscribeOptions())) == [TranscriptInfo("en", 0.0, 2.0)]


def test_who_asks_for_the_language_alone_gets_no_text() -> None:
    assert list(announced(["de", SEGMENT], 2.0, TranscribeOptions(detect_only=True))) == [TranscriptInfo("de", 1.0, 2.0)]


def test_a_server_that_tells_no_language_cannot_be_asked_for_it() -> None:
    with pytest.raises(UnsupportedValue) as refused:
        list(announced([SEGMENT], 2.0, TranscribeOptions(detect_only=True)))
    assert refused.value.param == "model"
