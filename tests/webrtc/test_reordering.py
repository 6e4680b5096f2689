from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from open_speech.webrtc.reordering import DEPTH, ReorderBuffer


@dataclass
class Packet:
    sequence_number: int

    @property
    def timestamp(self) -> int:
        return self.sequence_number * 960

    @property
    def payload(self) -> bytes:
        return str(self.sequence_number).encode()


def received(numbers: list[int], buffer: ReorderBuffer | None = None) -> list[int]:
    buffer = buffer or ReorderBuffer()
    return [int(packet.payload) for number in numbers for packet in buffer.add(Packet(number))]  # type: ignore[arg-type]


def test_packets_in_order_are_passed_on_at_once() -> None:
    assert received([*range(100, 120)]) == [*range(100, 120)]


def test_swapped_packets_are_put_in_order() -> None:
    assert received([1, 3, 2, 4, 6, 7, 5, 8, 9, 10]) == [*range(1, 11)]


def test_a_lost_packet_delays_the_others_by_no_more_than_the_depth() -> None:
    buffer = ReorderBuffer()
    assert received([0, *range(2, DEPTH + 1)], buffer) == [0]
    assert received([DEPTH + 1], buffer) == [*range(2, DEPTH + 2)]
    assert received([DEPTH + 2], buffer) == [DEPTH + 2]  # nothing is delayed any more


def test_losses_do_not_add_to_the_delay() -> None:
    sent = [number for number in range(500) if number % 10]
    assert received(sent) == sent


def test_what_waits_can_be_taken_at_once() -> None:
    buffer = ReorderBuffer()
    assert received([1, 4, 5], buffer) == [1]
    assert [packet.sequence_number for packet in buffer.flush()] == [4, 5]
    assert buffer.flush() == []
    assert received([3, 6], buffer) == [6]


def test_packets_that_are_too_late_or_come_twice_are_dropped() -> None:
    assert received([5, 6, 6, 4, 7, 5]) == [5, 6, 7]


def test_the_numbers_wrap_around() -> None:
    assert received([65_534, 65_535, 0, 1, 3, 2, 4]) == [65_534, 65_535, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("jump", [5000, 40_000])
def test_a_jump_begins_anew(jump: int) -> None:
    assert received([1, 2, jump, jump + 1]) == [1, 2, jump, jump + 1]


def test_any_order_comes_out_ascending() -> None:
    chance = random.Random(7)
    for _ in range(50):
        sent = [number for number in range(300) if chance.random() > 0.2]
        sent.sort(key=lambda number: number + chance.random() * 4)
        got = received(sent)
        assert got == sorted(set(got))
        assert len(got) > 0.8 * len(sent)
