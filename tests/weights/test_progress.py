"""Progress is counted over a step, and told sparingly."""

from __future__ import annotations

from open_speech.weights.progress import Meter, Progress


def test_bytes_add_up_over_the_files_of_a_step_and_start_again_with_the_next() -> None:
    seen: list[Progress] = []
    meter = Meter("m", seen.append, 0.0)
    meter.step("downloading", "hub", 30)
    meter.file("a")
    meter.at(10)
    meter.file("b")
    meter.at(5)
    meter.step("unpacking", "package index", None)
    assert [(p.file, p.done_bytes, p.total_bytes) for p in seen] == [
        ("", 0, 30), ("a", 0, 30), ("a", 10, 30), ("b", 10, 30), ("b", 15, 30), ("", 0, None),
    ]  # fmt: skip


def test_a_second_try_does_not_count_bytes_twice() -> None:
    seen: list[Progress] = []
    meter = Meter("m", seen.append, 0.0)
    meter.step("downloading", "hub", 10)
    meter.file("a")
    meter.at(8)
    meter.at(0)
    meter.at(10)
    assert seen[-1].done_bytes == 10


def test_a_listener_is_not_called_for_every_chunk() -> None:
    seen: list[Progress] = []
    meter = Meter("m", seen.append, 60.0)
    meter.step("downloading", "hub", 10_000)
    meter.file("a")
    for position in range(10_000):
        meter.at(position)
    assert len(seen) == 2
