"""Separate transcription of the channels of one file: merges one stream of segments per channel by time, with labels. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from open_speech.errors import InvalidValue
from open_speech.recognition.diarization import letters
from open_speech.transcript import Segment, TranscriptInfo

ChannelMode = Literal["mix", "separate", "auto"]
"""`mix` mixes all channels, `separate` transcribes each channel, `auto` does so if two channels contain different speech."""
MOST_CHANNELS = 8
"""Maximum channels of a file that are transcribed separately: each costs as much as a file."""

Items = AsyncGenerator[TranscriptInfo | Segment, None]


def separated(mode: ChannelMode, channels: int, differ: bool) -> int:
    """Return how many channels of a file are transcribed separately; 0 mixes them. Raises InvalidValue naming `channels` for too many."""
    if mode == "separate" and channels > MOST_CHANNELS:
        raise InvalidValue(f"The file has {channels} channels; at most {MOST_CHANNELS} can be transcribed separately.", param="channels")
    return channels if mode == "separate" or (mode == "auto" and differ) else 0


async def merged(channels: Sequence[Items]) -> Items:
    """Merge the transcriptions of channels; closing the iterator closes them.

    A segment is yielded as soon as no later segment can begin before it. Each has its channel, and a letter as its speaker. The duration of
    an info is a time at which no channel is within a window: a transcription can be resumed there. The language of an info is that of the
    segments that follow, and at the end that of the channel with the most speech.

    Raises what a channel raises.
    """
    lanes = [_Lane(items, channel, speaker) for items, (channel, speaker) in zip(channels, enumerate(letters()), strict=False)]
    until_s = 0.0
    language: str | None = None
    try:
        await _start_all(lanes)
        while any(not lane.is_done for lane in lanes):
            await min((lane for lane in lanes if not lane.is_done), key=lambda lane: lane.reached_s).advance()
            for lane, segment in _ready(lanes):
                if language != lane.info.language:
                    language = lane.info.language
                    yield replace(lane.info, duration=until_s)
                yield segment
            if (later := _between_windows(lanes)) > until_s:
                until_s = later
                yield replace(max(lanes, key=lambda lane: lane.spoken_s).info, duration=until_s)
                language = None
        most = max(lanes, key=lambda lane: lane.spoken_s).info
        yield replace(most, duration=max(lane.info.duration for lane in lanes))
    finally:
        for lane in lanes:
            await lane.items.aclose()


@dataclass
class _Lane:
    """The progress of one channel."""

    items: Items
    channel: int
    speaker: str
    info: TranscriptInfo = field(default_factory=lambda: TranscriptInfo("", 0.0, 0.0))
    is_done: bool = False
    whole_s: float = 0.0
    """Seconds: all segments that begin before this are known."""
    reached_s: float = 0.0
    """Seconds: no later segment begins before this."""
    spoken_s: float = 0.0
    segments: list[Segment] = field(default_factory=list)
    """Segments that wait for other channels."""
    windows: list[tuple[float, float]] = field(default_factory=list)
    """Start and end, in seconds, of the windows with segments, in order."""

    async def advance(self) -> None:
        """Read one more item."""
        item = await anext(self.items, None)
        if item is None:
            self.is_done = True
            self.whole_s = self.reached_s = float("inf")
        elif isinstance(item, TranscriptInfo):
            # The items after an info belong to the window that ends at its duration; the window before is complete.
            self.whole_s = max(self.whole_s, self.info.duration) if item.duration > self.info.duration else self.whole_s
            self.reached_s = max(self.reached_s, self.whole_s)
            self.info = item
        else:
            start = min(item.start, item.seek / 100) if item.seek else item.start
            self.windows.append((start, max(item.end, self.info.duration)))
            self.reached_s = max(self.reached_s, item.start)
            self.spoken_s += item.end - item.start
            self.segments.append(replace(item, channel=self.channel, speaker=self.speaker))


async def _start_all(lanes: Sequence[_Lane]) -> None:
    """Start all channels, so that they run concurrently. Raises the first error, after all others have stopped."""
    tasks = [asyncio.ensure_future(lane.advance()) for lane in lanes]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ready(lanes: Sequence[_Lane]) -> Iterator[tuple[_Lane, Segment]]:
    """Take the segments that no later segment can precede, in order of time."""
    reached_s = min(lane.reached_s for lane in lanes)
    ready = [(segment.start, lane.channel, lane, segment) for lane in lanes for segment in lane.segments if segment.start <= reached_s]
    for lane in lanes:
        lane.segments = [segment for segment in lane.segments if segment.start > reached_s]
    for _, _, lane, segment in sorted(ready, key=lambda item: item[:2]):
        yield lane, segment


def _between_windows(lanes: Sequence[_Lane]) -> float:
    """Return the latest time, in seconds, before which all segments are known and which is within no window; 0 if there is none."""
    time = min(lane.whole_s for lane in lanes)
    if time == float("inf"):
        return 0.0
    windows = sorted((window for lane in lanes for window in lane.windows), key=lambda window: window[1], reverse=True)
    for start, end in windows:
        if start < time < end:
            time = start
    for lane in lanes:
        lane.windows = [window for window in lane.windows if window[1] > time]
    return time
