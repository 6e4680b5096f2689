"""Real signals to a process of its own: what is held back, for how long, and that a second one is not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from open_speech.concurrency.graceful_shutdown import held_back
from tests.waiting import PATIENCE_S

PROGRAM = """
import asyncio, signal, sys
from open_speech.concurrency.graceful_shutdown import held_back

signal.signal(signal.SIGTERM, lambda number, frame: (print("stopped", flush=True), stop.set()))

async def until():
    print("draining", flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    print("drained", flush=True)

async def main():
    global stop
    stop = asyncio.Event()
    with held_back(until):
        print("up", flush=True)
        await asyncio.wait_for(stop.wait(), 300)

asyncio.run(main())
"""


def signalled(drain_s: float, *, times: int) -> list[str]:
    """The lines of a process that needs `drain_s` to finish and is told to stop so many times."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(drain_s)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline().strip()]
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        lines.append(process.stdout.readline().strip())
    lines += process.stdout.read().split()
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 0
    return lines


def test_a_stop_waits_until_what_was_accepted_is_done() -> None:
    assert signalled(0.3, times=1) == ["up", "draining", "drained", "stopped"]


def test_a_second_signal_is_not_held_back() -> None:
    assert signalled(PATIENCE_S, times=2) == ["up", "draining", "stopped"]


def test_the_handlers_are_put_back() -> None:
    async def scenario() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with held_back(lambda: asyncio.sleep(0)):
            assert signal.getsignal(signal.SIGTERM) != before
        assert signal.getsignal(signal.SIGTERM) == before

    asyncio.run(scenario())


def test_elsewhere_than_in_the_main_thread_nothing_is_held_back() -> None:
    seen: list[bool] = []

    async def scenario() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with held_back(lambda: asyncio.sleep(0)):
            seen.append(signal.getsignal(signal.SIGTERM) == before)

    thread = threading.Thread(target=lambda: asyncio.run(scenario()))
    thread.start()
    thread.join(PATIENCE_S)
    assert seen == [True]


@pytest.mark.skipif(not hasattr(os, "kill"), reason="no signals here")
def test_a_wait_that_fails_still_stops() -> None:
    stopped: list[int] = []

    async def fails() -> None:
        raise OSError("disk")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        before = signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        try:
            with held_back(fails):
                os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    while not stopped:
                        await asyncio.sleep(0.01)
        finally:
            signal.signal(signal.SIGTERM, before)

    asyncio.run(scenario())
    assert stopped == [signal.SIGTERM]
