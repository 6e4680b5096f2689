"""Channels transcribed apart: scripted transcriptions of each, merged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.errors import BackendFailed, InvalidValue, UnsupportedLanguage
from open_speech.recognition.channels import MOST_CHANNELS, merged, separated
from open_speech.transcript import Segment, TranscriptInfo

Item = TranscriptInfo | Segment | Exception
Items = AsyncGenerator[TranscriptInfo | Segment, None]


def info(duration: float, language: str = "en") -> TranscriptInfo:
    return TranscriptInfo(language, 0.9 if language else 0.0, duration)


def window(start: float, end: float, *texts: str, language: str = "en") -> list[Item]:
    """What the pipeline gives for one window: its end, and its segments of equal length."""
    step = (end - start) / max(1, len(texts))
    pieces = [Segment(start + n * step, start + (n + 1) * step, f" {text}", seek=round(start * 100)) for n, text in enumerate(texts)]
    return [info(end, language), *pieces]


class Channel:
    """One channel's transcription, which knows whether it was closed."""

    def __init__(self, *items: Item) -> None:
        self._items = items
        self.is_closed = False
        self.taken = 0

    async def items(self) -> Items:
        try:
            for item in self._items:
                await asyncio.sleep(0)
                self.taken += 1
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.is_closed = True


def heard(*channels: list[Item]) -> list[TranscriptInfo | Segment]:
    async def collect() -> list[TranscriptInfo | Segment]:
        scripted = [Channel(*items) for items in channels]
        found = [item async for item in merged([channel.items() for channel in scripted])]
        assert all(channel.is_closed for channel in scripted)
        return found

    return asyncio.run(collect())


def segments(items: list[TranscriptInfo | Segment]) -> list[Segment]:
    return [item for item in items if isinstance(item, Segment)]


CALL = (
    [info(0), *window(0.5, 3, "Hello.", "Anna here."), *window(8, 11, "Fine."), *window(20, 22, "Bye."), info(24)],
    [info(0), *window(4, 7, "How are you?"), *window(12, 19, "Good.", "I call about", "the car."), *window(22.5, 23, "Bye."), info(24)],
)


def test_segments_come_in_order_of_time_with_channel_and_speaker() -> None:
    said = segments(heard(*CALL))
    assert [(s.text.strip(), s.channel, s.speaker) for s in said] == [
        ("Hello.", 0, "A"), ("Anna here.", 0, "A"), ("How are you?", 1, "B"), ("Fine.", 0, "A"), ("Good.", 1, "B"),
        ("I call about", 1, "B"), ("the car.", 1, "B"), ("Bye.", 0, "A"), ("Bye.", 1, "B"),
    ]  # fmt: skip


def test_the_last_info_has_the_whole_length() -> None:
    last = heard(*CALL)[-1]
    assert isinstance(last, TranscriptInfo)
    assert last.duration == 24


def test_a_duration_is_a_time_within_no_window_before_which_everything_was_given() -> None:
    items = heard(*CALL)
    windows = [(0.5, 3), (8, 11), (20, 22), (4, 7), (12, 19), (22.5, 23)]
    given: list[Segment] = []
    durations = set()
    for item in items[:-1]:
        if isinstance(item, Segment):
            given.append(item)
            continue
        durations.add(item.duration)
        assert not any(start < item.duration < end for start, end in windows)
        assert {s for s in segments(items) if s.start < item.duration} <= set(given)
    assert len(durations) > 3


def test_windows_that_overlap_all_the_time_leave_no_place_to_resume_but_are_given_as_they_come() -> None:
    one = [item for n in range(10) for item in window(n * 10, n * 10 + 10, f"a{n}")]
    other = [item for n in range(10) for item in window(n * 10 + 5, n * 10 + 15, f"b{n}")]
    items = heard([info(0), *one, info(105)], [info(0), *other, info(105)])
    assert [s.text.strip() for s in segments(items)] == [f"{name}{n}" for n in range(10) for name in "ab"]
    assert {item.duration for item in items[:-1] if isinstance(item, TranscriptInfo)} <= {0.0, 5.0}


