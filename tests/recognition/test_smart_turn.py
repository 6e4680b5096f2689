"""The features of smart-turn against those of Whisper's own extractor, and its verdicts on real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.codecs import decode
from open_speech.recognition.smart_turn import RATE, SmartTurn, features
from open_speech.weights import Store
from runners import catalog

BANDS, FRAMES = [0, 5, 20, 40, 60, 79], [0, 499, 500, 560, 650, 700, 780, 799]
GOLDEN = {
    3.0: """
        -0.0782  0.6435  1.5014  0.2578  0.0061 -0.0277 -0.0782 -0.0782
        -0.1240  0.5834  1.3103  1.5135  0.5583 -0.1130 -0.1240 -0.1240
        -0.1240  0.0563  0.5556 -0.1240 -0.0311 -0.1240 -0.1240 -0.1240
        -0.1240 -0.1240  0.2389 -0.1240 -0.1240 -0.1240 -0.1240 -0.1240
        -0.1240  0.0036  0.5132 -0.1240 -0.1240 -0.1240 -0.1240 -0.1240
        -0.1240 -0.1240  0.1791 -0.1240 -0.1240 -0.1240 -0.1240 -0.1240""",
    10.0: """
        1.1706 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351
        1.2260 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351
        1.0513 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351
        0.5264 -0.0019  0.0324 -0.0214  1.4072  1.6006 -0.2351 -0.2351
        0.6024 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351
        0.3102 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351 -0.2351""",
}
"""Features of `signal`, of so many seconds, at BANDS and FRAMES: of WhisperFeatureExtractor(chunk_length=8) with do_normalize, from
transformers 5.24, over audio that is padded in front. At 10 s the first two are cut off."""


def signal(seconds: float) -> NDArray[np.float32]:
    """Return a rising tone that swells and fades, and a quarter of a second of silence."""
    at = np.arange(round(seconds * RATE)) / RATE
    tones = np.sin(2 * np.pi * (120 * at + 90 * at * at)) * 0.3 + np.sin(2 * np.pi * 3000 * at) * 0.05
    return np.asarray(tones * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)) * (at < seconds - 0.25), np.float32)


@pytest.mark.parametrize("seconds", sorted(GOLDEN))
def test_the_features_are_those_of_whispers_extractor(seconds: float) -> None:
    found = features(signal(seconds))
    assert (found.shape, found.dtype) == ((80, 800), np.float32)
    expected = np.array([line.split() for line in GOLDEN[seconds].strip().splitlines()], float)
    assert np.abs(found[BANDS][:, FRAMES] - expected).max() < 2e-4


def test_silence_and_no_audio_have_features() -> None:
    assert np.isfinite(features(np.zeros(RATE, np.float32))).all()
    np.testing.assert_array_equal(features(np.zeros(0, np.float32)), features(np.zeros(RATE, np.float32)))


def test_only_the_last_eight_seconds_count() -> None:
    samples = signal(12)
    np.testing.assert_array_equal(features(samples), features(samples[-8 * RATE :]))


@pytest.fixture(scope="module")
def model(weights_root: Path) -> SmartTurn:
    entry = catalog.turn_detector()
    return SmartTurn(Store(weights_root).pull(entry) / entry.files[0].path)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("start_s", "end_s", "is_complete"), [(0.72, 4.86, True), (0.72, 6.46, False), (7.07, 15.07, False), (33.92, 41.92, True)]
)
def test_pauses_of_a_reader_are_told_from_the_ends_of_sentences(
    model: SmartTurn, speech_clips: dict[str, Path], start_s: float, end_s: float, is_complete: bool
) -> None:
    """Each span ends 0.2 s after a word. The probabilities are 0.98, 0.07, 0.06 and 0.99, on other processors up to 0.03 more or less."""
    samples = decode(speech_clips["two_cities"], RATE, max_seconds=60).samples
    span = Audio(samples[round(start_s * RATE) : round(end_s * RATE)], RATE)
    assert model.is_complete(span) == is_complete
    assert model.probability(span) == pytest.approx(float(is_complete), abs=0.15)


@pytest.mark.weights
def test_audio_of_any_rate_has_nearly_the_same_probability(model: SmartTurn, speech_clips: dict[str, Path]) -> None:
    probabilities = [model.probability(decode(speech_clips["beckett"], rate, max_seconds=60)) for rate in (RATE, 48_000)]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=0.05)
