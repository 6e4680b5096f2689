import numpy as np
import pytest

from runners.support.pauses import CLAUSE_S, NONE_S, SENTENCE_S, pause_after, settle

RATE = 24_000


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(np.arange(round(seconds * RATE)) * 0.2)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Go.", SENTENCE_S),
        ("go!” ", SENTENCE_S),
        ("好。", SENTENCE_S),
        ("first,", CLAUSE_S),
        ("one — ", CLAUSE_S),
        ("and", NONE_S),
        ("", NONE_S),
    ],
)
def test_the_last_mark_decides_the_pause(text: str, expected: float) -> None:
    assert pause_after(text) == expected


@pytest.mark.parametrize("tail", [0.0, 0.2, 1.5])
def test_sound_gets_the_same_silence_around_it_whatever_it_came_with(tail: float) -> None:
    settled = settle(np.concatenate([quiet(0.4), tone(1.0), quiet(tail)]), RATE, 0.3)
    assert settled.seconds == pytest.approx(0.04 + 1.0 + 0.3, abs=0.011)


def test_a_faint_last_consonant_is_kept() -> None:
    settled = settle(np.concatenate([tone(1.0), quiet(0.1), tone(0.1, 0.01), quiet(0.5)]), RATE, 0.1)
    assert settled.seconds == pytest.approx(1.3, abs=0.011)


def test_both_ends_start_from_zero_even_when_the_sound_was_cut_hard() -> None:
    samples = np.full(RATE, 0.5, np.float32)
    settled = settle(samples, RATE, 0.0).samples
    assert settled[0] == settled[-1] == 0.0
    assert np.abs(np.diff(settled)).max() < 0.01


def test_what_is_too_loud_is_clipped_and_the_input_left_alone() -> None:
    samples = tone(0.5, 1.4)
    before = samples.copy()
    assert np.abs(settle(samples, RATE, 0.1).samples).max() <= 1.0
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("count", [0, 1, 50, 5000])
def test_silence_comes_back_as_it_was(count: int) -> None:
    assert len(settle(np.zeros(count, np.float32), RATE, 0.3).samples) == count
