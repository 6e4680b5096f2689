"""Backends of cloud providers over a server on loopback, and what all providers have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from open_speech import config
from open_speech.audio import Audio, concat, to_pcm16
from open_speech.backends import STT_RATE, Setup, Task
from open_speech.transcript import Segment, TranscriptInfo
from runners.support.cloud import PROVIDERS, CloudSynthesizer, CloudTranscriber
from runners.wiring import factories as parts
from tests.scripted_server import Upstream

KEY = "s3same-key"
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 3 * STT_RATE).astype(np.float32), STT_RATE)
PCM = (np.sin(np.arange(24_000) / 30) * 16_000).astype("<i2").tobytes()
"""One second at 24 kHz."""


def setup(provider: str, model: str, task: Task, server: Upstream, **settings: str) -> Setup:
    prefix = PROVIDERS[provider].prefix.upper()
    values = {"URL": server.root, "API_KEY": KEY, "MAX_RETRIES": "0"} | settings
    chosen = config.load({prefix + name: value for name, value in values.items()})
    name = provider if task is Task.STT else f"{provider}-tts"
    registry = parts.registry(chosen, {name: "process"})
    return Setup(registry.find(f"{provider}/{model}", task), Path(), settings=parts.host_options(chosen, name).settings)


def loaded(backend: Any) -> Any:
    backend.load()
    return backend


def heard(backend: CloudTranscriber, options: Any, audio: Audio = NOISE) -> tuple[TranscriptInfo, list[Segment]]:
    items = list(backend.transcribe(audio, options))
    infos = [item for item in items if isinstance(item, TranscriptInfo)]
    assert items[0] is infos[0]
    return infos[-1], [item for item in items if isinstance(item, Segment)]


def said(backend: CloudSynthesizer, options: Any, text: str = "Hello there.") -> bytes:
    pieces = list(backend.synthesize(text, options))
    assert {piece.rate for piece in pieces} == {24_000}
    return to_pcm16(concat(pieces, 24_000))
