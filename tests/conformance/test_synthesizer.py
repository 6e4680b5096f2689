"""Every synthesizer of the catalog does what the kit says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from open_speech.backends import Task
from open_speech.testing import BatchSynthesizerConformance, Row, SynthesizerConformance
from tests.conformance.conftest import own_values, rows

TONES = "tones/speak"


class TestSynthesizer(SynthesizerConformance):
    left_out: ClassVar[tuple[str, ...]] = ("ja", "zh")  # these need an extra each

    @pytest.fixture(scope="class", params=rows(Task.TTS))
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

    def _needs_speech(self, row: Row) -> None:
        if row.model.id.endswith(TONES):
            pytest.skip("the tones sound every character, and are no speech")


class TestBatchSynthesizer(BatchSynthesizerConformance):
    @pytest.fixture(scope="class", params=[row for row in rows(Task.TTS) if row.values[0].backend.batch])
    @classmethod
    def row(cls, request: pytest.FixtureRequest) -> Row:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls, weights_root: Path) -> Path:
        return weights_root
