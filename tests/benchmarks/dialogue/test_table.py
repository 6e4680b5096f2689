"""Figures -> tables."""

from __future__ import annotations

from benchmarks.dialogue.scoring import Ends, Manners
from benchmarks.dialogue.table import ends_table, manners_table


def test_a_row_of_turn_ends_has_the_share_and_the_numbers() -> None:
    table = ends_table({"timer": {"held out": Ends(pauses=8, cut=2, elsewhere=1, turns=4, missed=1, delays_s=[0.5, 0.7, 0.6])}})
    assert table.splitlines()[2] == "| timer | held out | 4 | 25 (2 of 8) | 1 | 1 | 0.60 / 0.70 s |"


def test_a_row_of_manners_says_so_where_nothing_was_measured() -> None:
    found = Manners(Ends(pauses=2, cut=0, turns=2), sound_s=[1.0], obeyed=[True, False], stopped_s=[0.3], ignored=[True])
    row = manners_table({"ours": found}).splitlines()[2]
    assert row == "| ours | 0 (0 of 2) | 0 of 2 | - | - | 1.00 / 1.00 s | 1 of 2, 0.30 / 0.30 s | 1 of 1 | - |"
