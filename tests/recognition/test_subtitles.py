from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
import srt
import webvtt

from open_speech.recognition.subtitle_layout import Shape
from open_speech.recognition.subtitles import to_json, to_jsonl, to_lines, to_lrc, to_srt, to_text, to_tsv, to_vtt
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word

INFO = TranscriptInfo("en", 1.0, 10.0)


def transcript(*segments: tuple[float, float, str]) -> Transcript:
    return Transcript(INFO, tuple(Segment(start, end, text) for start, end, text in segments))


TWO = transcript((0.0, 3.32, " Ever tried."), (3.32, 5.0, " Ever failed."))
DIALOGUE = Transcript(INFO, (Segment(0, 1, " Who is it?", speaker="A"), Segment(1, 2, " Me & <him>.", speaker="Ann & Bob")))
AWKWARD = transcript((0.0, 1.5, " a --> b\n\nnot a new cue"), (1.5, 1.5, "\u200f & <i>x</i> {y}"), (90.0, 4000.25, " \u2028 end"))


def read_srt(text: str) -> list[tuple[float, float, str]]:
    """Read SubRip as somebody else does."""
    return [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in srt.parse(text, ignore_errors=False)]


def read_vtt(text: str) -> list[webvtt.Caption]:
    """Read WebVTT as somebody else does."""
    return list(webvtt.from_string(text).captions)


def test_srt_numbers_its_cues_and_writes_commas() -> None:
    assert to_srt(TWO) == (
        "1\n00:00:00,000 --> 00:00:03,320\nEver tried.\n\n2\n00:00:03,320 --> 00:00:05,000\nEver failed.\n\n"
    )  # fmt: skip


def test_vtt_has_its_heading_and_writes_points() -> None:
    assert to_vtt(TWO) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nEver tried.\n\n00:00:03.320 --> 00:00:05.000\nEver failed.\n\n"
    )  # fmt: skip


def test_an_srt_parser_reads_what_was_written() -> None:
    assert read_srt(to_srt(TWO)) == [(0.0, 3.32, "Ever tried."), (3.32, 5.0, "Ever failed.")]
    assert [cue.index for cue in srt.parse(to_srt(TWO))] == [1, 2]
    assert read_srt(to_srt(AWKWARD)) == [
        (0.0, 1.5, "a -> b\nnot a new cue"), (1.5, 1.5, "\u200f & <i>x</i> {y}"), (90.0, 4000.25, "end"),
    ]  # fmt: skip


def test_a_webvtt_parser_reads_what_was_written() -> None:
    assert [(c.start, c.end, c.text) for c in read_vtt(to_vtt(TWO))] == [
        ("00:00:00.000", "00:00:03.320", "Ever tried."), ("00:00:03.320", "00:00:05.000", "Ever failed."),
    ]  # fmt: skip
    assert [(c.start, c.end) for c in read_vtt(to_vtt(AWKWARD))] == [
        ("00:00:00.000", "00:00:01.500"), ("00:00:01.500", "00:00:01.500"), ("00:01:30.000", "01:06:40.250"),
    ]  # fmt: skip


def test_parsers_read_shaped_cues() -> None:
    spoken = transcript((0.0, 8.0, " It was the best of times, it was the worst of times, it was the age of wisdom, it was the age."))
    shape = Shape(line_width=30, line_count=2, gap=0.1)
    cues = list(srt.parse(to_srt(spoken, shape)))
    assert len(cues) == len(read_vtt(to_vtt(spoken, shape))) == 2
    assert all(len(line) <= 30 for cue in cues for line in cue.content.split("\n"))
    assert cues[1].start - cues[0].end >= timedelta(milliseconds=99)


def test_text_ends_in_a_newline() -> None:
    assert to_text(TWO) == "Ever tried. Ever failed.\n"


def test_lines_are_the_segments() -> None:
    assert to_lines(TWO) == "Ever tried.\nEver failed.\n"
    assert to_lines(transcript((0, 1, " one\ntwo "), (1, 2, " "))) == "one two\n"


def test_silence_gives_empty_files_that_are_valid() -> None:
    silence = transcript()
    assert (to_srt(silence), to_vtt(silence), to_text(silence)) == ("", "WEBVTT\n\n", "\n")
    assert (to_lines(silence), to_lrc(silence), to_jsonl(silence), to_tsv(silence)) == ("", "", "", "start\tend\ttext\n")
    assert json.loads(to_json(silence)) == {"text": "", "segments": [], "language": "en"}
    assert read_srt(to_srt(silence)) == []
    assert read_vtt(to_vtt(silence)) == []


def test_a_segment_without_text_gets_no_cue_and_no_number() -> None:
    assert to_srt(transcript((0, 1, " \n "), (1, 2, "x"))) == "1\n00:00:01,000 --> 00:00:02,000\nx\n\n"


