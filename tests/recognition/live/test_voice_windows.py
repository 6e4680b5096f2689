"""The windows of speech whose voiceprints are computed, and the turns that follow from their labels."""

from __future__ import annotations

import numpy as np
import pytest

from open_speech.backends import Turn
from open_speech.recognition.live.voice_windows import HOP_S, WINDOW_S, turns_of, voice_windows
from open_speech.recognition.vad import VAD_RATE


def test_windows_cover_each_stretch_and_nothing_else() -> None:
    windows = voice_windows([(1.0, 5.2), (6.0, 6.8), (7.0, 7.1)])
    assert [one.stretch for one in windows] == [0] * 7 + [1]
    assert (windows[0].start, windows[6].end) == (1.0, pytest.approx(5.2))
    assert all(one.seconds == pytest.approx(WINDOW_S) for one in windows[:7])
    assert all(0 < after.start - one.start <= HOP_S + 1e-6 for one, after in zip(windows[:6], windows[1:7], strict=True))
    assert (windows[7].start, windows[7].end) == (6.0, 6.8)


def test_no_speech_has_no_windows() -> None:
    assert voice_windows([]) == []
    assert turns_of([], [], [], np.zeros(0, np.float32)) == []


def test_the_speaker_changes_at_the_quietest_place() -> None:
    speech = [(0.0, 6.0)]
    windows = voice_windows(speech)
    labels = ["A" if one.center < 3 else "B" for one in windows]
    samples = np.random.default_rng(0).normal(0, 0.1, 6 * VAD_RATE).astype(np.float32)
    samples[round(2.9 * VAD_RATE) : round(3.0 * VAD_RATE)] = 0
    first, second = turns_of(speech, windows, labels, samples)
    assert (first.speaker, first.start, second.speaker, second.end) == ("A", 0.0, "B", 6.0)
    assert first.end == second.start == pytest.approx(2.95, abs=0.06)


def test_a_stretch_without_a_window_has_the_nearest_speaker() -> None:
    speech = [(0.0, 1.5), (4.0, 4.1), (4.6, 6.1)]
    windows = voice_windows(speech)
    turns = turns_of(speech, windows, ["A", "B"], np.zeros(7 * VAD_RATE, np.float32))
    assert turns == [Turn(0.0, 1.5, "A"), Turn(4.0, 4.1, "B"), Turn(4.6, 6.1, "B")]


def test_pauses_within_a_turn_belong_to_it() -> None:
    speech = [(0.0, 1.0), (1.2, 2.2)]
    turns = turns_of(speech, voice_windows(speech), ["A", "A"], np.zeros(3 * VAD_RATE, np.float32))
    assert turns == [Turn(0.0, 2.2, "A")]


def test_windows_without_a_label_give_no_turn() -> None:
    speech = [(0.0, 0.3), (2.0, 3.5)]
    turns = turns_of(speech, voice_windows(speech), [None, "A"], np.zeros(4 * VAD_RATE, np.float32))
    assert turns == [Turn(2.0, 3.5, "A")]
