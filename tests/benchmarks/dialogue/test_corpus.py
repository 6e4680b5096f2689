"""The known positions in the clips of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.dialogue.corpus import noise, speech_end
from benchmarks.wer_pauses import paused, with_pauses
from open_speech.audio import Audio

RATE = 16_000


def speech(seconds: float) -> Audio:
    """Return noise whose loudness changes as that of speech does, four times a second."""
    at = np.arange(round(seconds * RATE)) / RATE
    loud = np.random.default_rng(0).standard_normal(len(at)) * (0.1 + np.abs(np.sin(2 * np.pi * 2 * at)))
    loud[: round(0.3 * RATE)] *= 0.01  # the room before the speech
    return Audio((0.2 * loud).astype(np.float32), RATE)


def test_speech_ends_where_only_room_noise_follows() -> None:
    clip = speech(2.0)
    room = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * 1e-4
    assert speech_end(Audio(np.concatenate([clip.samples, room]), RATE)) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("where", ["clause", "word"])
def test_every_pause_is_where_it_is_said_to_be(where: str) -> None:
    clip = speech(7.0)
    audio, spans = paused(clip, 0.8, where)  # type: ignore[arg-type]
    assert len(spans) == 2
    assert audio.seconds == pytest.approx(7.0 + 2 * 0.8, abs=0.05)
    loudness = np.square(clip.samples).mean()
    for start, end in spans:
        assert end - start == pytest.approx(0.8, abs=0.02)
        inside = audio.samples[round((start + 0.02) * RATE) : round((end - 0.02) * RATE)]
        assert np.square(inside).mean() < loudness / 2
    assert np.array_equal(with_pauses(clip, 0.8, where).samples, audio.samples)  # type: ignore[arg-type]


def test_a_noise_is_the_same_every_time() -> None:
    assert np.array_equal(noise(1).audio.samples, noise(1).audio.samples)
    assert not np.array_equal(noise(1).audio.samples, noise(2).audio.samples)
