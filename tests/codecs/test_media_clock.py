"""Where a container's clock puts audio, container by container: files written with chosen timestamps, and four recordings."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech.codecs import decode as decode_anywhere
from open_speech.codecs import isolation
from open_speech.codecs.decode import blocks, decode
from open_speech.codecs.probe import stated_seconds
from open_speech.errors import AudioTooLong
from tests.codecs.timed import RATE, beeps, ffmpegs_seconds, gaps_at, onsets, timed, two_streams

DATA = Path(__file__).parent.parent / "data"
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
CLOCKED = [
    ("matroska", "libopus", 48_000, {}),
    ("matroska", "libmp3lame", 44_100, {}),
    ("matroska", "flac", 16_000, {}),
    ("matroska", "aac", 44_100, {}),
    ("webm", "libopus", 48_000, {}),
    ("mp4", "aac", 44_100, {}),
    ("mp4", "aac", 44_100, FRAGMENTS),
    ("mov", "alac", 16_000, {}),
    ("3gp", "libopencore_amrnb", 8_000, {}),
    ("mpegts", "aac", 44_100, {}),
    ("mpegts", "mp2", 44_100, {}),
    ("mpeg", "mp2", 44_100, {}),
    ("ogg", "libopus", 48_000, {"page_duration": "20000"}),
    ("asf", "wmav2", 44_100, {}),
    ("flv", "aac", 44_100, {}),
]
NAMES = [f"{container}-{codec}{'-fragments' if options is FRAGMENTS else ''}" for container, codec, _, options in CLOCKED]
WITH_VIDEO = [
    ("matroska", "libopus", 48_000),
    ("mp4", "aac", 44_100),
    ("mov", "alac", 16_000),
    ("mpegts", "mp2", 44_100),
    ("mpegts", "aac", 44_100),
    ("asf", "wmav2", 44_100),
    ("flv", "aac", 44_100),
]


def at_once(_: float) -> float:
    return 0.0


@pytest.mark.parametrize(("file", "seconds"), [("late_audio.mkv", 9.89), ("dtx.webm", 17.92), ("gap10.mp4", 14.96)])
def test_a_recording_is_as_long_as_its_clock_says(file: str, seconds: float) -> None:
    audio = decode(DATA / file, RATE, max_seconds=60)
    assert audio.seconds == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize(
    ("file", "silent", "speech"),
    [("late_audio.mkv", (0.0, 4.85), (4.9, 7.2)), ("dtx.webm", (5.2, 12.9), (13.1, 15.5)), ("gap10.mp4", (2.7, 12.5), (12.95, 14.5))],
)
def test_a_missing_stretch_is_silent_and_what_follows_is_at_its_time(
    file: str, silent: tuple[float, float], speech: tuple[float, float]
) -> None:
    samples = decode(DATA / file, RATE, max_seconds=60).samples
    quiet, loud = (samples[round(start * RATE) : round(end * RATE)] for start, end in (silent, speech))
    assert abs(quiet).max() < 0.01
    assert abs(loud).max() > 0.1


@pytest.mark.parametrize(("container", "codec", "rate", "options"), CLOCKED, ids=NAMES)
def test_audio_after_a_gap_is_at_its_time(container: str, codec: str, rate: int, options: dict[str, str]) -> None:
    file = timed(container, codec, beeps(5, rate), gaps_at([(2.0, 3.0)]), options=options)
    audio = decode(file, RATE, max_seconds=60)
    assert audio.seconds == pytest.approx(8.0, abs=0.05)
    assert onsets(audio) == pytest.approx([0.5, 1.5, 5.5, 6.5, 7.5], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate"), WITH_VIDEO)
def test_audio_that_starts_after_the_video_is_at_its_time(container: str, codec: str, rate: int) -> None:
    file = timed(container, codec, beeps(2, rate), lambda _: 4.0, video_at_s=0.0, video_seconds=6)
    audio = decode(file, RATE, max_seconds=60)
    assert onsets(audio) == pytest.approx([4.5, 5.5], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate"), WITH_VIDEO)
def test_a_video_that_starts_later_does_not_move_the_audio(container: str, codec: str, rate: int) -> None:
    file = timed(container, codec, beeps(6, rate), at_once, video_at_s=3.0, video_seconds=3)
    audio = decode(file, RATE, max_seconds=60)
    assert onsets(audio) == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate", "options"), CLOCKED, ids=NAMES)
def test_a_container_that_does_not_count_from_zero_has_no_silence_before_it(
    container: str, codec: str, rate: int, options: dict[str, str]
) -> None:
    file = timed(container, codec, beeps(3, rate), lambda _: 50.0, options=options)
    assert onsets(decode(file, RATE, max_seconds=60)) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate"), [("matroska", "pcm_s16le", RATE), ("mov", "alac", RATE), ("mp4", "aac", 44_100)])
def test_times_before_zero_neither_move_nor_lose_audio(container: str, codec: str, rate: int) -> None:
    file = timed(container, codec, beeps(3, rate), lambda _: -0.02)
    audio = decode(file, RATE, max_seconds=60)
    assert onsets(audio) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)
    assert audio.seconds == pytest.approx(3, abs=0.06)


@pytest.mark.parametrize("start_s", [95_443.0 - 1, 95_443.0 - 30])
def test_a_broadcast_stream_may_pass_the_end_of_its_clock(start_s: float) -> None:
    """MPEG-TS counts 2^33 ticks of 90 kHz, 26.5 hours, and starts again."""
    file = timed("mpegts", "mp2", beeps(40, 44_100), lambda _: start_s, options={"avoid_negative_ts": "disabled"})
    assert onsets(decode(file, RATE, max_seconds=60)) == pytest.approx([n + 0.5 for n in range(40)], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate"), [("mpegts", "mp2", 44_100), ("mpeg", "mp2", 44_100)])
def test_two_broadcast_streams_in_one_file_are_one_recording(container: str, codec: str, rate: int) -> None:
    one, other = (timed(container, codec, beeps(3, rate), lambda _, start=start: start) for start in (5000.0, 100.0))
    for joined in (one + other, other + one):
        assert onsets(decode(joined, RATE, max_seconds=60)) == pytest.approx([n + 0.5 for n in range(6)], abs=0.12)


def test_two_ogg_files_in_one_are_one_recording() -> None:
    one = timed("ogg", "flac", beeps(3), at_once)
    assert decode(one + one, RATE, max_seconds=60).seconds == pytest.approx(6, abs=0.1)


def test_packets_that_come_twice_are_heard_once() -> None:
    first = timed("mpegts", "mp2", beeps(3, 44_100), at_once)
    again = timed("mpegts", "mp2", beeps(6, 44_100), lambda time: None if time < 2.6 else 0.0)
    assert onsets(decode(first + again, RATE, max_seconds=60)) == pytest.approx([n + 0.5 for n in range(6)], abs=0.06)


@pytest.mark.parametrize("missing", [(1.0, 1.9), (2.0, 2.05), (-1.0, 0.4)])
@pytest.mark.parametrize(("container", "codec", "rate"), [WITH_VIDEO[0], WITH_VIDEO[1], WITH_VIDEO[3]])
def test_lost_packets_are_silence(container: str, codec: str, rate: int, missing: tuple[float, float]) -> None:
    first, last = missing
    file = timed(container, codec, beeps(4, rate), lambda time: None if first <= time < last else 0.0)
    heard = onsets(decode(file, RATE, max_seconds=60))
    expected = [n + 0.5 - (last if first < 0 else 0) for n in range(4) if not first <= n + 0.5 < last]
    assert heard == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("format", ["mp3", "adts"])
def test_raw_streams_have_no_clock(format: str) -> None:
    codec = {"mp3": "libmp3lame", "adts": "aac"}[format]
    file = timed(format, codec, beeps(4, 44_100), lambda time: None if 1.0 <= time < 1.4 else 0.0)
    assert decode(file, RATE, max_seconds=60).seconds == pytest.approx(3.6, abs=0.12)


def test_of_several_audio_streams_the_best_one_keeps_its_time() -> None:
    file = two_streams(beeps(3, 48_000), beeps(6, 48_000), second_at_s=2.0)
    assert onsets(decode(file, RATE, max_seconds=60)) in (
        pytest.approx([0.5, 1.5, 2.5], abs=0.06),
        pytest.approx([n + 2.5 for n in range(6)], abs=0.06),
    )


def test_an_edit_list_that_leaves_the_beginning_out_is_kept() -> None:
    file = bytearray(timed("mov", "pcm_s16le", beeps(4), at_once, options={"use_editlist": "1"}))
    entry = file.index(b"elst") + 12  # the duration and the first sample of the only edit
    file[entry + 4 : entry + 8] = struct.pack(">i", RATE)
    assert onsets(decode(bytes(file), RATE, max_seconds=60)) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)


@pytest.mark.parametrize(("container", "codec", "rate", "options"), CLOCKED, ids=NAMES)
def test_a_claimed_gap_of_ten_hours_is_refused_before_it_costs_memory(
    container: str, codec: str, rate: int, options: dict[str, str]
) -> None:
    file = timed(container, codec, beeps(2, rate), gaps_at([(1.0, 36_000.0)]), options=options)
    if container in ("mpegts", "mpeg"):  # a jump of hours in a broadcast stream is a new clock
        assert decode(file, RATE, max_seconds=14_400).seconds == pytest.approx(2, abs=0.1)
        return
    tracemalloc.start()
    try:
        with pytest.raises(AudioTooLong) as refused:
            decode(file, RATE, max_seconds=14_400)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert refused.value.param == "file"


def test_hours_of_silence_flow_in_pieces() -> None:
    file = timed("matroska", "libopus", beeps(2, 48_000), gaps_at([(1.0, 3 * 3600.0)]))
    longest = total = 0.0
    tracemalloc.start()
    try:
        for piece in blocks(file, RATE, max_seconds=14_400):
            longest, total = max(longest, piece.seconds), total + piece.seconds
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert total == pytest.approx(3 * 3600 + 2, abs=0.05)
    assert longest < 31


def test_the_decoding_process_keeps_the_clock_too() -> None:
    with isolation(memory_mb=128, quiet_s=20):
        for file, seconds in (("late_audio.mkv", 9.89), ("dtx.webm", 17.92), ("gap10.mp4", 14.96)):
            assert decode_anywhere(DATA / file, RATE, max_seconds=60).seconds == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize(("file", "seconds"), [("dtx.webm", 17.92), ("gap10.mp4", 14.96)])
def test_the_stated_length_agrees_with_what_is_decoded(file: str, seconds: float) -> None:
    assert stated_seconds(DATA / file) == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize("index", range(len(CLOCKED)), ids=NAMES)
@settings(max_examples=4, deadline=None)
@given(gaps=st.permutations([0.0, 0.03, 0.2, 0.7, 2.5, 9.0]))
def test_any_order_of_gaps_gives_ffmpegs_length(index: int, gaps: list[float]) -> None:
    container, codec, rate, options = CLOCKED[index]
    at = [0.3 + 0.4 * n for n in range(len(gaps))]
    file = timed(container, codec, beeps(3, rate), gaps_at(list(zip(at, gaps, strict=True))), options=options)
    audio = decode(file, RATE, max_seconds=60)
    assert audio.seconds == pytest.approx(ffmpegs_seconds(file), abs=0.05)
    assert audio.seconds == pytest.approx(3 + sum(gaps), abs=0.15)
