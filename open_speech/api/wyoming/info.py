"""The response to Wyoming's `describe`, and the model and voice for a name in that response.

Everything is read from the registry, the presets and the folders of recordings at each call: no runner is called. Home Assistant uses
the languages of the first ASR program and the voices of the first TTS program, and no other program. The first ASR program is therefore
the default model alone, and one TTS program has all voices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker
from wyoming.tts import SynthesizeVoice

from open_speech import __version__
from open_speech.api.wyoming.names import model_names, peer_name, shared_voices
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.errors import BackendUnavailable, SpeechError, UnsupportedLanguage
from open_speech.languages import LANGUAGES, language_code
from open_speech.model_files import HubSource
from open_speech.registry import OPENAI_STT, OPENAI_TTS
from open_speech.voices import VoiceResolver

PROGRAM = "open-speech"
"""Name of the ASR program with the default model, and of the TTS program."""
THEIR_PROGRAM, THEIR_STREAMING_PROGRAM = "openai", "openai-streaming"
"""Names of wyoming_openai's programs. They are not listed, but a client that was set up with wyoming_openai may select them."""
OUR_PROJECT = "Open Speech"
_ISO_CODES = {"jw": "jv"}
"""Whisper's language codes -> ISO-639-1, where they differ."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """The model, voice and language of a speech, as the engine accepts them."""

    model: str
    voice: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class OfferedVoice:
    """One voice of the list."""

    name: str
    """Unique in the list."""
    chosen: VoiceChoice
    languages: tuple[str, ...]
    entry: ModelEntry
    label: str
    speakers: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Return whether a client's name, other than that of the list, means this voice: with its model's id before or after it."""
        voice, model = self.chosen.voice, self.entry
        return voice is not None and name in (f"{model.id}/{voice}", f"{voice} ({model.id})", f"{voice} ({model.peer_name})")


