"""Descriptions of all available voices: voices of models, presets, recordings and OpenAI's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from open_speech.api.openai.schemas import VoiceBody
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.errors import SpeechError
from open_speech.registry import OPENAI_TTS, OPENAI_VOICES
from open_speech.voices import FolderVoice, Preset, StoredVoice, VoiceResolver

PATH = "/v1/audio/voices"
_FIRST_OF_BLEND = re.compile(r"[^(+#]*")


def listed(
    voice_resolver: VoiceResolver,
    model: str | None = None,
    *,
    root: str = "",
    recordings: Iterable[StoredVoice | FolderVoice] | None = None,
) -> Iterator[VoiceBody]:
    """Describe every voice of all served models or of one model. Blocking: recordings are looked up on disk, unless they are given.

    `root` is a prefix of the paths that clients request, as in `OS_ROOT_PATH`.

    Raises the errors of `Registry.find` for an unknown model.
    """
    registry = voice_resolver.registry
    entries = registry.models(Task.TTS) if model is None else [registry.find(model, Task.TTS)]
    for entry in entries:
        for voice in entry.voices:
            yield voice_of(entry, voice, root)
    requested = OPENAI_TTS[0] if model is None else model
    for name in voice_resolver.presets.voices:
        yield from _named(voice_resolver, requested, name, entries, root)
    if model is None or entries[0].clones:
        for stored in voice_resolver.recordings() if recordings is None else recordings:
            yield recording_voice(voice_resolver, stored, entries, root=root)
    for name in OPENAI_VOICES:
        yield from _named(voice_resolver, requested, name, entries, root)


def voice_of(entry: ModelEntry, voice: Voice, root: str = "") -> VoiceBody:
    """Describe a voice of a model."""
    return VoiceBody(
        id=voice.id,
        name=voice.id,
        display_name=voice.name or None,
        language=voice.language,
        gender=voice.gender,
        model=entry.id,
        engine=entry.backend,
        licence=entry.licence,
        sample=root + _sample(voice.id, entry),
        unusable=f"Its language is not installed; run: {voice.needs}" if voice.needs else None,
    )


def recording_voice(
    voice_resolver: VoiceResolver, voice: StoredVoice | FolderVoice, entries: list[ModelEntry] | None = None, *, root: str = ""
) -> VoiceBody:
    """Describe a recording, with the first model that supports voice cloning, of `entries` or else of all served models."""
    served = voice_resolver.registry.models(Task.TTS) if entries is None else entries
    entry = next((entry for entry in served if entry.clones), None)
    stored = voice if isinstance(voice, StoredVoice) else None
    name = stored.id if stored else voice.name
    return VoiceBody(
        id=name,
        name=voice.name,
        kind="library",
        language=voice.language,
        model=entry.id if entry else None,
        engine=entry.backend if entry else None,
        sample=root + _sample(name, None),
        unusable=None if entry else "No model on this server supports voice cloning.",
        created_at=stored.created_at if stored else None,
        type="audio_sample",
    )


def _named(voice_resolver: VoiceResolver, requested: str, name: str, entries: list[ModelEntry], root: str) -> Iterator[VoiceBody]:
    """Describe a preset or one of OpenAI's names, unless its model is not served or not in `entries`."""
    try:
        entry, preset = voice_resolver.behind(requested, name)
        voice = preset.voice if preset and preset.voice else voice_resolver.registry.voice(entry, None if preset else name)
    except SpeechError:
        return
    if entry.id not in [known.id for known in entries]:
        return
    preset = preset or Preset()
    first = _FIRST_OF_BLEND.match(voice)
    own = next((known for known in entry.voices if first and known.id == first[0]), None)
    yield VoiceBody(
        id=name,
        name=name,
        kind="alias" if name in OPENAI_VOICES else "preset",
        description=preset.description or None,
        language=preset.language or (own.language if own else None),
        gender=preset.gender or (own.gender if own else None),
        model=entry.id,
        engine=entry.backend,
        licence=entry.licence,
        voice=voice,
        sample=root + _sample(name, entry),
    )


def _sample(name: str, entry: ModelEntry | None) -> str:
    return f"{PATH}/{quote(name, safe='')}/sample" + (f"?model={quote(entry.id, safe='')}" if entry else "")
