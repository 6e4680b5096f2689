"""The protocols that backends implement, one per task, and the values that they take. No I/O, no model package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from open_speech.audio import Audio, from_pcm16, resample, to_pcm16
from open_speech.errors import SpeechError
from open_speech.model_files import Source, WeightFile
from open_speech.transcript import Segment, SpeechTask, TranscriptInfo

STT_RATE = 16_000
"""Sample rate in hertz of the audio that every Transcriber accepts."""
REFERENCE_RATE = 24_000
"""Sample rate in hertz at which a recording of a voice to clone is stored and passed to a Synthesizer."""


class Task(StrEnum):
    """The task of a model or backend."""

    STT = "speech-to-text"
    TTS = "text-to-speech"
    DIARIZE = "diarization"
    VAD = "voice-activity-detection"

    @property
    def setting(self) -> str:
        """The setting that lists the backends for this task."""
        return {Task.STT: "STT_BACKENDS", Task.TTS: "TTS_BACKENDS", Task.DIARIZE: "STT_DIARIZE_BACKENDS"}[self]


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
    language_modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Importable modules that some languages need besides `requires`, by ISO-639-1 code; the extra `{extra}-{code}` installs them."""
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
class Vad:
    """Voice activity detection for files: audio without speech is not passed to the recognizer."""

    threshold: float = 0.5
    """Speech probability in (0, 1) above which a 32 ms frame counts as speech."""
    min_speech_ms: int = 250
    min_silence_ms: int = 800
    pad_ms: int = 200


WHISPER_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""OpenAI's sequence of temperatures: a window is decoded again at the next one when its text fails the quality checks."""


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """Options of a transcription; an engine raises UnsupportedValue for an option that it does not support."""

    task: SpeechTask = "transcribe"
    language: str | None = None
    """ISO-639-1 code of the speech; None detects it."""
    prompt: str | None = None
    """Preceding text, or text in the desired style."""
    hotwords: str | None = None
    """Words that are likely to occur, separated by spaces or commas."""
    temperatures: tuple[float, ...] = WHISPER_TEMPERATURES
    beam_size: int = 5
    condition_on_previous_text: bool = False
    word_times: bool = False
    vad: Vad | None = None
    languages: tuple[str, ...] = ()
    """ISO-639-1 codes of the candidates for language detection; empty means all languages."""
    expected: str | None = None
    """ISO-639-1 code of the assumed language of a window, unless another one is detected with certainty; only without `language`."""
    logprobs: bool = False
    """Return the log-probability of every token."""
    detect_only: bool = False
    """Detect only the language: no text."""
    draft: bool = False
    """A quick transcription of incomplete audio: text that fails the quality checks is left out, and never decoded a second time."""
    sequential: bool = False
    """Process the whole file with the engine's own sequence of windows, without splitting it at silences first."""


@dataclass(frozen=True, slots=True)
class Window:
    """A section of a longer audio, and the options of its transcription."""

    audio: Audio
    """At STT_RATE, no longer than the backend's `window_s`."""
    options: TranscribeOptions
    speech: tuple[tuple[float, float], ...] = ()
    """Start and end of each speech segment, in seconds from the start of `audio`; empty without speech detection."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The transcript of one window; times are relative to the start of the window."""

    language: str
    language_probability: float
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class DiarizeOptions:
    """Options of a diarization."""

    min_speakers: int | None = None
    max_speakers: int | None = None
    references: tuple[tuple[str, Audio], ...] = ()
    """Known speakers: a name, and 2 to 10 seconds of the voice at STT_RATE. Speakers that match none are named A, B, C and so on."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A section of speech by one speaker."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    speaker: str
    """The name of a known speaker; the other speakers are A, B, C and so on, in the order of their first turns."""


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """A recording of the voice to clone. A value: two with the same audio and text are equal and have the same hash."""

    pcm: bytes
    """Little-endian 16-bit mono PCM at REFERENCE_RATE."""
    text: str | None = None
    """The words of the recording, if known."""

    @classmethod
    def of(cls, audio: Audio, text: str | None = None) -> VoiceReference:
        """Build a reference from a recording of any sample rate."""
        return cls(to_pcm16(resample(audio, REFERENCE_RATE)), text)

    @property
    def audio(self) -> Audio:
        """The recording, at REFERENCE_RATE."""
        return from_pcm16(self.pcm, REFERENCE_RATE)


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Options for the synthesis of one piece of text."""

    voice: str
    """A voice id of the model, or a blend such as `af_bella(2)+af_sky(1)` for an engine that blends voices."""
    speed: float = 1.0
    """1.0 is the voice's own speed; within the backend's `speed_range`."""
    language: str | None = None
    """ISO-639-1 code or BCP-47 tag; None uses the voice's own language."""
    reference: VoiceReference | None = None
    """The voice to clone instead of `voice`; passed only to a model whose entry has `clones`."""
    design: str | None = None
    """Description of a voice to generate instead of `voice`; passed only to a model whose entry has `designs`."""
    instructions: str | None = None
    """Description of the speaking style; passed only to a model whose entry has `instructs`."""


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
