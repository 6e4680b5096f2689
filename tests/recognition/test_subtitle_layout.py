from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech.recognition.subtitle_layout import Cue, Shape, cues
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word
from tests.growth import assert_linear

BELIEF = (
    " It was the best of times, it was the worst of times. It was the age of wisdom, it was the age of foolishness,"
    " it was the epoch of belief."
)
TELEVISION = Shape(line_width=42, line_count=2)


def transcript(*segments: Segment, duration: float = 60.0, language: str = "en") -> Transcript:
    return Transcript(TranscriptInfo(language, 1.0, duration), segments)


def said(text: str, start: float = 0.0, end: float = 10.0) -> Segment:
    return Segment(start, end, text)


def texts(shown: list[Cue]) -> list[str]:
    return [cue.text for cue in shown]


def test_without_a_shape_every_segment_with_text_is_a_cue() -> None:
    shown = cues(transcript(said(" one ", 0, 1), said("  ", 1, 2), said(" two", 2, 3)))
    assert shown == [Cue(0, 1, "one"), Cue(2, 3, "two")]


def test_a_long_segment_becomes_cues_that_fit_the_screen() -> None:
    shown = cues(transcript(said(BELIEF)), TELEVISION)
    assert all(len(line) <= 42 for cue in shown for line in cue.text.split("\n"))
    assert all(cue.text.count("\n") <= 1 for cue in shown)
    assert " ".join(cue.text.replace("\n", " ") for cue in shown) == BELIEF.strip()


def test_what_fits_stays_one_cue_on_one_line() -> None:
    assert cues(transcript(said(" Good evening.")), TELEVISION) == [Cue(0.0, 10.0, "Good evening.")]


def test_a_cue_rather_ends_with_a_sentence_than_full() -> None:
    spoken = said(" This is where the first sentence comes to its end. And now the second one begins with a few words.")
    assert texts(cues(transcript(spoken), TELEVISION))[0].replace("\n", " ").endswith("its end.")


def test_two_lines_are_of_like_length() -> None:
    (cue,) = cues(transcript(said(" one two three four five six seven eight nine ten")), TELEVISION)
    first, second = cue.text.split("\n")
    assert abs(len(first) - len(second)) <= 6


def test_a_line_breaks_after_a_comma_where_it_can() -> None:
    (cue,) = cues(transcript(said(" When the evening came, they all went home together.")), TELEVISION)
    assert cue.text == "When the evening came,\nthey all went home together."


def test_times_come_from_the_words() -> None:
    words = tuple(Word(f" {name}", at, at + 0.5) for at, name in enumerate(["alpha", "bravo", "charlie", "delta"]))
    spoken = Segment(0.0, 9.0, " alpha bravo charlie delta", words)
    assert cues(transcript(spoken), Shape(line_width=13, line_count=1)) == [Cue(0, 1.5, "alpha bravo"), Cue(2, 3.5, "charlie delta")]


def test_without_words_times_are_shared_by_length() -> None:
    first, second = cues(transcript(said("aaaa bbbb", 0, 9)), Shape(line_width=8, line_count=1))
    assert (first.start, first.end) == (0.0, 4.0)
    assert (second.start, second.end) == (4.0, 9.0)


def test_a_sentence_that_was_parted_in_mid_speech_is_one_again() -> None:
    parted = (said(" We went down to the", 0, 2), said(" river.", 2.1, 3), said(" Then we slept.", 3, 4))
    assert texts(cues(transcript(*parted), TELEVISION)) == ["We went down to the river.", "Then we slept."]


@pytest.mark.parametrize("after", [Segment(3.0, 4.0, " river."), Segment(2.0, 3.0, " river.", speaker="B")], ids=["pause", "speaker"])
def test_a_pause_and_a_speaker_part_cues(after: Segment) -> None:
    assert texts(cues(transcript(said(" We went down to the", 0, 2), after), TELEVISION)) == ["We went down to the", "river."]


