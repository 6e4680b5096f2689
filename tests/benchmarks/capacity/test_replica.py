from __future__ import annotations

import pytest

from benchmarks.capacity.costs import ReplicaCosts
from benchmarks.capacity.events import Simulation
from benchmarks.capacity.replica import Replica
from open_speech.errors import Overloaded


class Bench:
    """One replica, and when its windows were done."""

    def __init__(self, *, slowdown: tuple[float, ...] = (1.0,), batch: int = 1, more: float = 1.0) -> None:
        self.simulation = Simulation()
        self.replica = Replica(self.simulation, ReplicaCosts(0.0, 1.0, 0.0, more, slowdown, batch, 1.0))
        self.done: dict[str, float] = {}

    def send(self, name: str, seconds: float, *, at_s: float = 0.0, caller: str = "", urgency: int = 0) -> None:
        def submit() -> None:
            future = self.replica.submit(seconds, seconds, caller=caller or name, urgency=urgency)
            future.add_done_callback(lambda _: self.done.update({name: self.simulation.now}))

        self.simulation.after(at_s, submit)


def test_one_worker_takes_one_window_after_the_other() -> None:
    bench = Bench()
    bench.send("first", 2.0)
    bench.send("second", 1.0)
    bench.simulation.run()
    assert bench.done == {"first": 2.0, "second": 3.0}
    assert bench.replica.busy_s == 3.0


def test_waiting_windows_share_a_batch_and_the_longest_determines_its_time() -> None:
    bench = Bench(batch=4, more=0.25)
    bench.send("alone", 1.0)
    bench.send("a", 2.0, at_s=0.1)
    bench.send("b", 1.5, at_s=0.2)
    bench.simulation.run()
    assert bench.done == {"alone": 1.0, "a": 3.5, "b": 3.5}
    assert (bench.replica.windows, bench.replica.batches) == (3, 2)


def test_windows_of_very_different_lengths_share_no_batch() -> None:
    bench = Bench(batch=4, more=0.25)
    bench.send("alone", 1.0)
    bench.send("short", 1.0, at_s=0.1)
    bench.send("long", 10.0, at_s=0.2)
    bench.simulation.run()
    assert bench.done == {"alone": 1.0, "short": 2.0, "long": 12.0}


def test_two_workers_slow_each_other_down_only_while_both_are_busy() -> None:
    bench = Bench(slowdown=(1.0, 2.0))
    bench.send("long", 4.0)
    bench.send("short", 1.0, at_s=1.0)
    bench.simulation.run()
    # 1 s alone, 2 s at half speed while the short one is decoded, and 2 s alone again.
    assert bench.done == {"short": 3.0, "long": 5.0}
    assert bench.replica.busy_s == 7.0


def test_live_windows_are_decoded_before_those_of_files() -> None:
    bench = Bench()
    bench.send("running", 1.0)
    bench.send("file", 1.0, at_s=0.1)
    bench.send("live", 1.0, at_s=0.2, urgency=2)
    bench.simulation.run()
    assert bench.done == {"running": 1.0, "live": 2.0, "file": 3.0}


def test_a_clip_does_not_wait_for_all_windows_of_a_long_file() -> None:
    bench = Bench()
    for number in range(8):
        bench.send(f"file {number}", 1.0, caller="file")
    bench.send("clip", 1.0, at_s=0.5)
    bench.simulation.run()
    assert bench.done["clip"] <= 3.0
    assert bench.done["file 7"] == 9.0


def test_a_window_that_is_cancelled_while_it_waits_takes_no_time() -> None:
    bench = Bench()
    bench.send("running", 1.0)
    waiting = bench.replica.submit(5.0, 5.0, caller="gone")
    bench.send("next", 1.0, at_s=0.5)
    # The window began before anything else: it is in progress, and cannot be cancelled any more.
    assert not waiting.cancel()
    late = bench.replica.submit(5.0, 5.0, caller="gone too")
    assert late.cancel()
    bench.simulation.run()
    assert bench.done == {"running": 6.0, "next": 7.0}


def test_a_window_whose_patience_ends_while_it_waits_fails() -> None:
    bench = Bench()
    bench.replica.submit(5.0, 5.0, caller="first")
    late = bench.replica.submit(5.0, 5.0, caller="second")
    bench.simulation.after(1.0, lambda: bench.replica.give_up(late, Overloaded("late")))
    bench.simulation.run()
    assert isinstance(late.exception(), Overloaded)
    assert bench.simulation.now == 5.0


def test_actions_are_done_in_order_of_time_and_none_is_in_the_past() -> None:
    simulation, done = Simulation(), list[str]()
    simulation.after(2.0, lambda: done.append("later"))
    simulation.after(1.0, lambda: done.append("first"))
    simulation.after(1.0, lambda: done.append("second"))
    simulation.run(1.5)
    assert (done, simulation.now) == (["first", "second"], 1.5)
    simulation.run()
    assert (done, simulation.now) == (["first", "second", "later"], 2.0)
    with pytest.raises(ValueError, match="past"):
        simulation.after(-0.1, lambda: None)
