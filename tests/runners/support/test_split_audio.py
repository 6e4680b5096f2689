"""Long audio is cut where it is quiet, and nothing of it is lost."""

from __future__ import annotations

import numpy as np
import pytest

from open_speech.audio import Audio
from runners.support.split_audio import pieces

RATE = 16_000


def loud(seconds: float) -> Audio:
    return Audio(np.random.default_rng(0).normal(0, 0.3, round(seconds * RATE)).astype(np.float32), RATE)


@pytest.mark.parametrize("seconds", [0.01, 5.0, 10.0])
def test_an_audio_that_fits_stays_whole(seconds: float) -> None:
    audio = loud(seconds)
    ((start, piece),) = pieces(audio, 10.0)
    assert start == 0.0
    assert len(piece.samples) == len(audio.samples)


def test_no_audio_gives_no_piece() -> None:
    assert list(pieces(Audio(np.zeros(0, np.float32), RATE), 10.0)) == []


@pytest.mark.parametrize("seconds", [10.01, 25.0, 61.3])
def test_the_pieces_joined_are_the_audio_and_none_is_too_long(seconds: float) -> None:
    audio = loud(seconds)
    found = list(pieces(audio, 10.0))
    assert np.array_equal(np.concatenate([piece.samples for _, piece in found]), audio.samples)
    assert max(piece.seconds for _, piece in found) <= 10.0
    ends = [start + piece.seconds for start, piece in found]
    assert [start for start, _ in found] == pytest.approx([0.0, *ends[:-1]])


def test_the_cut_falls_into_a_pause() -> None:
    audio = loud(15.0)
    audio.samples[round(8.2 * RATE) : round(8.5 * RATE)] = 0.0
    (_, first), _ = pieces(audio, 10.0)
    assert 8.2 < first.seconds < 8.5


def test_a_pause_too_early_for_a_full_piece_is_left_alone() -> None:
    audio = loud(15.0)
    audio.samples[round(2.0 * RATE) : round(2.5 * RATE)] = 0.0
    (_, first), _ = pieces(audio, 10.0)
    assert first.seconds > 6.6


def test_even_silence_is_cut() -> None:
    found = list(pieces(Audio(np.zeros(100 * RATE, np.float32), RATE), 10.0))
    assert sum(piece.seconds for _, piece in found) == pytest.approx(100.0)
    assert len(found) <= 16
