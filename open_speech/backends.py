"""What a backend is: the two protocols every engine implements, and the values they take. No I/O, no model package."""

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
"""Hertz: the rate at which every Transcriber takes its audio."""
REFERENCE_RATE = 24_000
"""Hertz: the rate at which a voice to clone is kept and handed to a Synthesizer."""


class Task(StrEnum):
    """What a model does."""

    STT = "speech-to-text"
    TTS = "text-to-speech"
    DIARIZE = "diarization"
    VAD = "voice-activity-detection"

    @property
    def setting(self) -> str:
        """The setting that names the backends which do it."""
        return {Task.STT: "STT_BACKENDS", Task.TTS: "TTS_BACKENDS", Task.DIARIZE: "STT_DIARIZE_BACKENDS"}[self]


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of a speaking model."""

    id: str
    language: str
    """BCP-47 tag, for example `en-US`."""
    name: str = ""
    gender: Literal["female", "male"] | None = None
    speakers: tuple[str, ...] = ()
    """Names or numbers of the speakers of a voice that has several; one is asked for as `id#speaker`."""
    needs: str = ""
    """The command that installs what its language still needs on this machine; empty if nothing is missing."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the catalog: what it can do, what it is made of and where its files come from."""

    id: str
    backend: str
    task: Task
    licence: str
    languages: tuple[str, ...]
    """ISO-639-1 codes (three letters where there is no two-letter code)."""
    description: str = ""
    voices: tuple[Voice, ...] = ()
    default_voice: str = ""
    sample_rate: int | None = None
    """Hertz of the sound it makes; None for a model that listens."""
    word_times: bool = False
    translates: bool = False
    clones: bool = False
    designs: bool = False
    instructs: bool = False
    """These three: it takes `reference`, `design` and `instructions` of SpeechOptions."""
    files: tuple[WeightFile, ...] = ()
    sources: tuple[Source, ...] = ()
    aliases: tuple[str, ...] = ()
    """Ids of repositories that hold the same weights in another form; clients name them. They are understood, not listed."""
    parts: tuple[ModelEntry, ...] = ()
    """Checkpoints of which each speaks one kind of request, where one does not speak them all; the first takes what is left."""

    @property
    def whole(self) -> tuple[ModelEntry, ...]:
        """The entries that have the files: its parts, or itself."""
        return self.parts or (self,)

    def part_for(self, options: SpeechOptions | None = None) -> ModelEntry:
        """Choose the entry that speaks a request: a part that clones, one that designs, or else the first; itself if it has none."""
        if options is not None and options.reference is not None:
            return next((part for part in self.whole if part.clones), self.whole[0])
        if options is not None and options.design is not None:
            return next((part for part in self.whole if part.designs), self.whole[0])
        return self.whole[0]

    @property
    def size_bytes(self) -> int | None:
        """Sum of the file sizes in bytes, or None while one of them (or the list of them) is unknown."""
        if self.sources and not self.files:
            return None
        sizes = [file.size for part in self.whole for file in part.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True, slots=True)
