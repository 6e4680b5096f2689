"""The names of models and voices in the response to `describe`. Pure.

A model of another server is listed by its name on that server, as wyoming_openai lists it, not by its id here (`upstream/whisper-1`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from open_speech.backends import ModelEntry
from open_speech.errors import SpeechError
from open_speech.registry import Registry


def model_names(registry: Registry, models: Sequence[ModelEntry]) -> dict[str, str]:
    """Return the name of each model by its id; all names are different.

    A model of another server keeps its id if its own name means a model of this server: a request for `whisper-1` then gets the same model
    by Wyoming as by HTTP.
    """
    own = {entry.id: name for entry in models if (name := peer_name(registry, entry))}
    counts = Counter(own.values()) + Counter(entry.id for entry in models)
    return {entry.id: _chosen(registry, entry, own.get(entry.id), counts) for entry in models}


def peer_name(registry: Registry, entry: ModelEntry) -> str:
    """Return a model's name on the other server that has it; empty for a model of this server."""
    prefix = registry.backends[entry.backend].prefix
    return (entry.peer_name or entry.id.removeprefix(prefix)) if prefix else ""


def shared_voices(registry: Registry, models: Iterable[ModelEntry]) -> frozenset[str]:
    """Return the voice names that several models of other servers have: `alloy` is then listed as `alloy (tts-1)`, `alloy (tts-1-hd)`."""
    counts = Counter(voice.id for entry in models if peer_name(registry, entry) for voice in entry.voices if not voice.needs)
    return frozenset(name for name, count in counts.items() if count > 1)


def _chosen(registry: Registry, entry: ModelEntry, name: str | None, counts: Counter[str]) -> str:
    if not name or counts[name] > 1:
        return entry.id
    try:
        known = registry.find(name, entry.task)
    except SpeechError:
        return name
    return name if peer_name(registry, known) else entry.id
