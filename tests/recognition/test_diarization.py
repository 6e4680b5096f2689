from __future__ import annotations

from itertools import pairwise, takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.backends import Turn
from open_speech.recognition.diarization import SLACK_S, assign, fewer, joined, likeness, named, recognised, within
from open_speech.transcript import Segment, Token, Transcript, TranscriptInfo, Word

INFO = TranscriptInfo("en", 1.0, 60.0)
TALK = [Turn(0.0, 2.0, "A"), Turn(2.5, 5.0, "B"), Turn(8.0, 9.0, "A")]


def segment(text: str, start: float = 0.0, step: float = 0.5) -> Segment:
    """A segment of words of `step` seconds each, one after the other; words are cut before their space, as Whisper's are."""
    words = [Word(f" {word}", start + at * step, start + (at + 1) * step) for at, word in enumerate(text.split())]
    tokens = tuple(Token(word.text, -0.1) for word in words)
    return Segment(start, words[-1].end, f" {text}", tuple(words), tokens=(1, 2, 3), logprobs=tokens)


def said(turns: list[Turn], *segments: Segment) -> list[tuple[str | None, str]]:
    found = assign(Transcript(INFO, segments), turns)
    return [(part.speaker, part.text) for part in found.segments]


def test_a_segment_belongs_to_the_speaker_it_overlaps_most() -> None:
    assert said(TALK, Segment(0.0, 1.9, " one"), Segment(1.5, 4.0, " two"), Segment(8.1, 8.2, " three")) == [
        ("A", " one"),
        ("B", " two"),
        ("A", " three"),
    ]


def test_turns_of_one_speaker_add_up() -> None:
    turns = [Turn(0.0, 1.0, "A"), Turn(1.0, 2.5, "B"), Turn(2.5, 3.5, "A")]
    assert said(turns, Segment(0.0, 3.5, " mine")) == [("A", " mine")]


@pytest.mark.parametrize(
    ("start", "end", "speaker"),
    [(5.5, 6.0, "B"), (7.4, 7.9, "A"), (20.0, 21.0, "A"), (2.0, 2.2, "A"), (2.4, 2.4, "B")],
)
def test_where_nobody_was_heard_the_nearest_speaker_is_taken(start: float, end: float, speaker: str) -> None:
    assert said(TALK, Segment(start, end, " x")) == [(speaker, " x")]


def test_a_segment_is_split_where_the_speaker_of_its_words_changes() -> None:
    turns = [Turn(0.0, 1.0, "A"), Turn(1.0, 2.0, "B")]
    found = assign(Transcript(INFO, (segment("are you there I am"),)), turns)
    first, second = found.segments
    assert (first.speaker, first.text, second.speaker, second.text) == ("A", " are you", "B", " there I am")
    assert (first.start, first.end, second.start, second.end) == (0.0, 1.0, 1.0, 2.5)
    assert [word.text for word in second.words] == [" there", " I", " am"]
    assert [token.text for token in first.logprobs] == [" are", " you"]
    assert first.tokens == second.tokens == ()


def test_a_segment_of_one_speaker_stays_as_it_was_but_for_the_name() -> None:
    whole = segment("all of it")
    (found,) = assign(Transcript(INFO, (whole,)), TALK).segments
    assert found.speaker == "A"
    assert (found.text, found.words, found.tokens, found.logprobs) == (whole.text, whole.words, whole.tokens, whole.logprobs)


def test_a_change_of_speaker_goes_to_the_end_of_the_sentence_nearby() -> None:
    late = [Turn(0.0, 1.1, "A"), Turn(1.1, 3.0, "B")]
    assert said(late, segment("Are you there? Yes, of course.", step=0.4)) == [("A", " Are you there?"), ("B", " Yes, of course.")]
    early = [Turn(0.0, 0.7, "A"), Turn(0.7, 3.0, "B")]
    assert said(early, segment("Are you there? Yes, of course.", step=0.4)) == [("A", " Are you there?"), ("B", " Yes, of course.")]


def test_a_sentence_that_ends_too_far_away_keeps_its_change_of_speaker() -> None:
    turns = [Turn(0.0, 2.0, "A"), Turn(2.0, 9.0, "B")]
    assert [who for who, _ in said(turns, segment("one two three four five six seven.", step=1.0))] == ["A", "B"]
    assert said(turns, segment("one two three four five six seven.", step=1.0))[0][1] == " one two"
    assert SLACK_S < 1.0


def test_a_transcript_without_turns_stays_as_it_is() -> None:
    transcript = Transcript(INFO, (segment("nobody knows"),))
    assert assign(transcript, []) is transcript


