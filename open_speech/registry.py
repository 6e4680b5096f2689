"""Model id or alias -> catalog entry. Pure: the catalog is passed in, and the disk is not read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from open_speech.backends import BackendEntry, ModelEntry, SpeechOptions, Task, Voice
from open_speech.errors import NotInstalled, SpeechError, UnknownModel, UnknownVoice, WrongTask
from open_speech.hub_names import gguf_file, gguf_id, is_repository
from open_speech.model_files import HubSource, WeightFile

OPENAI_STT = (
    "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize",
    "gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper",
)  # fmt: skip
OPENAI_TTS = ("tts-1", "tts-1-hd", "tts-1-1106", "tts-1-hd-1106", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
OPENAI_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
)  # fmt: skip
UNHEARD_RATE = 24_000
"""Sample rate in Hz assumed for a model of another server before its first audio, which carries the actual rate."""
_NAME = re.compile(r"(?<![\w.(-])[\w.-]{1,64}")
_VOICE = r"[\w.-]{1,64}(?:\(\d{1,4}(?:\.\d{1,4})?\))?"
_BLEND = re.compile(rf"(?=.*[+(]){_VOICE}(?:\+{_VOICE}){{0,15}}\Z")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The models behind OpenAI's names, and the default model and voice of a request."""

    stt_model: str
    tts_model: str
    tts_voice: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Additional aliases of models."""


class Registry:
    """The catalog of one server: entries, the backends that it runs, and the aliases."""

    def __init__(
        self,
        backends: Iterable[BackendEntry],
        models: Iterable[ModelEntry],
        served: Mapping[str, str],
        defaults: Defaults,
        *,
        disabled: Mapping[Task, str] | None = None,
    ) -> None:
        """`served` maps each backend of this server to the place where it runs; models of other backends are not installed.

        `disabled` maps each task that the server does not perform to the setting that disables it.
        """
        self.backends = {entry.name: entry for entry in backends}
        self.served = dict(served)
        self.disabled = dict(disabled or {})
        self._models = {entry.id: entry for entry in models}
        self._parts = {part.id: part for entry in self._models.values() for part in entry.parts}
        self._learned: dict[str, tuple[ModelEntry, ...]] = {}
        self.revision = 0
        """Number of changes so far: what is derived from the models is valid for one revision."""
        # An alias of several models selects that of a backend that is served, or else the first.
        preferred = sorted(self._models.values(), key=lambda entry: entry.backend not in self.served)
        self._other_names = {other.lower(): entry.id for entry in reversed(preferred) for other in entry.aliases}
        stt_model, tts_model = map(self._resolve_other_name, (defaults.stt_model, defaults.tts_model))
        self.defaults = replace(defaults, stt_model=stt_model, tts_model=tts_model)
        self._aliases = dict.fromkeys(OPENAI_STT, stt_model) | dict.fromkeys(OPENAI_TTS, tts_model) | dict(defaults.aliases)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Alias -> model id. The aliases include OpenAI's model names."""
        return self._aliases

    def models(self, task: Task | None = None) -> list[ModelEntry]:
        """List the models of the backends that this server runs."""
        known = [*self._models.values(), *(model for models in self._learned.values() for model in models)]
        return [m for m in known if m.backend in self.served and task in (None, m.task)]

    def learn(self, backend: str, models: Iterable[ModelEntry]) -> None:
        """Replace the models that the backend's own server offers. Thread-safe."""
        learned = tuple(models)
        if self._learned.get(backend) != learned:
            self._learned = {**self._learned, backend: learned}
            self.revision += 1  # after the models: a reader of the new revision reads the new models

    def all_models(self) -> list[ModelEntry]:
        """List every model of the catalog, installed or not."""
        return list(self._models.values())

    def part(self, name: str, options: SpeechOptions | None = None) -> str:
        """Return the id of the model with the weights for a request. An unknown name is returned as it is: `find` raises the error."""
        try:
            return self.find(name).part_for(options).id
        except SpeechError:
            return name

    def find(self, name: str, task: Task | None = None) -> ModelEntry:
        """Resolve a model id or alias.

        Raises UnknownModel, NotInstalled (a model of a backend that is not served) or WrongTask, all naming the field `model`.
        """
        known = self._resolve_alias(name)
        entry = self._models.get(known) or self._parts.get(known) or self._upstream(known, task) or self._from_hub(known, task)
        wanted = task or (entry.task if entry else None)
        if wanted is not None and (entry is None or entry.backend not in self.served):
            self.check_enabled(wanted)
        if entry is None:
            raise UnknownModel(self._unknown_message(name, task), param="model")
        if task is not None and entry.task is not task:
            raise WrongTask(f"The model `{name}` does {entry.task}; this endpoint needs {task}.", param="model")
        if entry.backend not in self.served:
            backend = self.backends[entry.backend]
            install = f"install `open-speech[{backend.extra}]` and " if backend.extra else ""
            how = (f"run `{backend.remedy}` and " if backend.apart or backend.install else install) + f"name it in {entry.task.setting}"
            raise NotInstalled(f"The model `{name}` needs the backend `{entry.backend}`: {how}.", param="model")
        return entry

    def check_enabled(self, task: Task) -> None:
        """Raise NotInstalled naming the setting if a setting disables the task."""
        if task in self.disabled:
            raise NotInstalled(f"This server does no {task}, because {self.disabled[task]}.", param="model")

    def listed(self, name: str) -> ModelEntry:
        """Resolve a name as `find` does, but only to models that the catalog lists: an unlisted hub repository may not exist.

        Raises UnknownModel or NotInstalled.
        """
        known = self._resolve_alias(name)
        if known not in self._models and all(model.id != known for model in self.models()):
            raise UnknownModel(self._unknown_message(name), param="model")
        return self.find(name)

    def is_elsewhere(self, model: ModelEntry) -> bool:
        """Return whether another server runs the model, so that audio and text of a request for it leave this server."""
        backend = self.backends[model.backend]
        return backend.elsewhere or bool(backend.prefix)

    def is_unlisted(self, name: str) -> bool:
        """Return whether a model id is a hub repository outside the catalog, which anyone may have published."""
        known = self._resolve_alias(name)
        return known not in self._models and known not in self._parts and self._upstream(known, None) is None

    def voice(self, model: ModelEntry, name: str | None) -> str:
        """Resolve a voice of a model: its id, a speaker of it (`id#3`), one of OpenAI's names, a blend, or None for the default.

        The name of the model itself selects its default voice: clients of LocalAI, whose models have one voice each, send it in both
        fields. A model without a list of voices accepts any name. Raises UnknownVoice naming the nearest voices.
        """
        if not name:
            default = self.defaults.tts_voice
            return default if any(v.id == default for v in model.voices) else model.default_voice
        if not model.voices or any(voice.id == name.partition("#")[0] for voice in model.voices):
            return name
        if _BLEND.match(name):
            return _NAME.sub(lambda part: _canonical(part[0], model) or part[0], name)
        if name.lower() in OPENAI_VOICES:
            return self.backends[model.backend].openai_voices.get(name.lower(), model.default_voice)
        if (cased := _canonical(name, model)) is not None:
            return cased
        if self._resolve_alias(name) == model.id:
            return self.voice(model, None)
        others = [other.id for other in self.models(Task.TTS) if other.id != model.id and _has(other, name)]
        if others:
            hint = f"It is a voice of the model `{others[0]}`."
        else:
            ids = [voice.id for voice in model.voices]
            hint = f"Nearest: {', '.join(difflib.get_close_matches(name, ids, n=3) or ids[:3])}."
        raise UnknownVoice(f"The model `{model.id}` has no voice `{name}`. {hint}", param="voice")

    def has_voice(self, name: str) -> bool:
        """Return whether `voice` resolves this name for any model of this server."""
        models = self.models(Task.TTS)
        known = self._resolve_alias(name)
        is_of_all = name.lower() in OPENAI_VOICES or _BLEND.match(name) is not None
        return any(is_of_all or not model.voices or known == model.id or _has(model, name) for model in models)

    def speaker(self, model: str, voice: str | None) -> ModelEntry:
        """Find the model that speaks for a request: an alias such as `tts-1` selects the served model that has the voice.

        A model's own id always selects that model. Raises the errors of `find`.
        """
        entry = self.find(model, Task.TTS)
        if not voice or entry.id == _unquoted(model) or voice.lower() in OPENAI_VOICES or not entry.voices or _has(entry, voice):
            return entry
        return next((other for other in self.models(Task.TTS) if _has(other, voice)), entry)

    def voices(self) -> list[tuple[ModelEntry, Voice]]:
        """List the voices of all speech synthesis models of this server."""
        return [(model, voice) for model in self.models(Task.TTS) for voice in model.voices]

    def _upstream(self, name: str, task: Task | None) -> ModelEntry | None:
        """Find a model of another server, or return an entry for a model that it may have if it has not reported its models yet."""
        backends = [b for b in self.backends.values() if b.prefix and name.startswith(b.prefix) and name != b.prefix]
        wanted = task or (Task.TTS if name == self.defaults.tts_model else None)
        backends.sort(key=lambda b: (b.task is not wanted, b.name not in self.served))
        for backend in backends:
            for model in self._learned.get(backend.name, ()):
                if model.id == name and task in (None, model.task):
                    return model
        if not backends:
            return None
        speaks = backends[0].task is Task.TTS
        return ModelEntry(
            name, backends[0].name, backends[0].task, "see the server", (), sample_rate=UNHEARD_RATE if speaks else None,
            word_times=not speaks, translates=not speaks, instructs=speaks,
        )  # fmt: skip

    def _serves(self, model: str, task: Task | None) -> bool:
        entry = self._models.get(model)
        return entry is not None and entry.backend in self.served and task in (None, entry.task)

    def _from_hub(self, name: str, task: Task | None) -> ModelEntry | None:
        """Return an entry for a hub repository outside the catalog, if a served backend for the task accepts such models.

        An id that begins with the name of a backend, such as `piper/de_DE-nobody-low`, is a model of that backend and no repository.
        """
        accepting = [b for b in self.backends.values() if b.open_ended and b.name in self.served and task in (None, b.task)]
        if name.partition("/")[0] in self.backends:
            return None
        if single := gguf_file(gguf_id(name)):
            repo, file = single
            generating = [b for b in accepting if b.task is Task.LLM]
            return ModelEntry(
                id=f"{repo}/{file}", backend=generating[0].name, task=Task.LLM, licence="see the repository", languages=(),
                files=(WeightFile(file),), sources=(HubSource(repo),),
            ) if generating else None  # fmt: skip
        accepting = [b for b in accepting if b.task is not Task.LLM]
        if not accepting or not is_repository(name):
            return None
        return ModelEntry(
            id=name, backend=accepting[0].name, task=accepting[0].task, licence="see the repository", languages=(),
            word_times=True, translates=True, sources=(HubSource(name),),
        )  # fmt: skip

    def _resolve_alias(self, name: str) -> str:
        """Resolve an alias: one of OpenAI's names, with or without the prefix `openai/`, or another repository with the same weights."""
        name = _unquoted(name)
        bare = name.removeprefix("openai/")
        return self._aliases.get(name) or self._aliases.get(bare) or self._resolve_other_name(name)

    def _resolve_other_name(self, name: str) -> str:
        """Resolve another name of a model: the id of a catalog model comes first."""
        return name if name in self._models else self._other_names.get(name.lower(), name)

    def _unknown_message(self, name: str, task: Task | None = None) -> str:
        fitting = [m.id for m in self.models(task)] + [alias for alias, model in self._aliases.items() if self._serves(model, task)]
        known = {part.lower(): each for each in reversed(fitting) for part in (each.rpartition("/")[2], each)}
        wanted = name.lower()
        near = difflib.get_close_matches(wanted, known, n=2) or difflib.get_close_matches(wanted.rpartition("/")[2], known, n=2)
        near = list(dict.fromkeys(known[each] for each in near)) or (fitting[:2] if task else [])
        hint = f" Did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else ""
        return f"The model `{name}` does not exist or you do not have access to it.{hint}"


def _unquoted(name: str) -> str:
    """Decode the slashes of an id that a client has encoded for a path (`piper%2Fen_US-joe-medium`). No id contains a percent sign."""
    return name.replace("%2F", "/").replace("%2f", "/") if "%" in name else name


def _has(model: ModelEntry, voice: str) -> bool:
    """Return whether a voice, or each voice of a blend, is a voice of the model; case is ignored."""
    if _BLEND.match(voice):
        return bool(model.voices) and all(_canonical(part, model) for part in _NAME.findall(voice))
    return _canonical(voice, model) is not None


def _canonical(name: str, model: ModelEntry) -> str | None:
    """Return the id of a voice of the model, or of one of its speakers (`id#3`), in the case of the catalog; None if there is none."""
    wanted, mark, speaker = name.partition("#")
    found = next((voice.id for voice in model.voices if voice.id.lower() == wanted.lower()), None)
    return None if found is None else found + mark + speaker