class BackendEntry:
    """One backend of the catalog: where its class is and what it needs to be installed."""

    name: str
    task: Task
    target: str
    """`module:Class` of the plain backend class."""
    requires: tuple[str, ...]
    """Importable modules; the backend is installed when all of them can be found."""
    extra: str
    """Name of the pip extra that brings them; empty when nothing is needed."""
    licence: str
    open_ended: bool = False
    """Takes models that the catalog does not list: hub repositories (`owner/name`) and local folders."""
    breath_chars: int = 0
    """Characters beyond which a first sentence is cut before a group of words, so that a slow engine is heard early; 0: it is not."""
    speed_range: tuple[float, float] = (1.0, 1.0)
    """Speeds that the engine itself speaks at; what lies beyond is stretched afterwards, with the pitch kept."""
    piece_chars: int = 400
    """The longest text, in characters, that the engine speaks well in one call."""
    batch: int = 0
    """Windows of speech, or pieces of text, that go into one call, of many requests at once; 0 for one that takes one request a call."""
    window_s: float = 15.0
    """The longest window, in seconds, that it is given when `batch` is not 0."""
    language_modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Importable modules that some languages need beside `requires`, by ISO-639-1 code; the extra `{extra}-{code}` brings them."""
    phonemes: bool = False
    """Speaks phonemes that stand in a text (text/ipa.py)."""
    openai_voices: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice names -> ours. A name that is not here gives the model's default voice."""
    apart: bool = False
    """Its packages go with no other's, so no extra brings them: it lives in an environment of its own."""
    settings: tuple[str, ...] = ()
    """Settings that are for this backend alone; it finds them in its Setup."""
    prefix: str = ""
    """Takes every model whose id begins so: a server of its own, elsewhere, knows which there are."""
    offers: str = ""
    """`module:function` that tells them: the values of `settings`, and `ask` for whether to ask the server -> entries."""
    calls: int = 2
    """Calls that run at once where it runs in the front's process."""
    programs: tuple[str, ...] = ()
    """Programs that must be found in PATH, beside `requires`."""
    install: str = ""
    """The command that installs what `requires` and `programs` name; for a backend that no extra of Open Speech brings."""
    variables: tuple[str, ...] = ()
    """Environment variables that are for this backend alone; it finds those that are set in its Setup. For a backend of another package."""
    package: str = ""
    """Name and version of the package that the backend comes from; empty for one of Open Speech. Set by the catalog."""

    @property
    def remedy(self) -> str:
        """The command that brings it to a machine that has not got it."""
        if self.install or self.package:
            return self.install or f"pip install {self.package.partition(' ')[0]}"
        return f"make runner NAME={self.name}" if self.apart else f"pip install 'open-speech[{self.extra}]'"

    @property
    def service(self) -> str:
        """The name of its runner as a BentoML service."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """The module that holds the class."""
        return self.target.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Vad:
    """Voice activity detection on the file path: what is not speech is never shown to the recogniser."""

    threshold: float = 0.5
    """Speech probability in (0, 1) above which a 32 ms frame counts as speech."""
    min_speech_ms: int = 250
    min_silence_ms: int = 800
    pad_ms: int = 200


WHISPER_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""OpenAI's ladder: the next step is taken when a window's text looks wrong."""


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """How to transcribe; an engine refuses with UnsupportedValue what it cannot do."""

    task: SpeechTask = "transcribe"
    language: str | None = None
    """ISO-639-1 code of the speech; None detects it."""
    prompt: str | None = None
    """Preceding text, or text in the desired style."""
    hotwords: str | None = None
    """Words that are likely to be said, separated by spaces or commas."""
    temperatures: tuple[float, ...] = WHISPER_TEMPERATURES
    beam_size: int = 5
    condition_on_previous_text: bool = False
    word_times: bool = False
    vad: Vad | None = None
    languages: tuple[str, ...] = ()
    """ISO-639-1 codes among which the language is detected; empty means all."""
    expected: str | None = None
    """ISO-639-1 code of the language that a window is taken to be in, unless it is surely in another one; only without `language`."""
    logprobs: bool = False
    """Tell the log-probability of every token."""
    detect_only: bool = False
    """Only name the language: no text."""
    draft: bool = False
    """A quick look at sound that is not yet complete: what looks wrong is left out, and never decoded a second time."""
    sequential: bool = False
    """Take the whole file in the engine's own way, window by window with no cutting at silences before it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of speech cut out of a longer audio, and how to transcribe it."""

    audio: Audio
    """At STT_RATE, no longer than the backend's `window_s`."""
    options: TranscribeOptions
    speech: tuple[tuple[float, float], ...] = ()
    """Start and end of each stretch of speech, in seconds from the start of `audio`; empty when nobody looked for it."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What was heard in one window; times count from the start of the window."""

    language: str
    language_probability: float
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class DiarizeOptions:
    """How to tell speakers apart."""

    min_speakers: int | None = None
    max_speakers: int | None = None
    references: tuple[tuple[str, Audio], ...] = ()
    """Known speakers: a name, and 2 to 10 seconds of the voice at STT_RATE. Who matches none of them is A, B, C and so on."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech by one speaker."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    speaker: str
    """A known speaker's name, or else A, B, C and so on in the order of their first turns."""


