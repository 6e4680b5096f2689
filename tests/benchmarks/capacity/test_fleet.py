"""Loads on fleets whose results are known without a simulation, or by comparison of two."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.capacity.costs import Clip, Costs, FrontCosts, ReplicaCosts
from benchmarks.capacity.fleet import Size
from benchmarks.capacity.live import Talk, possible_partials
from benchmarks.capacity.outcome import Outcome, percentile
from benchmarks.capacity.scenario import Load, replay, simulate
from benchmarks.capacity.sizing import FRONT_SHARE, Target, fewest, fronts_for, keeps, replicas_for
from open_speech.dispatch.admission import LEAST

REPLICA = ReplicaCosts(fixed_s=0.1, per_audio_s=0.05, spread=0.0, more=0.25, slowdown=(1.0, 1.25), batch=4, partial=0.5)
COSTS = Costs("invented", REPLICA, FrontCosts(0.01, 0.002, 0.005), (Clip(4.0, 0.3), Clip(8.0, 0.5)))
ONE = Size(fronts=1, replicas=1)
STEADY = Talk(speech_s=4.1, pause_s=5.9, fixed=True)


def test_one_upload_takes_the_time_of_the_front_and_of_its_window() -> None:
    outcome = replay([(0.0, 0)], ONE, COSTS)
    assert outcome.uploads_s == [pytest.approx(0.01 + 4 * 0.002 + 0.3)]


def test_two_uploads_at_once_share_the_front_and_the_processor_of_the_replica() -> None:
    outcome = replay([(0.0, 0), (0.0, 0)], ONE, replace(COSTS, front=FrontCosts(0.1, 0.0, 0.0)))
    # The front receives the second request before it decodes the first file. Then both workers are busy, and take a quarter longer.
    assert outcome.uploads_s == [pytest.approx(0.1 + 0.1 + 0.3 * 1.25)] * 2


def test_admission_refuses_a_burst_beyond_the_longest_wait_and_answers_the_rest() -> None:
    burst = [(0.001 * number, 0) for number in range(200)]
    outcome = replay(burst, replace(ONE, patience_s=1.0, max_queue=1000), COSTS)
    assert outcome.refused > 0
    assert len(outcome.uploads_s) >= LEAST
    assert outcome.refused + len(outcome.uploads_s) == 200


def test_a_front_takes_no_more_requests_than_its_queue_holds() -> None:
    outcome = replay([(0.0, 0)] * 100, replace(ONE, max_queue=20), COSTS)
    assert (len(outcome.uploads_s), outcome.refused) == (20, 80)


def test_a_live_session_alone_waits_for_its_silence_and_makes_every_partial_pass_it_has_time_for() -> None:
    quick = replace(COSTS, replica=replace(REPLICA, fixed_s=0.01, per_audio_s=0.0))
    outcome = simulate(Load(sessions=1, talk=STEADY), ONE, quick, seconds=200)
    assert set(outcome.turns_s) == {STEADY.silence_s}
    assert outcome.partial_share == pytest.approx(1.0, abs=0.05)
    assert outcome.refused_turns == 0


def test_the_text_of_a_slow_pass_comes_after_the_silence() -> None:
    slow = replace(COSTS, replica=replace(REPLICA, fixed_s=1.0, per_audio_s=0.0))
    outcome = simulate(Load(sessions=1, talk=STEADY), ONE, slow, seconds=200)
    # 0.2 s of silence until the pass begins, and the pass; a partial pass in progress may slow it down.
    assert min(outcome.turns_s) >= 1.2 - 1e-6
    assert max(outcome.turns_s) <= 0.2 + 1.25 + 1e-6


@pytest.mark.parametrize(("length_s", "passes"), [(1.0, 0), (1.2, 1), (1.8, 1), (1.9, 2), (4.0, 5)])
def test_partial_passes_of_an_utterance(length_s: float, passes: int) -> None:
    assert possible_partials(length_s) == passes


def test_the_load_of_the_replicas_and_of_the_front_is_what_arrives_times_what_it_takes() -> None:
    costs = replace(COSTS, replica=replace(REPLICA, slowdown=(1.0, 1.0), batch=1))
    outcome = simulate(Load(uploads_per_s=2.0), Size(1, 2), costs, seconds=4000)
    assert outcome.replica_share == pytest.approx(2.0 * 0.4 / 4, rel=0.05)
    assert outcome.front_share == pytest.approx(2.0 * (0.01 + 6 * 0.002), rel=0.05)
    assert outcome.refused == 0


def test_all_audio_of_long_files_is_transcribed_while_there_is_room() -> None:
    outcome = simulate(Load(audio_hours_per_hour=4.0, file_s=300.0), Size(1, 2), COSTS, seconds=6000)
    assert outcome.file_audio_s == pytest.approx(4.0 * 4500, rel=0.1)
    assert outcome.refused == 0


def test_two_choices_wait_less_than_chance() -> None:
    costs = replace(COSTS, replica=replace(REPLICA, batch=1, slowdown=(1.0,)))
    load = Load(uploads_per_s=0.8 * 10 / 0.4)
    by_chance, by_choice = (simulate(load, Size(1, 10, dispatch), costs, seconds=400) for dispatch in ("chance", "two choices"))
    assert by_choice.p95(by_choice.uploads_s) < 0.7 * by_chance.p95(by_chance.uploads_s)


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    load = Load(sessions=5, uploads_per_s=1.0)
    first, again, other = (simulate(load, ONE, COSTS, seconds=60, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_live_sessions_beyond_the_processor_of_the_front_are_an_error() -> None:
    with pytest.raises(ValueError, match="processor"):
        simulate(Load(sessions=200), ONE, COSTS, seconds=10)


def test_fronts_are_planned_with_room() -> None:
    assert fronts_for(Load(sessions=1), COSTS) == 1
    assert fronts_for(Load(sessions=1000), COSTS) == math.ceil(1000 * 0.005 / FRONT_SHARE)


def test_the_first_guess_grows_with_every_part_of_the_load() -> None:
    assert replicas_for(Load(), COSTS) == 1
    loads = (Load(sessions=1000), Load(uploads_per_s=100.0), Load(audio_hours_per_hour=1000.0))
    alone = [replicas_for(load, COSTS) for load in loads]
    together = replicas_for(Load(sessions=1000, uploads_per_s=100.0, audio_hours_per_hour=1000.0), COSTS)
    assert min(alone) > 1
    assert sum(alone) - 3 <= together <= sum(alone)


def test_the_fewest_replicas_keep_the_target_and_fewer_do_not() -> None:
    load, target = Load(sessions=60, uploads_per_s=2.0), Target(turn_s=0.8)
    answer = fewest(load, COSTS, target, ONE, seconds=80)
    assert keeps(answer.outcome, load, target, 60)
    fewer = simulate(load, replace(answer.size, replicas=answer.size.replicas - 1), COSTS, seconds=80)
    assert not keeps(fewer, load, target, 60)


def test_what_no_replica_can_do_is_an_error() -> None:
    with pytest.raises(ValueError, match="no number"):
        fewest(Load(uploads_per_s=0.2), COSTS, Target(upload_s=0.01), ONE, seconds=20, most=8)


def test_percentiles() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert math.isnan(percentile([], 0.95))
    outcome = Outcome(uploads_s=[1.0] * 9, refused=1)
    assert outcome.refused_share == 0.1
    assert outcome.partial_share == 1.0
    outcome.reset()
    assert outcome == Outcome()
