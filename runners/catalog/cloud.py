"""The backends of cloud providers, one for each task: rows of the catalog. Their models are in the settings."""

from __future__ import annotations

from collections.abc import Iterator

from open_speech.backends import BackendEntry, Task
from runners.support.backend_options import CartesiaOptions, CloudOptions, DeepgramOptions, ElevenLabsOptions

CALLS = 16
"""Concurrent requests: the provider does the work."""


def _entries(
    name: str, cls: str, options: type[CloudOptions], *, piece_chars: int, speeds: tuple[float, float] = (1.0, 1.0)
) -> Iterator[BackendEntry]:
    """Yield both backends of a provider; `piece_chars` and `speeds` are those of its speech."""
    for task, suffix, part in ((Task.STT, "", "Transcriber"), (Task.TTS, "-tts", "Synthesizer")):
        yield BackendEntry(
            name=name + suffix,
            task=task,
            target=f"runners.{name}:{cls}{part}",
            requires=(),
            extra="",
            licence="MIT",
            settings=options.settings(),
            prefix=f"{name}/",
            offers=f"runners.support.cloud:{name}_{'stt' if task is Task.STT else 'tts'}",
            calls=CALLS,
            piece_chars=piece_chars,
            speed_range=speeds,
        )


CLOUD_BACKENDS: tuple[BackendEntry, ...] = (
    *_entries("deepgram", "Deepgram", DeepgramOptions, piece_chars=1000),  # the provider takes 2000
    *_entries("elevenlabs", "ElevenLabs", ElevenLabsOptions, piece_chars=1000, speeds=(0.7, 1.2)),
    *_entries("cartesia", "Cartesia", CartesiaOptions, piece_chars=500),
)