@dataclass(frozen=True, slots=True)
class VoiceReference:
    """A recording of the voice to speak in. A value: two are equal, and hash alike, when sound and text are the same."""

    pcm: bytes
    """Little-endian 16-bit mono PCM at REFERENCE_RATE."""
    text: str | None = None
    """What is said in it, where that is known."""

    @classmethod
    def of(cls, audio: Audio, text: str | None = None) -> VoiceReference:
        """Keep a recording of any rate."""
        return cls(to_pcm16(resample(audio, REFERENCE_RATE)), text)

    @property
    def audio(self) -> Audio:
        """The recording, at REFERENCE_RATE."""
        return from_pcm16(self.pcm, REFERENCE_RATE)


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How to speak one piece of text."""

    voice: str
    """A voice id of the model, or a blend such as `af_bella(2)+af_sky(1)` where the engine blends."""
    speed: float = 1.0
    """1.0 is the voice's own speed; within the backend's `speed_range`."""
    language: str | None = None
    """ISO-639-1 code or BCP-47 tag; None speaks the voice's own language."""
    reference: VoiceReference | None = None
    """The voice to clone instead of `voice`; given only to a model whose entry says `clones`."""
    design: str | None = None
    """Description of a voice to make up instead of `voice`; given only to a model whose entry says `designs`."""
    instructions: str | None = None
    """How to speak, in words; given only to a model whose entry says `instructs`."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a backend is built from. `threads` 0 lets the backend choose."""

    model: ModelEntry
    folder: Path
    """Holds the model's files under their catalog paths."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    compute_type: str = "auto"
    """CTranslate2's name (`int8`, `float16`, …) or `auto`; other engines ignore it."""
    threads: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The values of the settings that the backend's entry names in `settings`, and of the `variables` that are set, by their names."""


class Transcriber(Protocol):
    """Speech to text. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Bring the model into memory; slow, called once, before the first `transcribe`."""
        ...

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield one TranscriptInfo, then the segments in order, each as soon as it is final.

        `audio` is at STT_RATE. Raises InvalidRequest's children at the call, before the first item.
        """
        ...


class WindowTranscriber(Transcriber, Protocol):
    """A recogniser that also decodes many short windows in one call; its catalog entry has `batch` > 0."""

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Decode windows, of whatever requests, together: one result each, in order; what is wrong with one is its own result.

        Silence gives a WindowResult without segments.
        """
        ...


class Synthesizer(Protocol):
    """Text to speech. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Bring the model into memory; slow, called once, before the first `synthesize`."""
        ...

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the sound of one speakable piece of text, in one or more pieces at the model's own rate.

        Raises InvalidRequest's children (UnknownVoice, UnsupportedLanguage, NothingToSpeak) at the call, before the first item.
        """
        ...


@dataclass(frozen=True, slots=True)
class Utterance:
    """A piece of text and how to speak it."""

    text: str
    options: SpeechOptions


class BatchSynthesizer(Synthesizer, Protocol):
    """A synthesiser that also speaks many pieces in one call; its catalog entry has `batch` > 0."""

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Audio | SpeechError]:
        """Speak pieces, of whatever requests, together: one result each, in order; what is wrong with one is its own result."""
        ...


class Diarizer(Protocol):
    """Who spoke when. Blocking; loaded once; keeps no request state; safe to call from several threads after `load`."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None:
        """Bring the model into memory; slow, called once, before the first `diarize`."""
        ...

    def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Tell the turns in order of time, without overlap; silence has none.

        `audio` is at STT_RATE. Raises InvalidRequest's children naming `min_speakers`, `max_speakers` or `known_speaker_references`.
        """
        ...
