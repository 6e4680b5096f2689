"""The protocols that backends implement, one per task, and the values that they take. No I/O, no model package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backend_values import REFERENCE_RATE as REFERENCE_RATE
from open_speech.backend_values import STT_RATE as STT_RATE
from open_speech.backend_values import WHISPER_TEMPERATURES as WHISPER_TEMPERATURES
from open_speech.backend_values import DiarizeOptions as DiarizeOptions
from open_speech.backend_values import SpeechOptions as SpeechOptions
from open_speech.backend_values import TranscribeOptions as TranscribeOptions
from open_speech.backend_values import Turn as Turn
from open_speech.backend_values import Vad as Vad
from open_speech.backend_values import VoiceReference as VoiceReference
from open_speech.backend_values import Window as Window
from open_speech.backend_values import WindowResult as WindowResult
from open_speech.errors import SpeechError
from open_speech.model_files import Source, WeightFile
from open_speech.transcript import Segment, TranscriptInfo


class Task(StrEnum):
    """The task of a model or backend."""

    STT = "speech-to-text"
    TTS = "text-to-speech"
    DIARIZE = "diarization"
    LLM = "text-generation"
    VAD = "voice-activity-detection"
    TURNS = "turn-detection"

    @property
    def setting(self) -> str:
        """The setting that lists the backends for this task."""
        return {
            Task.STT: "STT_BACKENDS",
            Task.TTS: "TTS_BACKENDS",
            Task.DIARIZE: "STT_DIARIZE_BACKENDS",
            Task.LLM: "LLM_BACKENDS",
        }[self]


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of a speech synthesis model."""

    id: str
    language: str
    """BCP-47 tag, for example `en-US`."""
    name: str = ""
    gender: Literal["female", "male"] | None = None
    speakers: tuple[str, ...] = ()
    """Names or numbers of the speakers of a voice that has several; a request selects one with `id#speaker`."""
    needs: str = ""
    """The command that installs the missing packages for the voice's language on this machine; empty if nothing is missing."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the catalog: its abilities, its files and their download sources."""

    id: str
    backend: str
    task: Task
    licence: str
    languages: tuple[str, ...]
    """ISO-639-1 codes (three-letter codes for languages without a two-letter code)."""
    description: str = ""
    voices: tuple[Voice, ...] = ()
    default_voice: str = ""
    sample_rate: int | None = None
    """Sample rate in hertz of the audio that the model generates; None for a model that does not generate audio."""
    word_times: bool = False
    translates: bool = False
    clones: bool = False
    designs: bool = False
    instructs: bool = False
    """`clones`, `designs` and `instructs`: whether the model supports `reference`, `design` and `instructions` of SpeechOptions."""
    files: tuple[WeightFile, ...] = ()
    sources: tuple[Source, ...] = ()
    aliases: tuple[str, ...] = ()
    """Ids of repositories with the same weights in another format, as clients may name them. Accepted in requests, not listed."""
    by_hand: bool = False
    """No source has the files: they are copied into the models folder."""
    parts: tuple[ModelEntry, ...] = ()
    """Checkpoints for one kind of request each, for a model without a checkpoint for all; the first one serves all other requests."""
    chat_template: str = ""
    """Jinja template of a conversation, for a language model whose file has none: a base model that was not trained on conversations."""
    stop: tuple[str, ...] = ()
    """Texts at which a language model's answer ends, besides those of its own file; they belong to `chat_template`."""
    peer_name: str = ""
    """Name of the model on the other server that has it; empty for a model of this server, and while that server's name is unknown."""

    @property
    def whole(self) -> tuple[ModelEntry, ...]:
        """The entries with the files: the model's parts, or the model itself if it has none."""
        return self.parts or (self,)

    def part_for(self, options: SpeechOptions | None = None) -> ModelEntry:
        """Return the entry that serves a request: a part that clones, one that designs, or else the first; the model if it has no parts."""
        if options is not None and options.reference is not None:
            return next((part for part in self.whole if part.clones), self.whole[0])
        if options is not None and options.design is not None:
            return next((part for part in self.whole if part.designs), self.whole[0])
        return self.whole[0]

    @property
    def size_bytes(self) -> int | None:
        """Sum of the file sizes in bytes; None while a file size or the list of files is unknown."""
        if self.sources and not self.files:
            return None
        sizes = [file.size for part in self.whole for file in part.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True, slots=True)
