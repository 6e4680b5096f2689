from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from open_speech.backends import Vad
from open_speech.recognition.live.segmenter import ContinuousWindows, Loudness, Segmenter
from open_speech.recognition.live.turn_detection import FRAME_S
from open_speech.recognition.windows import WindowCutter


def noise(seconds: float, level: float = 0.3) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-level, level, round(seconds * 16_000)).astype(np.float32)


def quiet(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * 16_000), np.float32)


def by_speech() -> Segmenter:
    return Segmenter(Loudness(), WindowCutter(Vad(), FRAME_S, longest_s=15))


def test_loudness_tells_sound_from_silence() -> None:
    loudness = Loudness().feed(np.concatenate([quiet(0.32), noise(0.32), noise(0.32, 1e-4)]))
    assert len(loudness) == 30
    assert loudness[:10].max() == 0
    assert loudness[10:20].min() > 0.9
    assert loudness[20:].max() == 0


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_loudness_is_the_same_however_the_sound_is_cut(sizes: list[int]) -> None:
    sound = noise(sum(sizes) / 16_000)
    pieces = Loudness()
    ends = np.cumsum([0, *sizes])
    found = [pieces.feed(sound[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    found.append(pieces.feed(sound[ends[-1] :], last=True))
    np.testing.assert_array_equal(np.concatenate(found), Loudness().feed(sound, last=True))


def test_silence_has_no_window() -> None:
    stretches = by_speech()
    assert stretches.feed(quiet(5)) == []
    assert stretches.open() == []
    assert stretches.finish() == []
    assert stretches.seconds == 5


def test_looking_at_what_is_open_changes_nothing() -> None:
    stretches = by_speech()
    stretches.feed(np.concatenate([quiet(1), noise(2)]))
    for _ in range(3):
        ((cut, sound),) = stretches.open()
        assert cut.start == pytest.approx(0.8, abs=0.05)
        assert sound.seconds == pytest.approx(2.2, abs=0.05)
    stretches.feed(np.concatenate([noise(1), quiet(0.5)]))
    ((cut, sound),) = stretches.finish()
    assert cut.spans[0].end == pytest.approx(4, abs=0.05)
    assert sound.seconds == pytest.approx(3.4, abs=0.05)


def test_a_long_silence_completes_a_window_and_its_sound_is_let_go() -> None:
    stretches = by_speech()
    done = [stretch for _ in range(20) for stretch in stretches.feed(np.concatenate([noise(2), quiet(8)]))]
    assert len(done) == 20
    assert len(stretches._samples) < 16_000 * 3
    assert stretches.seconds == 200


def test_speech_without_an_end_is_cut_and_memory_stays_bounded() -> None:
    stretches = by_speech()
    done = [stretch for _ in range(60) for stretch in stretches.feed(noise(1))]
    assert len(done) >= 3
    assert all(sound.seconds <= 15 for _, sound in done)
    assert len(stretches._samples) <= 16_000 * 16


def test_a_whole_is_one_window_with_its_silence_until_it_is_too_long() -> None:
    stretches = Segmenter(Loudness(), ContinuousWindows(0.5, longest_s=5))
    assert stretches.feed(np.concatenate([quiet(1), noise(1), quiet(1)])) == []
    ((cut, sound),) = stretches.open()
    assert sound.seconds == pytest.approx(3, abs=0.04)
    assert cut.spans[0].start == pytest.approx(1, abs=0.04)
    ((cut, sound),) = stretches.feed(np.concatenate([noise(2), quiet(0.5)]))
    assert 2.5 <= cut.end <= 3.1, "cut in the silence"
    ((rest, _),) = stretches.finish()
    assert rest.start == cut.end
