import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.codecs import decode, encode_stream
from open_speech.errors import BackendFailed

RATE = 24_000


class Pieces:
    """A source that remembers whether it was closed."""

    def __init__(self, *pieces: Audio, error: Exception | None = None) -> None:
        self._pieces = pieces
        self._error = error
        self.given = 0
        self.closed = False

    async def stream(self) -> AsyncIterator[Audio]:
        try:
            for piece in self._pieces:
                self.given += 1
                yield piece
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def collect(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in stream]


def test_the_joined_chunks_are_one_file_and_none_is_empty(tone) -> None:
    source = Pieces(tone(1.2, RATE), Audio(np.zeros(0, np.float32), RATE), tone(0.8, RATE))
    for format in ("mp3", "opus", "aac", "flac", "wav"):
        chunks = asyncio.run(collect(encode_stream(source.stream(), format, RATE)))
        assert all(chunks)
        assert decode(b"".join(chunks), RATE, max_seconds=9).seconds == pytest.approx(2.0, abs=0.15)


def test_the_first_bytes_of_a_long_piece_leave_long_before_its_end(tone) -> None:
    async def first_share() -> float:
        chunks = await collect(encode_stream(Pieces(tone(20.0, RATE)).stream(), "flac", RATE))
        return len(chunks[0]) / sum(map(len, chunks))

    assert asyncio.run(first_share()) < 0.02


def test_what_needs_no_encoding_leaves_in_few_chunks(tone) -> None:
    source = Pieces(tone(4.0, RATE), tone(3.0, RATE))
    chunks = asyncio.run(collect(encode_stream(source.stream(), "pcm", RATE)))
    assert [len(chunk) // 2 for chunk in chunks] == [2 * RATE, 2 * RATE, 2 * RATE, RATE]


def test_the_source_is_closed_when_the_consumer_leaves(tone) -> None:
    source = Pieces(*[tone(0.5, RATE)] * 50)

    async def leave_early() -> None:
        stream = encode_stream(source.stream(), "mp3", RATE)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(leave_early())
    assert source.closed
    assert source.given == 1


def test_the_source_is_closed_when_the_consumer_is_cancelled(tone) -> None:
    source = Pieces(*[tone(1.0, RATE)] * 500)

    async def cancel() -> None:
        task = asyncio.create_task(collect(encode_stream(source.stream(), "flac", RATE)))
        while source.given < 3:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert source.closed
    assert source.given < 500


def test_a_failed_source_fails_the_stream_and_does_not_end_it_as_if_complete(tone) -> None:
    source = Pieces(tone(0.5, RATE), error=BackendFailed("lost"))
    with pytest.raises(BackendFailed):
        asyncio.run(collect(encode_stream(source.stream(), "opus", RATE)))


def test_no_piece_at_all_gives_a_file_without_sound() -> None:
    chunks = asyncio.run(collect(encode_stream(Pieces().stream(), "wav", RATE)))
    assert len(b"".join(chunks)) == 44


def test_the_event_loop_runs_on_while_a_piece_is_encoded(tone) -> None:
    async def ticks() -> int:
        count = 0
        done = asyncio.Event()

        async def tick() -> None:
            nonlocal count
            while not done.is_set():
                count += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        await collect(encode_stream(Pieces(tone(30.0, RATE)).stream(), "aac", RATE))
        done.set()
        await ticking
        return count

    before = threading.active_count()
    assert asyncio.run(ticks()) > 10
    assert threading.active_count() == before
