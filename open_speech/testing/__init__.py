"""The conformance kit: the requirements of every backend, as test classes over one row of the catalog. Requires pytest and jiwer.

A package with a backend subclasses the class of its task in its own tests, and sets its plugin (docs/backends.md). The tests of Open
Speech run the same classes over every row of its catalog.
"""

import pytest

_MODULES = ("row", "synthesizer", "batches", "transcriber", "windows", "diarizer", "text_generator", "voiceprints")
pytest.register_assert_rewrite(*(f"open_speech.testing.{name}" for name in _MODULES))


from open_speech.testing.batches import BatchSynthesizerConformance  # noqa: E402 - its assertions are rewritten from here on
from open_speech.testing.diarizer import DiarizerConformance  # noqa: E402
from open_speech.testing.row import CatalogRow, PluginConformance, Row  # noqa: E402
from open_speech.testing.synthesizer import SynthesizerConformance  # noqa: E402
from open_speech.testing.text_generator import TextGeneratorConformance  # noqa: E402
from open_speech.testing.transcriber import Spoken, TranscriberConformance  # noqa: E402
from open_speech.testing.voiceprints import VoiceprintConformance  # noqa: E402
from open_speech.testing.windows import WindowTranscriberConformance  # noqa: E402

__all__ = [
    "BatchSynthesizerConformance",
    "CatalogRow",
    "DiarizerConformance",
    "PluginConformance",
    "Row",
    "Spoken",
    "SynthesizerConformance",
    "TextGeneratorConformance",
    "TranscriberConformance",
    "VoiceprintConformance",
    "WindowTranscriberConformance",
]