def test_a_language_without_spaces_is_split_in_its_text() -> None:
    words = tuple(Word(letter, at, at + 1.0) for at, letter in enumerate("你好再见"))
    turns = [Turn(0.0, 2.0, "A"), Turn(2.0, 4.0, "B")]
    assert said(turns, Segment(0.0, 4.0, "你好再见", words)) == [("A", "你好"), ("B", "再见")]


TEXTS = st.lists(st.sampled_from(["Yes.", "no", "well,", "why?", "so", "go!"]), min_size=1, max_size=30)
CUTS = st.lists(st.floats(0.0, 20.0), min_size=2, max_size=12, unique=True).map(sorted)


@given(TEXTS, CUTS, st.lists(st.sampled_from("ABC"), min_size=12, max_size=12))
def test_no_text_no_word_and_no_order_is_lost(texts: list[str], cuts: list[float], speakers: list[str]) -> None:
    turns = [Turn(start, end, speaker) for (start, end), speaker in zip(pairwise(cuts), speakers, strict=False)]
    transcript = Transcript(INFO, (segment(" ".join(texts)), segment(" ".join(texts), start=15.5)))
    found = assign(transcript, turns)
    assert found.text == transcript.text
    assert found.words == transcript.words
    assert {part.speaker for part in found.segments} <= set("ABC")
    for part in found.segments:
        assert part.text.split() == [word.text.strip() for word in part.words]
        assert part.start <= part.words[0].start and part.words[-1].end <= part.end


@given(CUTS, CUTS)
def test_what_is_kept_within_speech_is_in_both(turns_at: list[float], speech_at: list[float]) -> None:
    turns = [Turn(start, end, str(at)) for at, (start, end) in enumerate(pairwise(turns_at))]
    speech = list(pairwise(speech_at))[::2]
    kept = within(turns, speech)
    overlap = sum(max(0.0, min(turn.end, end) - max(turn.start, start)) for turn in turns for start, end in speech)
    assert sum(turn.end - turn.start for turn in kept) == pytest.approx(overlap)
    assert [turn.start for turn in kept] == sorted(turn.start for turn in kept)


def test_neighbours_of_one_speaker_are_joined_over_a_short_pause() -> None:
    turns = [Turn(0, 1, "A"), Turn(1.2, 2, "A"), Turn(2.1, 3, "B"), Turn(3.1, 4, "A"), Turn(5, 6, "A")]
    assert joined(turns, 0.3) == [Turn(0, 2, "A"), Turn(2.1, 3, "B"), Turn(3.1, 4, "A"), Turn(5, 6, "A")]


def voice(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def test_a_voice_gets_the_name_of_the_reference_it_is_most_like() -> None:
    known = [("Ann", voice(1, 0)), ("Bob", voice(0.8, 0.6))]
    heard = {"0": voice(9, 5), "1": voice(-1, 1), "2": voice(5, 0.1)}
    assert recognised(heard, known, 0.65) == {"0": "Bob", "2": "Ann"}
    assert recognised(heard, [], 0.65) == {}


def test_of_too_many_speakers_those_who_speak_least_go_to_whom_they_sound_like() -> None:
    turns = [Turn(0, 9, "0"), Turn(9, 10, "1"), Turn(10, 14, "2"), Turn(14, 15, "3"), Turn(15, 16, "1")]
    heard = {"0": voice(1, 0), "1": voice(0.1, 1), "2": voice(0, 1), "3": voice(1, 0.2)}
    assert [turn.speaker for turn in fewer(turns, heard, 2)] == ["0", "2", "2", "0", "2"]
    assert fewer(turns, heard, 4) == turns
    assert fewer([], {}, 1) == []


def test_likeness_is_of_direction_and_not_of_length() -> None:
    assert likeness(voice(1, 1), voice(7, 7)) == pytest.approx(1)
    assert likeness(voice(1, 0), voice(0, 3)) == 0
    assert likeness(voice(0, 0), voice(1, 1)) == 0


def test_letters_go_by_first_turn_and_leave_out_what_is_somebodys_name() -> None:
    turns = [Turn(0, 1, "s3"), Turn(1, 2, "s1"), Turn(2, 3, "s3"), Turn(3, 4, "s2")]
    assert [turn.speaker for turn in named(turns, {})] == ["A", "B", "A", "C"]
    assert [turn.speaker for turn in named(turns, {"s1": "A"})] == ["B", "A", "B", "C"]


def test_the_letter_after_z_is_aa() -> None:
    labels = [turn.speaker for turn in named([Turn(at, at + 1, str(at)) for at in range(30)], {})]
    assert list(takewhile(lambda label: len(label) == 1, labels))[-1] == "Z"
    assert labels[26:29] == ["AA", "AB", "AC"]
