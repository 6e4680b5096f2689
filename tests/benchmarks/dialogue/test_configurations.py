"""The rows of the tables."""

from __future__ import annotations

from benchmarks.dialogue.configurations import chosen, configurations, with_own_ends


def test_a_part_of_a_name_chooses_and_nothing_chooses_all() -> None:
    assert chosen("") == configurations()
    assert [each.name for each in chosen("300, 700")] == ["timer 300 ms", "timer 700 ms"]
    assert [each.detection["type"] for each in chosen("smart-turn")] == ["semantic_vad"] * 3


def test_ends_of_turns_are_the_same_for_all_rows_with_one_turn_detection() -> None:
    assert [each.name for each in with_own_ends(configurations())] == ["timer 300 ms", "timer 500 ms", "timer 700 ms", "smart-turn"]
