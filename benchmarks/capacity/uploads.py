"""Uploads in a simulation: short clips of users, and long files, eight windows of which are in flight at a time as in the server."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack

from benchmarks.capacity.costs import Costs
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.fleet import BACKEND, Fleet, Front
from open_speech.dispatch.frames import FILE
from open_speech.errors import Overloaded
from open_speech.recognition.transcription import IN_FLIGHT

WINDOW_S = 12.0
"""Seconds of the windows of a long file: at most 15, cut at a silence."""
Report = Callable[[float | None], None]
"""Takes the seconds that an upload took, or None if it was refused."""
Windows = list[tuple[float, float]]
"""Of each window of an upload the seconds of audio, and those that a replica takes for it alone."""


def _ignored(_: float | None) -> None:
    """Take what nobody wants to know."""


class Upload:
    """One upload, from its arrival to its transcript."""

    def __init__(self, simulation: Simulation, front: Front, name: str, report: Report, decoded: Callable[[float], None]) -> None:
        """`report` takes the result, and `decoded` the seconds of each window that is done."""
        self._simulation = simulation
        self._front = front
        self._name = name
        self._report = report
        self._decoded = decoded
        self._has_ended = False
        self._stack = ExitStack()
        self._began = simulation.now
        self._left: Windows = []
        self._in_flight = 0

    def start(self, windows: Windows, costs: Costs) -> None:
        """Ask for admission, and transcribe the windows."""
        try:
            self._ticket = self._stack.enter_context(self._front.admission.ticket(BACKEND, answers=IN_FLIGHT))
        except Overloaded:
            self._report(None)
            return
        self._left = windows[::-1]
        self._per_audio_s = costs.front.upload_audio_s
        self._front.process(costs.front.request_s, lambda: self._simulation.after(costs.front.hop_s, self._read))

    def _read(self) -> None:
        """Decode the next window, then send it; the one after it is decoded meanwhile."""
        if self._left and self._in_flight < IN_FLIGHT:
            self._in_flight += 1
            audio_s, single_s = self._left.pop()
            self._front.process(audio_s * self._per_audio_s, lambda: self._send(audio_s, single_s))

    def _send(self, audio_s: float, single_s: float) -> None:
        if self._has_ended:
            return
        call = self._front.call(single_s, audio_s, caller=self._name, urgency=FILE, patience_s=self._ticket.patience_s())
        call.add_done_callback(lambda future: self._answered(future, audio_s))
        self._read()

    def _answered(self, future: Future[None], audio_s: float) -> None:
        if self._has_ended:
            return
        self._in_flight -= 1
        if future.exception() is not None:
            self._end(None)
            return
        self._ticket.answered()
        self._decoded(audio_s)
        if not self._left and not self._in_flight:
            self._end(self._simulation.now - self._began)
            return
        self._read()

    def _end(self, took_s: float | None) -> None:
        self._has_ended = True
        self._left = []
        self._stack.close()
        self._report(took_s)


class Arrivals:
    """Streams of uploads: at random times (Poisson), at equal intervals, or at given times."""

    def __init__(self, simulation: Simulation, fleet: Fleet, costs: Costs) -> None:
        self._simulation = simulation
        self._fleet = fleet
        self._costs = costs
        self._count = 0

    def at_random(self, per_s: float, windows: Callable[[], Windows], report: Report, dice: random.Random) -> None:
        """Have uploads arrive independently of each other, so many per second on average."""
        self._repeat(lambda: dice.expovariate(per_s), per_s, windows, report, _ignored)

    def evenly(self, per_s: float, windows: Callable[[], Windows], report: Report, decoded: Callable[[float], None]) -> None:
        """Have uploads arrive at equal intervals, so many per second; `decoded` takes the seconds of each window that is done."""
        self._repeat(lambda: 1 / per_s, per_s, windows, report, decoded)

    def _repeat(  # noqa: PLR0913 - what arrives when, and who takes the results
        self,
        interval_s: Callable[[], float],
        per_s: float,
        windows: Callable[[], Windows],
        report: Report,
        decoded: Callable[[float], None],
    ) -> None:
        if per_s <= 0:
            return

        def next_one() -> None:
            self.one(windows(), report, decoded)
            self._simulation.after(interval_s(), next_one)

        self._simulation.after(interval_s(), next_one)

    def one(self, windows: Windows, report: Report, decoded: Callable[[float], None] = _ignored) -> None:
        """Have one upload arrive now."""
        self._count += 1
        upload = Upload(self._simulation, self._fleet.front(), f"file-{self._count}", report, decoded)
        upload.start(windows, self._costs)


def windows_of_file(seconds: float, costs: Costs, dice: random.Random) -> Windows:
    """Cut a long file into windows."""
    count = max(1, round(seconds / WINDOW_S))
    length_s = seconds / count
    return [(length_s, varied(costs.replica.single_s(length_s), costs.replica.spread, dice)) for _ in range(count)]


def varied(seconds: float, spread: float, dice: random.Random) -> float:
    """Return a random time with this mean and this relative standard deviation, which is never negative."""
    return seconds * dice.gammavariate(1 / spread**2, spread**2) if spread > 0 else seconds
