"""espeak-ng as a backend of Open Speech. Every process of the server imports this module, so it only has the rows of the catalog."""

from __future__ import annotations

from pathlib import Path

from open_speech.backends import BackendEntry, Task
from open_speech.model_rows import read_models
from open_speech.plugins import Plugin

PLUGIN = Plugin(
    backend=BackendEntry(
        name="espeak",
        task=Task.TTS,
        target="open_speech_espeak.runner:Espeak",
        requires=(),
        programs=("espeak-ng",),
        extra="",
        install="apt-get install espeak-ng",
        licence="MIT, runs espeak-ng (GPL-3.0-or-later)",
        speed_range=(0.5, 2.5),
        openai_voices={"alloy": "en-us", "echo": "en-us", "fable": "en-gb", "onyx": "en-gb-x-rp"},
    ),
    models=read_models(Path(__file__).parent / "models.toml"),
)
