"""Sessions in one event loop: one turn at a time, complete turns only, across restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from open_speech.config import Settings
from open_speech.dialogue import sessions as module
from open_speech.dialogue.memory import Bounds, SessionKey, Turn
from open_speech.dialogue.memory_store import MemoryStore
from open_speech.dialogue.sessions import WAITING, Sessions
from open_speech.errors import Overloaded
from tests.waiting import PATIENCE_S, eventually

KEY = SessionKey("", "kitchen")


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE_S))


async def take_turn(sessions: Sessions, number: int, key: SessionKey = KEY) -> list[str]:
    async with sessions.turn(key) as session:
        earlier = [turn.user for turn in session.turns]
        await session.keep(Turn(f"question {number}", "answer", 2))
    return earlier


def test_turns_of_one_session_are_in_order_of_their_arrival() -> None:
    async def scene() -> None:
        sessions = Sessions(Bounds())
        events: list[str] = []
        first_may_end = asyncio.Event()

        async def slow() -> None:
            async with sessions.turn(KEY) as session:
                events.append("first begins")
                await first_may_end.wait()
                await session.keep(Turn("question 1", "answer", 1))
                events.append("first ends")

        async def second() -> None:
            events.extend(["second begins", *await take_turn(sessions, 2)])

        tasks = [asyncio.create_task(slow()), asyncio.create_task(second())]
        await eventually(lambda: events)
        assert await take_turn(sessions, 3, SessionKey("", "another")) == []
        first_may_end.set()
        await asyncio.gather(*tasks)
        assert events == ["first begins", "first ends", "second begins", "question 1"]

    run(scene())


def test_only_so_many_turns_may_wait() -> None:
    async def scene() -> None:
        sessions = Sessions(Bounds())
        async with sessions.turn(KEY):
            waiting = [asyncio.create_task(take_turn(sessions, number)) for number in range(WAITING)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="waiting"):
                await take_turn(sessions, 9)
        assert [len(earlier) for earlier in await asyncio.gather(*waiting)] == [0, 1, 2, 3]

    run(scene())


def test_the_wait_for_earlier_turns_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)

    async def scene() -> None:
        sessions = Sessions(Bounds())
        async with sessions.turn(KEY):
            with pytest.raises(Overloaded, match="too long"):
                await take_turn(sessions, 2)
        assert await take_turn(sessions, 3) == []

    run(scene())


def test_a_turn_that_fails_or_is_cancelled_is_not_kept_and_lets_the_next_begin() -> None:
    async def scene() -> None:
        sessions = Sessions(Bounds())
        await take_turn(sessions, 1)
        with pytest.raises(ValueError, match="broken"):
            async with sessions.turn(KEY):
                raise ValueError("broken")

        async def forever() -> None:
            async with sessions.turn(KEY):
                await asyncio.Event().wait()

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await take_turn(sessions, 2) == ["question 1"]
        assert await take_turn(sessions, 3) == ["question 1", "question 2"]

    run(scene())


def test_a_turn_without_a_session_has_no_memory() -> None:
    async def scene() -> None:
        sessions = Sessions(Bounds())
        async with sessions.turn(None) as session:
            assert session.turns == ()
            await session.keep(Turn("question", "answer", 1))
        assert await sessions.of_owner("") == {}

    run(scene())


def test_a_session_that_is_deleted_during_a_turn_does_not_come_back(tmp_path: Path) -> None:
    async def scene() -> None:
        sessions = Sessions(Bounds(), MemoryStore(tmp_path))
        await take_turn(sessions, 1)
        async with sessions.turn(KEY) as session:
            assert await sessions.forget(KEY)
            await session.keep(Turn("question 2", "answer", 1))
        assert await sessions.of_owner("") == {}
        assert list(tmp_path.iterdir()) == []
        assert not await sessions.forget(KEY)
        assert await take_turn(sessions, 3) == []
        assert len(await sessions.of_owner("")) == 1

    run(scene())


def test_sessions_survive_a_restart_except_those_that_expired(tmp_path: Path) -> None:
    async def scene() -> None:
        now = 1000.0
        first = Sessions(Bounds(ttl_s=100), MemoryStore(tmp_path), clock=lambda: now)
        await take_turn(first, 1, SessionKey("", "old"))
        now = 1090.0
        await take_turn(first, 1)
        now = 1101.0
        second = Sessions(Bounds(ttl_s=100), MemoryStore(tmp_path), clock=lambda: now)
        assert await take_turn(second, 2) == ["question 1"]
        assert list(await second.of_owner("")) == ["kitchen"]
        assert [path.stem for path in tmp_path.iterdir()] == [KEY.digest]

    run(scene())


def test_a_disk_that_fails_does_not_fail_the_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        folder = tmp_path / "file"
        folder.write_text("no folder")
        sessions = Sessions(Bounds(), MemoryStore(folder))
        await take_turn(sessions, 1)
        assert await take_turn(sessions, 2) == ["question 1"]

    run(scene())
    assert "cannot be stored" in caplog.text


def test_a_server_builds_its_sessions_from_its_settings(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = Settings(os_dialogue_dir=tmp_path / "kept", os_dialogue_max_turns=1)
        sessions = Sessions.of(settings)
        for number in (1, 2):
            await take_turn(sessions, number)
        assert await take_turn(Sessions.of(settings), 3) == ["question 2"]

    run(scene())
