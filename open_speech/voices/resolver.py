"""Who speaks: a request's model, voice and wishes -> a Role that the model can play, or an error that names the field."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from open_speech.backends import ModelEntry, Task, VoiceReference
from open_speech.errors import BackendFailed, InvalidValue, UnknownVoice, UnsupportedValue
from open_speech.languages import language_tag
from open_speech.registry import OPENAI_TTS, OPENAI_VOICES, Registry
from open_speech.voices.folder import FolderVoice, VoiceFolder
from open_speech.voices.library import Library, StoredVoice
from open_speech.voices.presets import Preset, Presets
from open_speech.voices.samples import sample_of

_CLONE = "clone voices"


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """What a request wishes beyond the name of a voice."""

    reference: VoiceReference | None = None
    """The voice to clone."""
    design: str | None = None
    """Description of a voice to make up."""
    instructions: str | None = None
    """How to speak; a model that follows none ignores them, as OpenAI's clients send them by habit."""
    field: str = "reference_audio"
    """The request field that `reference` came from."""
    lenient: bool = False
    """Leave out what the model cannot do instead of refusing it."""


@dataclass(frozen=True, slots=True)
class ResolvedVoice:
    """A model and how it speaks, with nothing in it that the model cannot do."""

    model: ModelEntry
    voice: str
    speed: float | None = None
    language: str | None = None
    reference: VoiceReference | None = None
    design: str | None = None
    instructions: str | None = None