def test_times_never_run_backwards_or_below_zero() -> None:
    assert "00:00:00,000 --> 00:00:00,500" in to_srt(transcript((-0.2, 0.5, "a")))
    assert "00:00:02,000 --> 00:00:02,000" in to_srt(transcript((2.0, 1.0, "a")))
    assert to_lrc(transcript((-0.2, 0.5, "a"))) == "[00:00.00]a\n"


def test_times_carry_into_the_next_second_and_beyond_99_hours() -> None:
    assert "00:00:59,999 --> 00:01:00,000" in to_srt(transcript((59.9991, 59.9999, "a")))
    assert "00:59:59.500 --> 123:45:06.789" in to_vtt(transcript((3599.5, 123 * 3600 + 45 * 60 + 6.789, "a")))


def test_a_cue_holds_no_blank_line_and_no_stray_space() -> None:
    assert to_srt(transcript((0, 1, " one \n\n \r\n  two\u2028three "))).endswith("\none\ntwo\nthree\n\n")


def test_an_arrow_in_the_text_cannot_look_like_a_time_line() -> None:
    spoken = transcript((0, 1, "a --> b"))
    assert to_srt(spoken).count("-->") == 1
    assert to_vtt(spoken).count("-->") == 1


def test_vtt_text_is_no_markup() -> None:
    assert "Q&amp;A &lt;b&gt;" in to_vtt(transcript((0, 1, "Q&A <b>")))
    assert "Q&A <b>" in to_srt(transcript((0, 1, "Q&A <b>")))


def test_a_speaker_is_named_before_the_text() -> None:
    assert [cue.content for cue in srt.parse(to_srt(DIALOGUE))] == ["[A] Who is it?", "[Ann & Bob] Me & <him>."]
    assert to_lines(DIALOGUE) == "[A] Who is it?\n[Ann & Bob] Me & <him>.\n"
    assert to_lrc(DIALOGUE) == "[00:00.00][A] Who is it?\n[00:01.00][Ann & Bob] Me & <him>.\n"
    assert to_tsv(DIALOGUE).splitlines()[1] == "0\t1000\t[A] Who is it?"


def test_vtt_names_a_speaker_in_a_voice_tag() -> None:
    assert "\n<v A>Who is it?\n" in to_vtt(DIALOGUE)
    assert "\n<v Ann &amp; Bob>Me &amp; &lt;him&gt;.\n" in to_vtt(DIALOGUE)
    assert [cue.voice for cue in read_vtt(to_vtt(DIALOGUE))][0] == "A"


@pytest.mark.parametrize("name", ["a\nb", "a --> b", "x>y"])
def test_a_speakers_name_cannot_break_a_file(name: str) -> None:
    spoken = Transcript(INFO, (Segment(0, 1, " hi", speaker=name),))
    assert len(read_srt(to_srt(spoken))) == 1
    assert to_srt(spoken).count("-->") == to_vtt(spoken).count("-->") == 1
    assert to_vtt(spoken).count(">hi\n") == 1


def test_tsv_has_milliseconds_and_no_tab_in_its_text() -> None:
    rows = list(csv.DictReader(io.StringIO(to_tsv(transcript((0.0005, 3.32, " a\tb\nc"), (3.32, 5.0, "d")))), delimiter="\t"))
    assert rows == [{"start": "0", "end": "3320", "text": "a b c"}, {"start": "3320", "end": "5000", "text": "d"}]


def test_lrc_has_minutes_beyond_an_hour_and_hundredths() -> None:
    assert to_lrc(transcript((59.996, 61, "a"), (61.25, 62, " b"), (6061.5, 6062, "c"))) == "[01:00.00]a\n[01:01.25]b\n[101:01.50]c\n"


def test_json_has_whispers_own_names() -> None:
    words = (Word(" Ever", 0.0, 0.50004, 0.9), Word(" tried.", 0.5, 1.0))
    spoken = Transcript(INFO, (Segment(0, 1.00004, " Ever tried.", words, tokens=(7, 8), avg_logprob=-0.5, speaker="A"),))
    assert json.loads(to_json(spoken)) == {
        "text": "Ever tried.",
        "language": "en",
        "segments": [
            {
                "id": 0, "seek": 0, "start": 0, "end": 1.0, "text": " Ever tried.", "tokens": [7, 8], "temperature": 0.0,
                "avg_logprob": -0.5, "compression_ratio": 0.0, "no_speech_prob": 0.0, "speaker": "A",
                "words": [
                    {"word": " Ever", "start": 0.0, "end": 0.5, "probability": 0.9},
                    {"word": " tried.", "start": 0.5, "end": 1.0, "probability": 1.0},
                ],
            }
        ],
    }  # fmt: skip


def test_json_lines_are_the_segments_one_by_one() -> None:
    lines = to_jsonl(transcript((0, 1, " żółw\u2028龜"), (1, 2, " b"))).split("\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == [" żółw\u2028龜", " b"]
    assert lines[-1] == ""
    assert [json.loads(line) for line in lines[:-1]] == json.loads(to_json(transcript((0, 1, " żółw\u2028龜"), (1, 2, " b"))))["segments"]
