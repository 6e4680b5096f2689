"""Every language model of the catalog does what the kit says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import Task
from open_speech.testing import Row, TextGeneratorConformance
from runners.wiring.factories import host_options
from tests.conformance.conftest import rows


class TestTextGenerator(TextGeneratorConformance):
    @pytest.fixture(scope="class", params=rows(Task.LLM))
    @classmethod
    def row(cls, request: pytest.FixtureRequest) -> Row:
        return request.param

    @pytest.fixture(scope="class")
    @classmethod
    def models_dir(cls, weights_root: Path) -> Path:
        return weights_root

    @pytest.fixture(scope="class")
    @classmethod
    def backend_settings(cls, row: Row) -> Mapping[str, Any]:
        small = config.load({"LLM_CONTEXT_SIZE": "2048", "LLM_PARALLEL": "2"})
        return host_options(small, row.backend.name).settings
