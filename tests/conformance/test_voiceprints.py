"""Every backend of the catalog that computes voiceprints does what the kit says."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.backends import Task
from open_speech.testing import Row, VoiceprintConformance
from tests.conformance.conftest import rows


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning")  # of the engines' own dependencies
class TestVoiceprints(VoiceprintConformance):
    @pytest.fixture(scope="class", params=[row for row in rows(Task.DIARIZE) if row.values[0].backend.voiceprints])
    @classmethod
    def row(cls, request: pytest.FixtureRequest) -> Row:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls, weights_root: Path) -> Path:
        return weights_root
