"""The effects of a Wyoming session and the reports to it: the values between the state machine and its driver. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from wyoming.asr import Transcribe
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeStart

from open_speech.api.wyoming.pcm import PcmFormat
from open_speech.errors import SpeechError


@dataclass(frozen=True, slots=True)
class Send:
    """Send an event, after all events before it."""

    event: Event


@dataclass(frozen=True, slots=True)
class SendInfo:
    """Send the capabilities of this server."""


@dataclass(frozen=True, slots=True)
class BeginTranscription:
    """Start to transcribe."""

    form: PcmFormat
    request: Transcribe
    """The request; its `name` is the requested model or program."""


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Add audio to the transcription; None completes its audio."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Speak:
    """Start to speak: a complete text, or one that arrives piece by piece."""

    request: Synthesize | SynthesizeStart


@dataclass(frozen=True, slots=True)
class AppendText:
    """Add text to the speech; None completes its text."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Close:
    """Stop everything, and close the connection after all events before it are sent."""


Effect = Send | SendInfo | BeginTranscription | AppendAudio | Speak | AppendText | Close


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """The start or the end of speech in the audio."""

    is_start: bool
    at_s: float
    """Seconds of audio since audio-start."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next words of the transcript, which are final."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript of all the audio."""

    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The start of the speech's audio."""

    rate: int
    """Hertz of all its audio."""


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """The next audio of the speech."""

    pcm: bytes
    """Little-endian 16-bit mono PCM."""


@dataclass(frozen=True, slots=True)
class SpeechDone:
    """The end of the speech."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A transcription or a speech failed, or the client exceeded a limit."""

    error: SpeechError


Report = VoiceActivity | Delta | Transcribed | SpeechBegan | SpeechAudio | SpeechDone | Failed