def test_words_that_are_not_the_text_are_not_used() -> None:
    spoken = Segment(0.0, 4.0, " twelve of them", (Word(" 12", 0.0, 4.0),))
    assert texts(cues(transcript(spoken), TELEVISION)) == ["twelve of them"]


def test_half_a_word_is_never_parted_from_its_other_half() -> None:
    words = (Word(" twenty", 0, 1), Word("-five", 1, 2), Word(" men", 2, 3))
    shown = cues(transcript(Segment(0, 3, " twenty-five men", words)), Shape(line_width=12, line_count=1))
    assert texts(shown) == ["twenty-five", "men"]
    assert shown[0].end == 2


def test_a_script_without_spaces_is_cut_between_characters_but_never_before_a_full_stop() -> None:
    spoken = said("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。")
    shown = cues(transcript(spoken, language="ja"), Shape(line_width=8, line_count=2))
    assert "".join(texts(shown)).replace("\n", "") == spoken.text
    assert not [line for cue in shown for line in cue.text.split("\n") if line.startswith("。") or len(line) > 8]


def test_a_word_wider_than_a_line_is_cut() -> None:
    assert texts(cues(transcript(said(" Donaudampfschifffahrt")), Shape(line_width=8, line_count=1))) == ["Donaudam", "pfschiff", "fahrt"]


def test_a_letter_keeps_the_mark_that_stands_on_it() -> None:
    spelled = "e\u0301" * 8
    shown = cues(transcript(said(spelled)), Shape(line_width=9, line_count=1))
    assert "".join(texts(shown)) == spelled
    assert not [cue for cue in shown if cue.text.startswith("\u0301")]


def test_a_cue_stays_long_enough_to_be_read() -> None:
    (cue,) = cues(transcript(said(" twenty characters !!", 0.0, 0.5)), Shape(reading_speed=10))
    assert cue.end == 2.0


def test_reading_time_ends_where_the_next_cue_begins_and_with_the_audio() -> None:
    spoken = transcript(said(" twenty characters !!", 0.0, 0.5), said(" twenty characters !!", 1.0, 1.5), duration=2.0)
    assert [cue.end for cue in cues(spoken, Shape(reading_speed=10, gap=0.1))] == [0.9, 2.0]


def test_a_gap_is_kept_between_cues_but_takes_no_more_than_half_of_one() -> None:
    assert cues(transcript(said(" a", 0, 2), said(" b", 2, 4)), Shape(gap=0.5))[0].end == 1.5
    assert cues(transcript(said(" a", 0, 0.2), said(" b", 0.2, 4)), Shape(gap=0.5))[0].end == 0.1


def test_a_speaker_stays_with_every_cue() -> None:
    spoken = Segment(0, 10, BELIEF, speaker="A")
    assert {cue.speaker for cue in cues(transcript(spoken), TELEVISION)} == {"A"}


@pytest.mark.parametrize("shape", [Shape(), Shape(line_width=10), TELEVISION])
def test_silence_gives_no_cue(shape: Shape) -> None:
    assert cues(transcript(), shape) == []
    assert cues(transcript(said(" \n ")), shape) == []


def test_long_files_are_shaped_in_linear_time() -> None:
    def long_file(segments: int) -> Transcript:
        return transcript(*(said(BELIEF, at * 12, at * 12 + 12) for at in range(segments)), duration=segments * 12)

    assert len(cues(long_file(600), TELEVISION)) >= 1200
    assert_linear(lambda transcript: cues(transcript, TELEVISION), long_file, 20)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200), width=st.integers(8, 60), lines=st.integers(1, 4))
def test_no_text_is_lost_and_no_line_is_too_wide(text: str, width: int, lines: int) -> None:
    shown = cues(transcript(said(text)), Shape(width, lines, reading_speed=17, gap=0.08))
    assert "".join("".join(texts(shown)).split()) == "".join(text.split())
    for cue in shown:
        assert cue.start <= cue.end
        assert len(cue.text.split("\n")) <= lines
        assert all(0 < len(line) <= width for line in cue.text.split("\n"))