def test_a_segment_does_not_wait_for_the_end_of_the_file() -> None:
    async def first() -> tuple[int, int]:
        channels = [Channel(*items) for items in CALL]
        async with aclosing(merged([channel.items() for channel in channels])) as items:
            async for item in items:
                if isinstance(item, Segment):
                    break
        assert all(channel.is_closed for channel in channels)
        return channels[0].taken, channels[1].taken

    assert max(asyncio.run(first())) < 5


def test_each_segment_follows_an_info_of_its_own_language_and_the_last_is_of_who_spoke_most() -> None:
    german = [info(0, ""), *window(4, 7, "Guten Tag.", language="de"), *window(12, 19, "Ja.", language="de"), info(24, "de")]
    items = heard(CALL[0], german)
    language = ""
    for item in items:
        if isinstance(item, TranscriptInfo):
            language = item.language
        else:
            assert language == ("en" if item.channel == 0 else "de")
    assert language == "de"


def test_one_channel_and_a_silent_one_are_merged_too() -> None:
    alone = segments(heard(CALL[0]))
    assert [s.speaker for s in alone] == ["A"] * 4
    with_silent = segments(heard(CALL[0], [info(0), info(24)]))
    assert with_silent == alone
    assert heard([info(0), info(24)], [info(0), info(24)])[-1] == info(24)
    assert [item.duration for item in heard([], []) if isinstance(item, TranscriptInfo)] == [0.0]


def test_a_backend_that_gives_one_info_for_the_whole_file_is_merged_in_order_too() -> None:
    one = [info(30), Segment(0, 2, " a", seek=0), Segment(10, 12, " c"), Segment(20, 22, " e")]
    other = [info(30), Segment(5, 7, " b"), Segment(15, 17, " d")]
    items = heard(one, other)
    assert "".join(s.text for s in segments(items)) == " a b c d e"
    assert {item.duration for item in items[:-1] if isinstance(item, TranscriptInfo)} == {0.0}
    assert items[-1] == info(30)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_the_failure_of_one_channel_ends_all(failing: int, at: int) -> None:
    error = BackendFailed("gone") if at else UnsupportedLanguage("no", param="language")
    scripts = [list(items) for items in CALL]
    scripts[failing][at] = error

    async def run() -> None:
        channels = [Channel(*items) for items in scripts]
        with pytest.raises(type(error)):
            async for _ in merged([channel.items() for channel in channels]):
                pass
        assert all(channel.is_closed or channel.taken == 0 for channel in channels)

    asyncio.run(run())


def test_a_cancelled_beginning_closes_every_channel() -> None:
    closed = []

    async def endless(number: int) -> Items:
        try:
            await asyncio.sleep(3600)
            yield info(0)
        finally:
            closed.append(number)

    async def run() -> None:
        task = asyncio.ensure_future(anext(merged([endless(0), endless(1)])))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert sorted(closed) == [0, 1]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 3, allow_nan=False), st.floats(0.1, 8, allow_nan=False), st.integers(0, 3)), max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_is_lost_and_everything_is_in_order(channels: list[list[tuple[float, float, int]]]) -> None:
    scripts: list[list[Item]] = []
    for rows in channels:
        at, items = 0.0, [info(0)]
        for gap, length, count in rows:
            items += window(at + gap, at + gap + length, *["x"] * count)
            at += gap + length
        scripts.append([*items, info(200)])
    items = heard(*scripts)
    said = segments(items)
    assert len(said) == sum(isinstance(item, Segment) for script in scripts for item in script)
    assert [s.start for s in said] == sorted(s.start for s in said)
    durations = [item.duration for item in items if isinstance(item, TranscriptInfo)]
    assert durations == sorted(durations)
    assert durations[-1] == 200


def test_the_mode_decides_how_many_channels_are_transcribed_apart() -> None:
    assert [separated("mix", n, differ=True) for n in (1, 2, 20)] == [0, 0, 0]
    assert [separated("separate", n, differ=False) for n in (1, 2, 6)] == [1, 2, 6]
    assert [separated("auto", 2, differ=True), separated("auto", 2, differ=False)] == [2, 0]
    with pytest.raises(InvalidValue) as refused:
        separated("separate", MOST_CHANNELS + 1, differ=False)
    assert refused.value.param == "channels"
