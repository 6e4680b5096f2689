"""The requirements of every backend that computes voiceprints, with any engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, VoiceprintExtractor
from open_speech.codecs import decode
from open_speech.testing.clips import speech_clips
from open_speech.testing.row import CatalogRow

WINDOWS = [(start, start + 1.5) for start in (1.0, 3.2, 9.0, 11.0, 14.0, 21.0, 30.0, 38.0)]
"""Seconds of speech in the recording."""


def similarities(prints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine similarity of each pair of voiceprints, shape (n, n)."""
    units = prints / np.linalg.norm(prints, axis=1, keepdims=True)
    return np.asarray(units @ units.T, np.float32)


class VoiceprintConformance(CatalogRow):
    """The tests of a backend with `voiceprints`."""

    @pytest.fixture(scope="class")
    @classmethod
    def speech(cls, models_dir: Path) -> Audio:
        """A recording of one speaker, at STT_RATE."""
        return decode(speech_clips(models_dir)["two_cities"], STT_RATE, max_seconds=60)

    def test_one_voice_is_similar_and_another_pitch_is_not(self, backend: VoiceprintExtractor, speech: Audio) -> None:
        """Windows of one speaker have a mean similarity of more than 0.4; with the same speech at 1.5 times the pitch, it is 0.2 lower."""
        places = np.arange(len(speech.samples))
        higher = Audio(np.interp(np.arange(0, places[-1], 1.5), places, speech.samples).astype(np.float32), STT_RATE)
        own = backend.voiceprints(speech, WINDOWS)
        other = backend.voiceprints(higher, [(start / 1.5, start / 1.5 + 1.5) for start, _ in WINDOWS if start < 38])
        alike = similarities(np.concatenate([own, other]))
        same = float(alike[: len(own), : len(own)][np.triu_indices(len(own), 1)].mean())
        assert same > 0.4
        assert float(alike[: len(own), len(own) :].mean()) < same - 0.2

    def test_the_order_of_the_windows_is_kept(self, backend: VoiceprintExtractor, speech: Audio) -> None:
        """A voiceprint depends on its own window alone: neither on its place in the call nor on the other windows."""
        together = backend.voiceprints(speech, [(1.0, 1.4), *WINDOWS, (3.0, 5.0)])
        alone = np.concatenate([backend.voiceprints(speech, [window]) for window in [(1.0, 1.4), *WINDOWS, (3.0, 5.0)]])
        assert np.allclose(together, alone, atol=1e-3)

    @pytest.mark.parametrize("seconds", [0.0, 0.05, 0.25, 1.5, 2.0])
    def test_silence_and_broken_samples_do_not_fail(self, backend: VoiceprintExtractor, seconds: float) -> None:
        """Windows of any length up to 2 s have a finite voiceprint, also of silence, of NaN, and beyond the end of the audio."""
        for audio in (silence(seconds, STT_RATE), Audio(np.full(round(seconds * STT_RATE), np.nan, np.float32), STT_RATE)):
            prints = backend.voiceprints(audio, [(0.0, seconds), (seconds, seconds + 1.0)])
            assert len(prints) == 2
            assert np.isfinite(prints).all()

    def test_no_windows_have_no_voiceprints(self, backend: VoiceprintExtractor, speech: Audio) -> None:
        """A call without windows returns an empty array."""
        assert len(backend.voiceprints(speech, [])) == 0
