"""What this server can do, as Wyoming's `describe` is answered; and which model and voice a name in that answer stands for.

Everything is read from the registry, the presets and the folders of recordings at the moment it is asked: no runner is called. Home
Assistant knows the languages of the first program that listens, the voices of the first that speaks, and no other program; so the first
to listen is the default model alone, and one program speaks with every voice there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker
from wyoming.tts import SynthesizeVoice

from open_speech import __version__
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.errors import BackendUnavailable, SpeechError, UnsupportedLanguage
from open_speech.languages import LANGUAGES, language_code
from open_speech.model_files import HubSource
from open_speech.registry import OPENAI_STT, OPENAI_TTS
from open_speech.voices import VoiceResolver

PROGRAM = "open-speech"
"""Name of the programs that listen with the default model, and that speak."""
OUR_PROJECT = "Open Speech"
_WRITTEN = {"jw": "jv"}
"""Whisper's codes -> ISO-639-1, where they differ."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a speech is asked for with, as the engine takes it."""

    model: str
    voice: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Offered:
    """One voice in the list."""

    name: str
    """Unique in the list."""
    chosen: Chosen
    languages: tuple[str, ...]
    entry: ModelEntry
    label: str
    speakers: tuple[str, ...] = ()


class Offer:
    """The list of programs, models and voices of one server. Its methods block: recordings and weights are looked up on disk."""

    def __init__(
        self,
        voice_resolver: VoiceResolver,
        *,
        is_here: Callable[[ModelEntry], bool],
        streams: Callable[[ModelEntry], bool],
        languages: Sequence[str] = (),
    ) -> None:
        """`is_here` tells whether a model's weights are on this machine, `streams` whether it is asked while somebody still speaks.

        `languages` are told of models and voices that know none themselves; without them all that Whisper knows.
        """
        self._registry = voice_resolver.registry
        self._voice_resolver = voice_resolver
        self._is_here = is_here
        self._streams = streams
        self._languages = tuple(languages) or tuple(LANGUAGES)

    def info(self) -> Info:
        """List everything, the default model of each task first."""
        listening = self._models(Task.STT)
        speaking = self._models(Task.TTS)
        return Info(
            asr=[self._listener(entry, first=at == 0) for at, entry in enumerate(listening)],
            tts=[self._speaker(speaking)] if speaking else [],
        )

    def model(self, name: str | None) -> ModelEntry:
        """Find the recogniser behind the name of a program or model; None is the default.

        Raises what `Registry.find` does, or BackendUnavailable.
        """
        if name is None or name == PROGRAM:
            return self._default(Task.STT)
        return self._registry.find(name, Task.STT)

    def streams(self, entry: ModelEntry) -> bool:
        """Tell whether a recogniser is asked while somebody still speaks."""
        return self._streams(entry)

    def voice(self, wanted: SynthesizeVoice | None) -> Chosen:
        """Find the model and the voice behind what a client asks for. Raises UnsupportedLanguage or BackendUnavailable.

        A name that is not in the list is the engine's to judge.
        """
        default = self._default(Task.TTS).id
        if wanted is None or not (wanted.name or wanted.language):
            return Chosen(default)
        if wanted.name:
            known = next((voice for voice in self._voices(self._models(Task.TTS)) if voice.name == wanted.name), None)
            chosen = known.chosen if known else Chosen(default, wanted.name)
            return Chosen(chosen.model, f"{chosen.voice}#{wanted.speaker}") if wanted.speaker and chosen.voice else chosen
        return self._speaking(wanted.language or "")

    def _speaking(self, language: str) -> Chosen:
        """Find the first voice of a language, where the region counts if there is one of it."""
        tag, code = language.replace("_", "-").lower(), language_code(language)
        voices = [(voice, [known.lower() for known in voice.languages]) for voice in self._voices(self._models(Task.TTS))]
        near = [voice for voice, known in voices if tag in known]
        near += [voice for voice, known in voices if code and code in {language_code(one) for one in known}]
        if not near:
            raise UnsupportedLanguage(f"No voice on this server speaks `{language}`.", param="language")
        return Chosen(near[0].chosen.model, near[0].chosen.voice, language if len(near[0].languages) > 1 else None)

    def _models(self, task: Task) -> list[ModelEntry]:
        """List the served models of a task, the default one first, which may be one that the catalog does not list."""
        listed = self._registry.models(task)
        try:
            default = self._registry.find(OPENAI_STT[0] if task is Task.STT else OPENAI_TTS[0], task)
        except SpeechError:  # of a backend that does not run here: then the first that does is the best there is
            here = [entry for entry in listed if self._is_here(entry)]
            default = (here or listed or [None])[0]  # type: ignore[list-item]
        return [default, *(entry for entry in listed if entry.id != default.id)] if default else []

    def _default(self, task: Task) -> ModelEntry:
        models = self._models(task)
        if not models:
            raise BackendUnavailable(f"This server has no model for {task}, or does not know it yet.", retry_after_s=5)
        return models[0]

    def _listener(self, entry: ModelEntry, *, first: bool) -> AsrProgram:
        languages = [_WRITTEN.get(code, code) for code in entry.languages or self._languages]
        here = first or self._is_here(entry)
        model = AsrModel(
            name=entry.id, attribution=_made_by(entry), installed=here, description=entry.description or entry.id, version=None,
            languages=languages,
        )  # fmt: skip
        return AsrProgram(
            name=PROGRAM if first else entry.id,
            attribution=Attribution(OUR_PROJECT, ""),
            installed=here,
            description=f"{OUR_PROJECT}: {entry.id}",
            version=__version__,
            models=[model],
            supports_transcript_streaming=self._streams(entry),
        )

    def _speaker(self, models: list[ModelEntry]) -> TtsProgram:
        here = {entry.id for at, entry in enumerate(models) if at == 0 or self._is_here(entry)}
        voices = [
            TtsVoice(
                name=voice.name, attribution=_made_by(voice.entry), installed=voice.entry.id in here, description=voice.label, version=None,
                languages=list(voice.languages), speakers=[TtsVoiceSpeaker(name) for name in voice.speakers] or None,
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

    def _voices(self, models: list[ModelEntry]) -> Iterator[Offered]:
        """List every voice under a name that is its alone: a name that is taken already is written with its model."""
        taken: set[str] = set()
        for voice in (*self._own(models), *self._presets(models), *self._recordings(models)):
            name = voice.name if voice.name not in taken else f"{voice.entry.id}/{voice.name}"
            if name not in taken:
                taken.add(name)
                yield Offered(name, voice.chosen, voice.languages, voice.entry, voice.label, voice.speakers)

    def _own(self, models: list[ModelEntry]) -> Iterator[Offered]:
        for entry in models:
            try:
                default = self._registry.voice(entry, None)
            except SpeechError:
                default = entry.default_voice
            if not entry.voices:
                yield Offered(entry.id, Chosen(entry.id), self._spoken(entry, None), entry, f"{entry.id} ({entry.backend})")
            usable = [voice for voice in entry.voices if not voice.needs]
            for voice in sorted(usable, key=lambda voice: voice.id != default):
                label = f"{voice.name or voice.id} ({entry.backend})"
                yield Offered(voice.id, Chosen(entry.id, voice.id), self._spoken(entry, voice), entry, label, voice.speakers)

    def _presets(self, models: list[ModelEntry]) -> Iterator[Offered]:
        for name, preset in self._voice_resolver.presets.voices.items():
            try:
                entry, _ = self._voice_resolver.behind(OPENAI_TTS[0], name)
            except SpeechError:  # of a model that does not run here
                continue
            languages = (preset.language,) if preset.language else self._spoken(entry, self._meant(entry, preset.voice))
            if any(entry.id == model.id for model in models):
                yield Offered(name, Chosen(entry.id, name), languages, entry, preset.description or name)

    def _recordings(self, models: list[ModelEntry]) -> Iterator[Offered]:
        entry = next((model for model in models if model.clones), None)
        if entry is None:
            return
        for voice in self._voice_resolver.recordings():
            languages = (voice.language,) if voice.language else entry.languages or self._languages
            yield Offered(voice.name, Chosen(entry.id, voice.name), languages, entry, f"{voice.name} ({entry.backend})")

    def _meant(self, entry: ModelEntry, name: str | None) -> Voice | None:
        """Find the voice behind a preset; the first one of a blend."""
        plain = (name or entry.default_voice).partition("(")[0].partition("+")[0].partition("#")[0]
        return next((voice for voice in entry.voices if voice.id == plain), None)

    def _spoken(self, entry: ModelEntry, voice: Voice | None) -> tuple[str, ...]:
        """List the languages of a voice, never none: its own first, and all of the model's where its voices are not bound to one."""
        own = (voice.language,) if voice and voice.language else ()
        further = entry.languages if entry.clones or not own else ()
        return tuple(dict.fromkeys((*own, *further))) or self._languages


def _made_by(entry: ModelEntry) -> Attribution:
    hub = next((source.repo for source in entry.sources if isinstance(source, HubSource)), None)
    return Attribution(hub.partition("/")[0] if hub else entry.backend, f"https://huggingface.co/{hub}" if hub else "")