class BackendEntry:
    """One backend of the catalog: its class, its requirements and its properties."""

    name: str
    task: Task
    target: str
    """`module:Class` of the backend class."""
    requires: tuple[str, ...]
    """Importable modules; the backend is installed when all of them can be found."""
    extra: str
    """Name of the pip extra that installs `requires`; empty when nothing is needed."""
    licence: str
    open_ended: bool = False
    """Accepts models that the catalog does not list: hub repositories (`owner/name`) and local folders."""
    breath_chars: int = 0
    """Length in characters beyond which a first sentence is split before a phrase, so that the first audio arrives early; 0: no split."""
    speed_range: tuple[float, float] = (1.0, 1.0)
    """Lowest and highest speed that the engine supports; for other speeds the audio is time-stretched afterwards, with the same pitch."""
    piece_chars: int = 400
    """The longest text, in characters, that the engine synthesizes well in one call."""
    batch: int = 0
    """Maximum windows of speech, or pieces of text, in one call, from many requests; 0 for a backend that takes one request per call."""
    window_s: float = 15.0
    """The longest window, in seconds, that the backend receives when `batch` is not 0."""
    requires_any: tuple[str, ...] = ()
    """Importable modules of which the backend needs one, besides `requires`; empty: none."""
    language_modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Importable modules that some languages need besides `requires`, by ISO-639-1 code."""
    language_extras: Mapping[str, str] = field(default_factory=dict)
    """The extra that installs the modules of each language in `language_modules`."""
    phonemes: bool = False
    """Accepts phonemes within a text (text/ipa.py)."""
    openai_voices: Mapping[str, str] = field(default_factory=dict)
    """OpenAI voice name -> voice id of the backend. A name that is missing here selects the model's default voice."""
    apart: bool = False
    """Its packages conflict with those of other backends, so no extra installs them: the backend has an environment of its own."""
    settings: tuple[str, ...] = ()
    """Settings for this backend alone; its Setup contains their values."""
    prefix: str = ""
    """Prefix of the model ids that all belong to this backend; an external server determines which models exist."""
    offers: str = ""
    """`module:function` that lists those models: the values of `settings`, and `ask` (whether to query the server) -> entries."""
    diarizes: bool = True
    """Whether a backend for diarization has `diarize`, for whole recordings."""
    voiceprints: bool = False
    """Whether a backend for diarization has `voiceprints`, for live sessions."""
    elsewhere: bool = False
    """Sends audio or text to a server that is not part of Open Speech. True for every backend with a `prefix`."""
    calls: int = 2
    """Maximum concurrent calls when the backend runs in the process of the front service."""
    programs: tuple[str, ...] = ()
    """Programs that must be in PATH, besides `requires`."""
    install: str = ""
    """The command that installs `requires` and `programs`; for a backend that no extra of Open Speech installs."""
    variables: tuple[str, ...] = ()
    """Environment variables for this backend alone; its Setup contains those that are set. For a backend of another package."""
    package: str = ""
    """Name and version of the package that the backend comes from; empty for one of Open Speech. Set by the catalog."""

    @property
    def remedy(self) -> str:
        """The command that installs the backend."""
        if self.install or self.package:
            return self.install or f"pip install {self.package.partition(' ')[0]}"
        return f"make runner NAME={self.name}" if self.apart else f"pip install 'open-speech[{self.extra}]'"

    @property
    def service(self) -> str:
        """The name of its runner as a BentoML service."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """The module of the backend class."""
        return self.target.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Setup:
    """The arguments of a backend's constructor. `threads` 0 lets the backend choose."""

    model: ModelEntry
    folder: Path
    """Contains the model's files under their catalog paths."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    compute_type: str = "auto"
    """CTranslate2's name (`int8`, `float16`, …) or `auto`; other engines ignore it."""
    threads: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Name -> value of the settings in the backend entry's `settings`, and of those of its `variables` that are set."""


class Transcriber(Protocol):
    """Speech to text. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Load the model into memory; slow, called once, before the first `transcribe`."""
        ...

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield one TranscriptInfo, then the segments in order, each as soon as it is final.

        `audio` is at STT_RATE. Raises subclasses of InvalidRequest at the call, before the first item.
        """
        ...


class WindowTranscriber(Transcriber, Protocol):
    """A recognizer that also decodes many short windows in one call; its catalog entry has `batch` > 0."""

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows of any requests together: one result each, in order; the error of a window is the result of that window.

        Silence gives a WindowResult without segments.
        """
        ...


class Synthesizer(Protocol):
    """Text to speech. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Load the model into memory; slow, called once, before the first `synthesize`."""
        ...

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio of one piece of text, in one or more parts at the model's own rate.

        Raises subclasses of InvalidRequest (UnknownVoice, UnsupportedLanguage, NothingToSpeak) at the call, before the first item.
        """
        ...


@dataclass(frozen=True, slots=True)
class Utterance:
    """A piece of text and the options of its synthesis."""

    text: str
    options: SpeechOptions


class BatchSynthesizer(Synthesizer, Protocol):
    """A synthesizer that also speaks many pieces of text in one call; its catalog entry has `batch` > 0."""

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        """Synthesize pieces of any requests together: one result each, in order; the error of a piece is the result of that piece."""
        ...


class Diarizer(Protocol):
    """Speaker diarization. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Load the model into memory; slow, called once, before the first `diarize`."""
        ...

    def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Return the turns in order of time, without overlap; no turns for silence.

        `audio` is at STT_RATE. Raises subclasses of InvalidRequest that name `min_speakers`, `max_speakers` or `known_speaker_references`.
        """
        ...


class VoiceprintExtractor(Protocol):
    """The voices of short windows of speech, for speaker labels in live sessions; its catalog entry has `voiceprints`.

    Blocking; loaded once; keeps no request state; safe to call from several threads after `load`.
    """

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Load the model into memory; slow, called once, before the first `voiceprints`."""
        ...

    def voiceprints(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """Return the voiceprint of each window, shape (windows, n), in order.

        `audio` is at STT_RATE; a window is (start, end) in seconds, at most 2 s long. The cosine similarity of two voiceprints is higher
        for the same voice than for two: about 0.6 against 0.05 for windows of 1.5 s.
        """
        ...


class TextGenerator(Protocol):
    """A language model. Blocking; loaded once; keeps no request state that a caller can see; safe to call from several threads."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Load the model into memory; slow, called once, before the first `generate`."""
        ...

    def generate(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the answer to a conversation as it is generated, in chunks as OpenAI's `/chat/completions` streams them.

        `request` is a body of `/chat/completions`; a request with `prompt` instead of `messages` continues that text, and its chunks are
        those of `/completions`. The last chunk has `usage`. An empty chunk means that the prompt is still being processed. Closing the
        iterator stops the work within one token or one part of the prompt. Raises subclasses of InvalidRequest (ContextOverflow,
        InvalidValue) before the first chunk that is not empty.
        """
        ...
