from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from open_speech.api.jobs import checkpoints
from open_speech.api.jobs.work import PartialTranscript, opened
from open_speech.transcript import Segment, TranscriptInfo


def info(duration: float, probability: float = 0.9) -> TranscriptInfo:
    return TranscriptInfo("en", probability, duration)


def added(partial: PartialTranscript, *heard: tuple[float, Segment]) -> None:
    async def add() -> None:
        for duration, segment in heard:
            await partial.add(info(duration), segment)

    asyncio.run(add())


def test_a_window_is_kept_when_the_next_one_has_come(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    partial = PartialTranscript(path, [])
    added(partial, (10.0, Segment(0, 4, " One.")), (10.0, Segment(5, 9, " Two.")))
    assert checkpoints.read(path) == []
    added(partial, (20.0, Segment(11, 19, " Three.")))
    (kept,) = checkpoints.read(path)
    assert ([segment.text for segment in kept.segments], kept.info.duration) == ([" One.", " Two."], 10.0)
    assert partial.whole(info(30.0)).text == "One. Two. Three."


def test_a_later_run_goes_on_at_the_end_of_the_last_window_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    added(PartialTranscript(path, []), (10.0, Segment(0, 9, " One.")), (20.0, Segment(11, 19, " Two.")), (30.0, Segment(21, 29, " Lost.")))
    again = PartialTranscript(path, checkpoints.read(path))
    assert (again.until_s, again.language) == (20.0, "en")
    # The engine hears from there on, and counts from there.
    added(again, (10.0, Segment(1, 9, " Three.")), (20.0, Segment(11, 19, " Four.")))
    whole = again.whole(info(25.0, probability=1.0))
    assert whole.text == "One. Two. Three. Four."
    assert [segment.start for segment in whole.segments] == [0, 11, 21, 31]
    assert (whole.info.duration, whole.info.language_probability) == (45.0, 0.9)
    third = PartialTranscript(path, checkpoints.read(path))
    assert third.until_s == 30.0
    assert third.whole(info(0.0)).text == "One. Two. Three."


def test_a_backend_that_knows_the_whole_length_at_once_keeps_nothing_half(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    added(PartialTranscript(path, []), (60.0, Segment(0, 9, " One.")), (60.0, Segment(11, 19, " Two.")))
    assert checkpoints.read(path) == []


def test_a_text_that_reaches_beyond_what_was_heard_is_not_final(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    added(PartialTranscript(path, []), (10.0, Segment(0, 12, " One.")), (20.0, Segment(13, 19, " Two.")))
    assert checkpoints.read(path) == []


def test_of_two_channels_only_what_ends_before_the_resumable_time_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    partial = PartialTranscript(path, [])
    # One channel is ahead of the time up to which both are known.
    ahead = Segment(11, 14, " Three.", channel=0)
    added(partial, (0.0, Segment(0, 4, " One.", channel=0)), (5.0, Segment(6, 9, " Two.", channel=1)), (5.0, ahead))
    assert checkpoints.read(path) == []
    added(partial, (10.0, Segment(15, 19, " Four.", channel=1)))
    (kept,) = checkpoints.read(path)
    assert ([segment.text for segment in kept.segments], kept.info.duration) == ([" One."], 5.0)
    added(partial, (20.0, Segment(21, 22, " Five.", channel=0)))
    assert [[segment.text for segment in kept.segments] for kept in checkpoints.read(path)] == [[" One."], [" Two."]]
    assert partial.whole(info(30.0)).text == "One. Two. Three. Four. Five."
    assert [segment.channel for segment in partial.whole(info(30.0)).segments] == [0, 1, 0, 1, 0]


def test_a_job_that_is_stopped_while_its_result_is_opened_leaves_no_open_file(tmp_path: Path) -> None:
    async def stop() -> None:
        opening = asyncio.ensure_future(opened(tmp_path / "result.wav"))
        await asyncio.sleep(0)  # the thread has begun
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(stop())
    gc.collect()  # a file that is still open would fail this test by its ResourceWarning
    assert (tmp_path / "result.wav").is_file()
