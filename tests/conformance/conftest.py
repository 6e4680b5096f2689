"""Every model of the catalog in turn, for the classes of the kit: a row added to the catalog is under these tests at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.testing import Row
from runners import catalog
from runners.catalog import piper_voices
from runners.wiring import factories as parts

ELSEWHERE = {"fish"}
"""Backends that ask a server of another kind; their own tests have one that speaks its protocol."""

LIKE_ALL_PIPER_VOICES = {"piper/en_US-joe-medium", "piper/en_US-lessac-medium", "piper/en_US-arctic-medium", "piper/en_GB-alan-medium"}
"""Piper's voices under these tests: all 176 are one kind of file, and would be a download of 11 GB."""

AFAR = (
    ModelEntry("upstream/tones/listen", "upstream", Task.STT, "MIT", ("en",), word_times=True),
    ModelEntry(
        "upstream/tones/speak", "upstream-tts", Task.TTS, "MIT", ("en",), sample_rate=24_000, voices=(Voice("tone", "en-US"),),
        default_voice="tone",
    ),
)  # fmt: skip
"""Models of our own server, asked over HTTP as any OpenAI-compatible one."""


def rows(task: Task) -> list[Any]:
    """List the rows of a task as parameters; one with files to download is of the tier with weights."""
    backends = {entry.name: entry for entry in catalog.backends()}
    unlike = {model.id for model in piper_voices.rows()} - LIKE_ALL_PIPER_VOICES
    models = [model for model in (*catalog.models(), *AFAR) if model.task is task and model.backend not in ELSEWHERE]
    models = [model for model in models if model.id not in unlike]
    marks = {model.id: [pytest.mark.weights] if any(part.sources for part in model.whole) else [] for model in models}
    return [pytest.param(Row(backends[model.backend], model), id=model.id, marks=marks[model.id]) for model in models]


def own_values(row: Row, request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """Return the settings by which a backend asks a server of ours; those of the defaults for others."""
    if row.model not in AFAR:
        return {}
    at = "STT_UPSTREAM_" if row.backend.task is Task.STT else "TTS_UPSTREAM_"
    url = request.getfixturevalue("tones_upstream")
    return parts.host_options(config.load({at + "URL": url, at + "API_KEY": "sesame"}), row.backend.name).settings
