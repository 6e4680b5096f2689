import dataclasses

import pytest

from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word

INFO = TranscriptInfo("en", 0.9, 4.0)


def test_the_text_is_the_segments_as_written_without_outer_space() -> None:
    assert Transcript(INFO, (Segment(0, 1, " Ever tried."), Segment(1, 2, " Ever failed."))).text == "Ever tried. Ever failed."
    assert Transcript(INFO, (Segment(0, 1, "你好。"), Segment(1, 2, "再见。"))).text == "你好。再见。"


def test_nobody_spoke_is_an_empty_text() -> None:
    assert Transcript(INFO).text == ""
    assert Transcript(INFO).words == ()


def test_words_of_all_segments_come_in_order() -> None:
    one, two, three = (Word(text, start, start + 1.0) for start, text in enumerate((" one", " two", " three")))
    assert Transcript(INFO, (Segment(0, 2, " one two", (one, two)), Segment(2, 3, " three", (three,)))).words == (one, two, three)


def test_a_transcript_is_a_value() -> None:
    transcript = Transcript(INFO, (Segment(0, 1, "a"),))
    assert transcript == Transcript(INFO, (Segment(0, 1, "a"),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        transcript.segments = ()  # type: ignore[misc]
