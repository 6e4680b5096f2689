"""What a Wyoming session asks to be done, and what it is told of it: the values between the machine and its driver. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from wyoming.asr import Transcribe
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeStart

from open_speech.api.wyoming.pcm import PcmFormat
from open_speech.errors import SpeechError


@dataclass(frozen=True, slots=True)
class Send:
    """Send an event, after all that was sent before."""

    event: Event


@dataclass(frozen=True, slots=True)
class SendInfo:
    """Send what this server can do."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Begin to transcribe."""

    form: PcmFormat
    asked: Transcribe
    """Its `name` is the model, or the program, that was asked for."""


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Hand sound to the transcription; None tells it that its sound is complete."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Speak:
    """Begin to speak: a text that is whole, or one that comes piece by piece."""

    asked: Synthesize | SynthesizeStart


@dataclass(frozen=True, slots=True)
class Say:
    """Hand text to the speech; None tells it that its text is complete."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Close:
    """Stop everything, and close the connection after all that was sent before."""


Effect = Send | SendInfo | Listen | AppendAudio | Speak | Say | Close


@dataclass(frozen=True, slots=True)
class Voiced:
    """Somebody began to speak in the sound, or stopped."""

    is_start: bool
    at_s: float
    """Seconds of sound since audio-start."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next words of the transcript, which stay as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript of all the sound."""

    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """The speech has begun to sound."""

    rate: int
    """Hertz of all its sound."""


@dataclass(frozen=True, slots=True)
class AudioChunked:
    """The next sound of the speech."""

    pcm: bytes
    """Little-endian 16-bit mono PCM."""


@dataclass(frozen=True, slots=True)
class SpeechDone:
    """The speech is complete."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A transcription or a speech ended before its time, or the client went beyond what it may."""

    error: SpeechError


Report = Voiced | Delta | Transcribed | Began | AudioChunked | SpeechDone | Failed
