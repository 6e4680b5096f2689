from open_speech.subtitles import to_srt, to_text, to_vtt
from open_speech.transcript import Segment, Transcript, TranscriptInfo

INFO = TranscriptInfo("en", 1.0, 10.0)


def transcript(*segments: tuple[float, float, str]) -> Transcript:
    return Transcript(INFO, tuple(Segment(start, end, text) for start, end, text in segments))


TWO = transcript((0.0, 3.32, " Ever tried."), (3.32, 5.0, " Ever failed."))


def test_srt_numbers_its_cues_and_writes_commas() -> None:
    assert to_srt(TWO) == (
        "1\n00:00:00,000 --> 00:00:03,320\nEver tried.\n\n2\n00:00:03,320 --> 00:00:05,000\nEver failed.\n\n"
    )  # fmt: skip


def test_vtt_has_its_heading_and_writes_points() -> None:
    assert to_vtt(TWO) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nEver tried.\n\n00:00:03.320 --> 00:00:05.000\nEver failed.\n\n"
    )  # fmt: skip


def test_text_ends_in_a_newline() -> None:
    assert to_text(TWO) == "Ever tried. Ever failed.\n"


def test_silence_gives_empty_files_that_are_valid() -> None:
    assert (to_srt(transcript()), to_vtt(transcript()), to_text(transcript())) == ("", "WEBVTT\n\n", "\n")


def test_a_segment_without_text_gets_no_cue_and_no_number() -> None:
    assert to_srt(transcript((0, 1, " \n "), (1, 2, "x"))) == "1\n00:00:01,000 --> 00:00:02,000\nx\n\n"


def test_times_never_run_backwards_or_below_zero() -> None:
    assert "00:00:00,000 --> 00:00:00,500" in to_srt(transcript((-0.2, 0.5, "a")))
    assert "00:00:02,000 --> 00:00:02,000" in to_srt(transcript((2.0, 1.0, "a")))


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
