"""The values that backends take and return: audio with its options, and the results. `open_speech.backends` has them all, too. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.audio import Audio, from_pcm16, resample, to_pcm16
from open_speech.transcript import Segment, SpeechTask

STT_RATE = 16_000
"""Sample rate in hertz of the audio that every Transcriber accepts."""
REFERENCE_RATE = 24_000
"""Sample rate in hertz at which a recording of a voice to clone is stored and passed to a Synthesizer."""


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
