"""Plays audio while it arrives: through a function, or through the standard input of a command."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from inspect import isawaitable

from open_speech.client.errors import PlayerFailed

Player = Callable[[bytes], object] | Sequence[str]
"""A function that takes the next bytes, or a command that reads them from its standard input, such as `["ffplay", "-i", "-"]`."""
AsyncPlayer = Callable[[bytes], Awaitable[object] | object] | Sequence[str]
"""The same, where the function may be a coroutine function."""


def play(chunks: Iterable[bytes], player: Player) -> None:
    """Pass all chunks to a player and wait until its command has played them. Raises PlayerFailed."""
    if callable(player):
        for chunk in chunks:
            player(chunk)
        return
    try:
        process = subprocess.Popen(list(player), stdin=subprocess.PIPE)
    except OSError as error:
        raise PlayerFailed(f"The command `{player[0]}` cannot be started: {error.strerror}.") from error
    assert process.stdin is not None
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
            process.stdin.flush()
        process.stdin.close()
    except BrokenPipeError:
        process.wait()
        raise PlayerFailed(_ended_early(player, process.returncode)) from None
    except BaseException:
        process.kill()
        raise
    finally:
        with suppress(OSError):  # what is buffered for a command that has ended
            process.stdin.close()
        process.wait()
    _check(player, process.returncode)


async def play_async(chunks: AsyncGenerator[bytes, None], player: AsyncPlayer) -> None:
    """Do the same on an event loop; `chunks` is closed at the end."""
    async with aclosing(chunks):
        await _play_async(chunks, player)


async def _play_async(chunks: AsyncGenerator[bytes, None], player: AsyncPlayer) -> None:
    if callable(player):
        async for chunk in chunks:
            result = player(chunk)
            if isawaitable(result):
                await result
        return
    try:
        process = await asyncio.create_subprocess_exec(*player, stdin=asyncio.subprocess.PIPE)
    except OSError as error:
        raise PlayerFailed(f"The command `{player[0]}` cannot be started: {error.strerror}.") from error
    assert process.stdin is not None
    try:
        async for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        raise PlayerFailed(_ended_early(player, await process.wait())) from None
    except BaseException:
        process.kill()
        raise
    finally:
        await process.wait()
    _check(player, process.returncode)


def _check(player: Sequence[str], status: int | None) -> None:
    if status:
        raise PlayerFailed(f"The command `{player[0]}` ended with status {status}.")


def _ended_early(player: Sequence[str], status: int) -> str:
    return f"The command `{player[0]}` ended with status {status} before the speech did."
