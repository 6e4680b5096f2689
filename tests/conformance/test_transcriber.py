"""Every recognizer of the catalog does what the kit says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from open_speech.audio import concat, resample, silence
from open_speech.backends import STT_RATE, ModelEntry, Setup, SpeechOptions, Task
from open_speech.testing import Row, Spoken, TranscriberConformance, WindowTranscriberConformance
from open_speech.testing.clips import BECKETT
from open_speech.testing.transcriber import beckett, two_cities
from open_speech.testing.words import ALLOWED_ERRORS
from runners.tones import TTS_RATE, TonesSynthesizer
from tests.conformance.conftest import own_values, rows

TONES = "tones/listen"
MAX_WER = {"vosk": 0.12}
"""Word error rate of the long recording where 0.05 is too strict: the small Vosk model's own figure for clear reading is 0.10."""


class TestTranscriber(TranscriberConformance):
    @pytest.fixture(scope="class", params=rows(Task.STT))
    @classmethod
    def row(cls, request: pytest.FixtureRequest) -> Row:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls, weights_root: Path) -> Path:
        return weights_root

    @pytest.fixture(scope="class")
    @classmethod
    def backend_settings(cls, row: Row, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        return own_values(row, request)

    @pytest.fixture
    def spoken(self, row: Row, request: pytest.FixtureRequest) -> Spoken:
        """Something that this recognizer has words for: tones for the tones, real speech for the others."""
        if not row.model.id.endswith(TONES):
            return beckett(request.getfixturevalue("clips"))
        speaker = TonesSynthesizer(Setup(ModelEntry("tones/speak", "tones-tts", Task.TTS, "MIT", ("en",)), Path()))
        said = concat(speaker.synthesize(BECKETT, SpeechOptions("tone")), TTS_RATE)
        padded = concat([silence(0.5, TTS_RATE), said, silence(0.5, TTS_RATE)], TTS_RATE)
        return Spoken(resample(padded, STT_RATE), BECKETT)

    @pytest.fixture
    def reading(self, row: Row, request: pytest.FixtureRequest) -> Spoken:
        if row.model.id.endswith(TONES):
            pytest.skip("the tones hear no speech")
        return two_cities(request.getfixturevalue("clips"))

    @pytest.fixture
    def allowed(self, row: Row) -> float:
        return 0 if row.model.id == TONES else ALLOWED_ERRORS

    @pytest.fixture
    def allowed_reading(self, row: Row) -> float:
        return MAX_WER.get(row.backend.name, 0.05)


class TestWindowTranscriber(WindowTranscriberConformance):
    @pytest.fixture(scope="class", params=[row for row in rows(Task.STT) if row.values[0].backend.batch])
    @classmethod
    def row(cls, request: pytest.FixtureRequest) -> Row:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls, weights_root: Path) -> Path:
        return weights_root