class Offer:
    """The list of programs, models and voices of one server. Its methods block: they look for recordings and weights on disk."""

    def __init__(
        self,
        voice_resolver: VoiceResolver,
        *,
        is_here: Callable[[ModelEntry], bool],
        streams: Callable[[ModelEntry], bool],
        languages: Sequence[str] = (),
    ) -> None:
        """`is_here` returns whether a model's weights are downloaded, `streams` whether the model recognizes speech while it is spoken.

        `languages` are those of models and voices that have none of their own; the default is all of Whisper's.
        """
        self._registry = voice_resolver.registry
        self._voice_resolver = voice_resolver
        self._is_downloaded = is_here
        self._streams = streams
        self._languages = tuple(languages) or tuple(LANGUAGES)

    def info(self) -> Info:
        """Return all programs, the default model of each task first."""
        stt_models = self._models(Task.STT)
        tts_models = self._models(Task.TTS)
        names = model_names(self._registry, stt_models)
        return Info(
            asr=[self._asr_program(entry, names[entry.id], first=at == 0) for at, entry in enumerate(stt_models)],
            tts=[self._tts_program(tts_models)] if tts_models else [],
        )

    def model(self, name: str | None) -> ModelEntry:
        """Return the transcription model for the name of a program or model, in the list or not; None is the default.

        Raises what `Registry.find` does, or BackendUnavailable.
        """
        if name is None or name == PROGRAM:
            return self._default(Task.STT)
        models = self._models(Task.STT)
        names = model_names(self._registry, models)
        listed = next((entry for entry in models if names[entry.id] == name), None)
        if listed is None and name in (THEIR_PROGRAM, THEIR_STREAMING_PROGRAM):
            streaming = name == THEIR_STREAMING_PROGRAM
            return next((entry for entry in models if self._streams(entry) == streaming), None) or self._default(Task.STT)
        return listed or self._registry.find(name, Task.STT)

    def streams(self, entry: ModelEntry) -> bool:
        """Return whether a model recognizes speech while it is spoken."""
        return self._streams(entry)

    def voice(self, requested: SynthesizeVoice | None) -> VoiceChoice:
        """Return the model and the voice for a client's request. A name that is not in the list is passed to the engine.

        Raises UnsupportedLanguage, BackendUnavailable, or NotInstalled if speech synthesis is disabled.
        """
        default = self._default(Task.TTS).id
        if requested is None or not (requested.name or requested.language):
            return VoiceChoice(default)
        if requested.name:
            voices = list(self._voices(self._models(Task.TTS)))
            known = next((voice for voice in voices if voice.name == requested.name), None)
            known = known or next((voice for voice in voices if voice.has(requested.name)), None)
            chosen = known.chosen if known else VoiceChoice(default, requested.name)
            return VoiceChoice(chosen.model, f"{chosen.voice}#{requested.speaker}") if requested.speaker and chosen.voice else chosen
        return self._voice_for_language(requested.language or "")

    def _voice_for_language(self, language: str) -> VoiceChoice:
        """Return the first voice of a language, preferably one of the same region."""
        tag, code = language.replace("_", "-").lower(), language_code(language)
        voices = [(voice, [known.lower() for known in voice.languages]) for voice in self._voices(self._models(Task.TTS))]
        matching = [voice for voice, known in voices if tag in known]
        matching += [voice for voice, known in voices if code and code in {language_code(one) for one in known}]
        if not matching:
            raise UnsupportedLanguage(f"No voice on this server speaks `{language}`.", param="language")
        return VoiceChoice(matching[0].chosen.model, matching[0].chosen.voice, language if len(matching[0].languages) > 1 else None)

    def _models(self, task: Task) -> list[ModelEntry]:
        """Return the served models of a task, the default one first. It may be one that the catalog does not list."""
        listed = self._registry.models(task)
        try:
            default = self._registry.find(OPENAI_STT[0] if task is Task.STT else OPENAI_TTS[0], task)
        except SpeechError:  # its backend does not run here: the first model that does is the default
            downloaded = [entry for entry in listed if self._is_downloaded(entry)]
            default = (downloaded or listed or [None])[0]  # type: ignore[list-item]
        return [default, *(entry for entry in listed if entry.id != default.id)] if default else []

    def _default(self, task: Task) -> ModelEntry:
        models = self._models(task)
        if not models:
            self._registry.check_enabled(task)
            raise BackendUnavailable(f"This server has no model for {task}, or does not know it yet.", retry_after_s=5)
        return models[0]

    def _asr_program(self, entry: ModelEntry, name: str, *, first: bool) -> AsrProgram:
        languages = [_ISO_CODES.get(code, code) for code in entry.languages or self._languages]
        downloaded = first or self._is_downloaded(entry)
        model = AsrModel(
            name=name, attribution=_made_by(entry), installed=downloaded, description=entry.description or entry.id, version=None,
            languages=languages,
        )  # fmt: skip
        return AsrProgram(
            name=PROGRAM if first else name,
            attribution=Attribution(OUR_PROJECT, ""),
            installed=downloaded,
            description=f"{OUR_PROJECT}: {name}",
            version=__version__,
            models=[model],
            supports_transcript_streaming=self._streams(entry),
        )

    def _tts_program(self, models: list[ModelEntry]) -> TtsProgram:
        downloaded = {entry.id for at, entry in enumerate(models) if at == 0 or self._is_downloaded(entry)}
        voices = [
            TtsVoice(
                name=voice.name, attribution=_made_by(voice.entry), installed=voice.entry.id in downloaded, description=voice.label,
                version=None, languages=list(voice.languages), speakers=[TtsVoiceSpeaker(name) for name in voice.speakers] or None,
            )
            for voice in self._voices(models)
        ]  # fmt: skip
        return TtsProgram(
            name=PROGRAM,
            attribution=Attribution(OUR_PROJECT, ""),
            installed=True,
            description=f"{OUR_PROJECT}: {', '.join(entry.id for entry in models)}",
            version=__version__,
            voices=voices,
            supports_synthesize_streaming=True,
        )

    def _voices(self, models: list[ModelEntry]) -> Iterator[OfferedVoice]:
        """Yield every voice under a unique name: a name that is taken already gets its model as a prefix."""
        taken: set[str] = set()
        for voice in (*self._model_voices(models), *self._presets(models), *self._recordings(models)):
            name = voice.name if voice.name not in taken else f"{voice.entry.id}/{voice.name}"
            if name not in taken:
                taken.add(name)
                yield OfferedVoice(name, voice.chosen, voice.languages, voice.entry, voice.label, voice.speakers)

    def _model_voices(self, models: list[ModelEntry]) -> Iterator[OfferedVoice]:
        names, shared = model_names(self._registry, models), shared_voices(self._registry, models)
        for entry in models:
            try:
                default = self._registry.voice(entry, None)
            except SpeechError:
                default = entry.default_voice
            if not entry.voices:
                name = names[entry.id]
                yield OfferedVoice(name, VoiceChoice(entry.id), self._voice_languages(entry, None), entry, f"{name} ({entry.backend})")
            usable = [voice for voice in entry.voices if not voice.needs]
            for voice in sorted(usable, key=lambda voice: voice.id != default):
                label = f"{voice.name or voice.id} ({entry.backend})"
                name = voice.id
                if voice.id in shared and (model := peer_name(self._registry, entry)):
                    name = label = f"{voice.id} ({model})"
                yield OfferedVoice(name, VoiceChoice(entry.id, voice.id), self._voice_languages(entry, voice), entry, label, voice.speakers)

    def _presets(self, models: list[ModelEntry]) -> Iterator[OfferedVoice]:
        for name, preset in self._voice_resolver.presets.voices.items():
            try:
                entry, _ = self._voice_resolver.behind(OPENAI_TTS[0], name)
            except SpeechError:  # its model does not run here
                continue
            languages = (preset.language,) if preset.language else self._voice_languages(entry, self._preset_voice(entry, preset.voice))
            if any(entry.id == model.id for model in models):
                yield OfferedVoice(name, VoiceChoice(entry.id, name), languages, entry, preset.description or name)

    def _recordings(self, models: list[ModelEntry]) -> Iterator[OfferedVoice]:
        entry = next((model for model in models if model.clones), None)
        if entry is None:
            return
        for voice in self._voice_resolver.recordings():
            languages = (voice.language,) if voice.language else entry.languages or self._languages
            yield OfferedVoice(voice.name, VoiceChoice(entry.id, voice.name), languages, entry, f"{voice.name} ({entry.backend})")

    def _preset_voice(self, entry: ModelEntry, name: str | None) -> Voice | None:
        """Return the voice of a preset; the first one of a blend."""
        plain = (name or entry.default_voice).partition("(")[0].partition("+")[0].partition("#")[0]
        return next((voice for voice in entry.voices if voice.id == plain), None)

    def _voice_languages(self, entry: ModelEntry, voice: Voice | None) -> tuple[str, ...]:
        """Return the languages of a voice, never none: its own first, and all of the model's where its voices are not bound to one."""
        own = (voice.language,) if voice and voice.language else ()
        further = entry.languages if entry.clones or not own else ()
        return tuple(dict.fromkeys((*own, *further))) or self._languages


def _made_by(entry: ModelEntry) -> Attribution:
    hub = next((source.repo for source in entry.sources if isinstance(source, HubSource)), None)
    return Attribution(hub.partition("/")[0] if hub else entry.backend, f"https://huggingface.co/{hub}" if hub else "")
