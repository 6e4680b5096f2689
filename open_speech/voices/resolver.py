"""Resolves the model, voice and options of a request to a voice that the model supports, or raises an error that names the field."""

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

_CLONE, _DESIGN = "clone voices", "design voices"


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """The options of a request besides the name of a voice."""

    reference: VoiceReference | None = None
    """The voice to clone."""
    design: str | None = None
    """Description of a voice to design."""
    instructions: str | None = None
    """How to speak. Models without support for instructions ignore them, because OpenAI's clients always send them."""
    field: str = "reference_audio"
    """The request field that contained `reference`."""
    lenient: bool | None = None
    """Whether options that the model does not support are ignored, instead of refusing the request.

    None ignores `reference` and `design`, but not a voice that the model cannot speak with; True ignores all of them, False none.
    """


@dataclass(frozen=True, slots=True)
class ResolvedVoice:
    """A model, its voice and options, all of which the model supports."""

    model: ModelEntry
    voice: str
    speed: float | None = None
    language: str | None = None
    reference: VoiceReference | None = None
    design: str | None = None
    instructions: str | None = None
    warnings: tuple[str, ...] = ()
    """One sentence for each option that was ignored, for users."""


class VoiceResolver:
    """Resolves voice names: voices of models, presets, OpenAI's names, recordings."""

    def __init__(
        self, registry: Registry, presets: Presets | None = None, library: Library | None = None, folder: VoiceFolder | None = None
    ) -> None:
        self.registry = registry
        self.presets = presets or Presets()
        self.library = library
        self.folder = folder or VoiceFolder(None)

    async def resolve(
        self, model: str, voice: str | None, options: VoiceOptions, *, speed: float | None, language: str | None
    ) -> ResolvedVoice:
        """Resolve the voice of a request.

        Raises UnknownModel, UnknownVoice, UnsupportedValue or InvalidValue, each naming the invalid field.
        """
        entry, preset = self.behind(model, voice)
        name = voice if preset is None else preset.voice
        if name and model != entry.id and not entry.clones and not self._has(entry, name):
            entry = await asyncio.to_thread(self._cloning, entry, name)
        preset = preset or Preset()
        reference, design = options.reference, options.design or preset.design
        if not (name or reference or design) and entry.designs:
            design = options.instructions  # instructions without a voice describe the voice to design
        warnings: list[str] = []
        is_strict = options.lenient is False
        if reference and not entry.clones:
            warnings.append(self._ignored(entry, _CLONE, options.field, is_strict=is_strict))
            reference = None
        if design and not entry.designs:
            is_own = options.design is not None
            strict = is_strict if is_own else not options.lenient
            warnings.append(self._ignored(entry, _DESIGN, "voice_design" if is_own else "voice", is_strict=strict))
            design = None
        if reference and options.design and design:
            raise InvalidValue(f"Send either `{options.field}` or `voice_design`, not both.", param="voice_design")
        if reference or design:
            own = self.registry.voice(entry, None)
        else:
            own, reference = await self._voice_or_recording(entry, name, voice)
        if reference and not entry.clones:
            warnings.append(self._ignored(entry, _CLONE, "voice", is_strict=not options.lenient))
            reference = None
        return ResolvedVoice(
            entry,
            own,
            preset.speed if speed is None else speed,
            language_tag(language) or preset.language or (await asyncio.to_thread(self._recorded_language, name) if reference else None),
            reference,
            None if reference else design,
            (options.instructions or preset.instructions) if entry.instructs else None,
            tuple(warnings),
        )

    def behind(self, model: str, name: str | None) -> tuple[ModelEntry, Preset | None]:
        """Return the model and the preset for a name. The model is that of the preset, unless the request names another one.

        Raises UnknownModel, NotInstalled, WrongTask or UnknownVoice.
        """
        if name and name.lower() in OPENAI_VOICES:
            name = name.lower()
        preset = self.presets.find(name)
        requested = self.registry.find(model, Task.TTS) if preset else self.registry.speaker(model, name)
        if preset is None:
            return requested, None
        own = requested if preset.model is None else self.registry.find(preset.model, Task.TTS)
        entry = own if model in OPENAI_TTS else requested
        matches = own.id == entry.id
        if name in OPENAI_VOICES and not (matches and (entry.clones or self._has(entry, preset.voice))):
            return requested, None  # every model has a voice for each of OpenAI's names
        if not matches:
            raise UnknownVoice(f"The voice `{name}` belongs to the model `{preset.model}`, not to `{requested.id}`.", param="voice")
        return entry, preset

    def voice(self, model: ModelEntry, name: str) -> str:
        """Resolve a voice that is named within a text: a voice of the model, or a preset of it. Raises UnknownVoice."""
        _, preset = self.behind(model.id, name)
        return self.registry.voice(model, preset.voice if preset else name)

    def is_taken(self, name: str) -> bool:
        """Return whether a voice that cannot be deleted has this name. Blocking."""
        known = {voice.id for model in self.registry.all_models() for voice in model.voices}
        return name in known or name in self.presets.voices or name in OPENAI_VOICES or self.folder.find(name) is not None

    def recording(self, name: str) -> StoredVoice | FolderVoice | None:
        """Find a recording in the library, by id or name, or in the folder, by name. Blocking."""
        return (self.library.find(name) if self.library else None) or self.folder.find(name)

    def recordings(self) -> Iterator[StoredVoice | FolderVoice]:
        """List every recording: those of the library, newest first, then those of the folder. Blocking."""
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
        except OSError as error:  # deleted at this moment, or unreadable
            raise BackendFailed(f"The recording of the voice `{name}` cannot be read.") from error

    def _recorded_language(self, name: str | None) -> str | None:
        """Return the language of the recording of a name, as its file name or its entry in the library states it. Blocking."""
        voice = self.recording(name) if name else None
        return voice.language if voice else None

    def path(self, voice: StoredVoice | FolderVoice) -> Path:
        """Return the path of a recording."""
        if isinstance(voice, FolderVoice):
            return voice.path
        assert self.library is not None
        return self.library.recording(voice)

    def _cloning(self, entry: ModelEntry, name: str) -> ModelEntry:
        """Return a model that can clone voices if a stored recording has that name, else `entry`. Blocking."""
        if self.recording(name) is None:
            return entry
        return next((other for other in self.registry.models(Task.TTS) if other.clones), entry)

    def _has(self, entry: ModelEntry, voice: str | None) -> bool:
        try:
            self.registry.voice(entry, voice)
        except UnknownVoice:
            return False
        return True

    async def _voice_or_recording(self, entry: ModelEntry, name: str | None, requested: str | None) -> tuple[str, VoiceReference | None]:
        """Find a voice of the model or a recording; `requested` is the name in the request."""
        try:
            return self.registry.voice(entry, name), None
        except UnknownVoice:
            reference = await asyncio.to_thread(self.reference, name or "", "voice")
            if reference is None and (requested or "").lower() not in OPENAI_VOICES:
                raise
            return self.registry.voice(entry, None if reference else requested), reference

    def _ignored(self, entry: ModelEntry, what: str, field: str, *, is_strict: bool) -> str:
        """Return a warning that `field` is ignored; if strict, raise UnsupportedValue naming it and the models that support it."""
        if not is_strict:
            return f"`{field}` was ignored: the model `{entry.id}` does not {what}."
        can = [m.id for m in self.registry.models(Task.TTS) if (m.clones if what == _CLONE else m.designs)]
        hint = f" Models that do: {', '.join(can)}." if can else " No model on this server does."
        raise UnsupportedValue(f"The model `{entry.id}` does not {what}.{hint} `ignore_unsupported` leaves it out.", param=field)
