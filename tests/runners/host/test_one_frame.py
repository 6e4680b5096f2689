from __future__ import annotations

import asyncio
import threading

import pytest

from open_speech.dispatch.frames import Frame, Kind
from runners.host.call_queue import CallQueue
from runners.host.one_frame import one_frame
from tests.waiting import PATIENCE_S

RESULT = Frame(Kind.JSON, b"[]")


def test_progress_is_reported_until_the_frame_is_there() -> None:
    async def scene() -> list[Kind]:
        ready = threading.Event()

        def make() -> Frame:
            assert ready.wait(PATIENCE_S)
            return RESULT

        kinds = []
        async for frame in one_frame(make, CallQueue(1).turn(), 0.01):
            kinds.append(frame.kind)
            if len(kinds) == 3:
                ready.set()
        return kinds

    kinds = asyncio.run(scene())
    assert kinds[-1] is Kind.JSON
    assert set(kinds[:-1]) == {Kind.PROGRESS}


def test_an_error_is_raised_to_the_caller() -> None:
    async def scene() -> None:
        def make() -> Frame:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            async for _ in one_frame(make, CallQueue(1).turn(), 1.0):
                pass

    asyncio.run(scene())