class VoiceResolver:
    """Everything that can be asked for by a voice's name: voices of models, presets, OpenAI's names, recordings."""

    def __init__(
        self, registry: Registry, presets: Presets | None = None, library: Library | None = None, folder: VoiceFolder | None = None
    ) -> None:
        self.registry = registry
        self.presets = presets or Presets()
        self.library = library
        self.folder = folder or VoiceFolder(None)

    async def resolve(
        self, model: str, voice: str | None, manner: VoiceOptions, *, speed: float | None, language: str | None
    ) -> ResolvedVoice:
        """Decide who speaks, and how.

        Raises UnknownModel, UnknownVoice, UnsupportedValue or InvalidValue, each naming the field at fault.
        """
        entry, preset = self.behind(model, voice)
        wanted = voice if preset is None else preset.voice
        if wanted and model != entry.id and not entry.clones and not self._has(entry, wanted):
            entry = await asyncio.to_thread(self._cloning, entry, wanted)
        preset = preset or Preset()
        reference, design = manner.reference, manner.design or preset.design
        if not (wanted or reference or design) and entry.designs:
            design = manner.instructions  # who names no voice but says what it should be like wants one made up
        if reference and manner.design:
            raise InvalidValue(f"Send either `{manner.field}` or `voice_design`, not both.", param="voice_design")
        if reference and not entry.clones:
            self._refuse(entry, _CLONE, manner.field, lenient=manner.lenient)
            reference = None
        if design and not entry.designs:
            self._refuse(entry, "design voices", "voice_design" if manner.design else "voice", lenient=manner.lenient)
            design = None
        if reference or design:
            own = self.registry.voice(entry, None)
        else:
            own, reference = await self._own_or_recorded(entry, wanted, voice)
        if reference and not entry.clones:
            self._refuse(entry, _CLONE, "voice", lenient=manner.lenient)
            reference = None
        return ResolvedVoice(
            entry,
            own,
            preset.speed if speed is None else speed,
            language_tag(language) or preset.language,
            reference,
            None if reference else design,
            (manner.instructions or preset.instructions) if entry.instructs else None,
        )

    def behind(self, model: str, name: str | None) -> tuple[ModelEntry, Preset | None]:
        """Tell the model, and the preset that stands behind a name if one does: its model counts, unless the request insists on another.

        Raises UnknownModel, NotInstalled, WrongTask or UnknownVoice.
        """
        if name and name.lower() in OPENAI_VOICES:
            name = name.lower()
        preset = self.presets.find(name)
        asked = self.registry.find(model, Task.TTS) if preset else self.registry.speaker(model, name)
        if preset is None:
            return asked, None
        own = asked if preset.model is None else self.registry.find(preset.model, Task.TTS)
        entry = own if model in OPENAI_TTS else asked
        fits = own.id == entry.id
        if name in OPENAI_VOICES and not (fits and (entry.clones or self._has(entry, preset.voice))):
            return asked, None  # OpenAI's names are some voice of every model
        if not fits:
            raise UnknownVoice(f"The voice `{name}` belongs to the model `{preset.model}`, not to `{asked.id}`.", param="voice")
        return entry, preset

    def voice(self, model: ModelEntry, name: str) -> str:
        """Resolve a voice in the midst of a text: one of the model's own, or a preset of it. Raises UnknownVoice."""
        _, preset = self.behind(model.id, name)
        return self.registry.voice(model, preset.voice if preset else name)

    def is_taken(self, name: str) -> bool:
        """Tell whether a voice that cannot be deleted has this name. Blocking."""
        known = {voice.id for model in self.registry.all_models() for voice in model.voices}
        return name in known or name in self.presets.voices or name in OPENAI_VOICES or self.folder.find(name) is not None

    def recording(self, name: str) -> StoredVoice | FolderVoice | None:
        """Find a recording: of the library, by id or name, or of the folder. Blocking."""
        return (self.library.find(name) if self.library else None) or self.folder.find(name)

    def recordings(self) -> Iterator[StoredVoice | FolderVoice]:
        """List every recording: of the library, newest first, then of the folder. Blocking."""
        if self.library:
            yield from self.library.voices()
        yield from self.folder.voices()

    def reference(self, name: str, field: str) -> VoiceReference | None:
        """Read the recording of a name; None if there is none. Blocking. Raises InvalidValue naming `field` if it cannot be used."""
        voice = self.recording(name)
        if voice is None:
            return None
        try:
            return VoiceReference.of(sample_of(self.path(voice), field), voice.transcript)
        except OSError as error:  # deleted in this moment, or not to be read
            raise BackendFailed(f"The recording of the voice `{name}` cannot be read.") from error

    def path(self, voice: StoredVoice | FolderVoice) -> Path:
        """Tell where a recording is."""
        if isinstance(voice, FolderVoice):
            return voice.path
        assert self.library is not None
        return self.library.recording(voice)

    def _cloning(self, entry: ModelEntry, name: str) -> ModelEntry:
        """Choose a model that clones for a stored recording of that name, where a request leaves the model open; else `entry`. Blocking."""
        if self.recording(name) is None:
            return entry
        return next((other for other in self.registry.models(Task.TTS) if other.clones), entry)

    def _has(self, entry: ModelEntry, voice: str | None) -> bool:
        try:
            self.registry.voice(entry, voice)
        except UnknownVoice:
            return False
        return True

    async def _own_or_recorded(self, entry: ModelEntry, name: str | None, asked: str | None) -> tuple[str, VoiceReference | None]:
        """Find a voice of the model or a recording; `asked` is what the request called it."""
        try:
            return self.registry.voice(entry, name), None
        except UnknownVoice:
            reference = await asyncio.to_thread(self.reference, name or "", "voice")
            if reference is None and (asked or "").lower() not in OPENAI_VOICES:
                raise
            return self.registry.voice(entry, None if reference else asked), reference

    def _refuse(self, entry: ModelEntry, what: str, field: str, *, lenient: bool) -> None:
        """Raise UnsupportedValue naming `field` and the models that can, unless the request takes what it gets."""
        if lenient:
            return
        can = [m.id for m in self.registry.models(Task.TTS) if (m.clones if what == _CLONE else m.designs)]
        hint = f" Models that do: {', '.join(can)}." if can else " No model on this server does."
        raise UnsupportedValue(f"The model `{entry.id}` does not {what}.{hint} `ignore_unsupported` leaves it out.", param=field)
