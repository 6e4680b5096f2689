"""Scenes as they went -> figures."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.dialogue.scoring import Ends, add_ends, manners, overdue, percentile
from benchmarks.dialogue.values import Event, Kind, Observed, Scene, Turn
from open_speech.audio import Audio

SILENCE = Audio(np.zeros(16_000, np.float32), 16_000)
TURN = Turn("turn", SILENCE, 6.0, ((1.0, 2.0), (4.0, 4.5)))
SHORT = Turn("short", SILENCE, 1.0)


def ends(*times: float, turn: Turn = TURN) -> Ends:
    found = Ends()
    add_ends(found, turn, times)
    return found


def observed(kind: Kind, *events: Event, beside_at_s: float | None = None, tokens: list[tuple[float, float]] | None = None) -> Observed:
    return Observed(Scene(kind, SHORT, None if kind == "turn" else SHORT), list(events), tokens or [], beside_at_s)


def test_a_turn_that_ends_once_after_its_speech_is_right() -> None:
    found = ends(6.5)
    assert (found.pauses, found.cut, found.elsewhere, found.missed, found.delays_s) == (2, 0, 0, 0, [0.5])


def test_a_pause_in_which_the_turn_ends_is_cut_once_however_often() -> None:
    found = ends(1.3, 1.6, 6.4)
    assert (found.cut, found.cut_per_100, found.missed) == (1, 50.0, 0)


def test_an_end_that_is_decided_shortly_after_a_pause_belongs_to_it() -> None:
    assert (ends(2.9, 6.5).cut, ends(2.9, 6.5).elsewhere) == (1, 0)
    assert (ends(3.2, 6.5).cut, ends(3.2, 6.5).elsewhere) == (0, 1)
    assert (ends(0.5, 6.5).cut, ends(0.5, 6.5).elsewhere) == (0, 1)


def test_an_end_that_is_late_or_never_comes_is_missed() -> None:
    assert [ends(*times).missed for times in ((), (1.5,), (9.1,), (8.9,))] == [1, 1, 1, 0]
    assert ends(9.1).delays_s == []


def test_the_end_of_speech_is_known_to_a_tenth_of_a_second() -> None:
    found = ends(5.9)
    assert (found.cut, found.elsewhere, found.delays_s) == (0, 0, [0.0])


def test_several_turns_are_added_up() -> None:
    found = Ends()
    add_ends(found, TURN, [1.5, 6.5])
    add_ends(found, SHORT, [1.3])
    assert (found.turns, found.pauses, found.cut, found.delays_s) == (2, 2, 1, [0.5, pytest.approx(0.3)])


def test_latencies_count_from_the_end_of_speech_to_the_answer_that_was_heard() -> None:
    found = manners(
        [
            observed(
                "turn", Event("sound", 0.5), Event("stopped", 0.6), Event("turn end", 1.5), Event("text", 1.6), Event("sound", 2.2),
                Event("sound", 2.4), tokens=[(0.2, 0.4), (1.3, 1.5), (1.7, 1.9), (9.0, 9.2)],
            )
        ]
    )  # fmt: skip
    assert (found.text_s, found.token_s, found.sound_s) == ([pytest.approx(0.6)], [pytest.approx(0.9)], [pytest.approx(1.2)])


def test_a_turn_without_an_answer_has_no_latency() -> None:
    found = manners([observed("turn", Event("turn end", 1.5), tokens=[(1.3, float("inf"))])])
    assert (found.text_s, found.token_s, found.sound_s) == ([], [], [])


@pytest.mark.parametrize(("stops", "obeyed"), [([3.4], True), ([5.0], False), ([], False), ([2.0], False), ([2.0, 3.4], True)])
def test_an_interruption_is_obeyed_if_the_answer_stops_soon_after_it_begins(stops: list[float], *, obeyed: bool) -> None:
    found = manners([observed("interruption", *(Event("stopped", at) for at in stops), beside_at_s=3.0)])
    assert found.obeyed == [obeyed]
    assert found.stopped_s == ([pytest.approx(0.4)] if obeyed else [])


def test_a_backchannel_is_ignored_if_the_answer_goes_on() -> None:
    scenes = [
        observed("backchannel", Event("done", 5.0), beside_at_s=3.0),
        observed("backchannel", Event("stopped", 3.3), beside_at_s=3.0),
        observed("noise", Event("stopped", 2.0), beside_at_s=3.0),
        observed("noise"),
    ]
    found = manners(scenes)
    assert (found.ignored, found.went_on, found.obeyed) == ([True, False], [True, False], [])


def test_the_second_sound_is_no_end_of_the_first_turn() -> None:
    found = manners([observed("backchannel", Event("turn end", 3.5), beside_at_s=3.0)])
    assert found.ends.missed == 1


@pytest.mark.parametrize(("share", "value"), [(0.5, 2.0), (0.95, 4.0), (0.0, 1.0), (0.25, 1.0), (0.75, 3.0), (1.0, 4.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == value
    assert percentile([], share) is None


def test_late_decisions_are_counted_from_the_metrics_of_the_server() -> None:
    name = "open_speech_turn_decision_seconds"
    counts = [
        f'{name}_count{{outcome="{outcome}"}} {count}' for outcome, count in (("complete", "5.0"), ("late", "2.0"), ("failed", "1.0"))
    ]
    assert overdue("\n".join([f'{name}_sum{{outcome="late"}} 9.0', *counts])) == (3, 8)
    assert overdue("") == (0, 0)
