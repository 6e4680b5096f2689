"""The parameters of a transcription request (all but the audio), and the defaults and limits of the server. Values."""

from __future__ import annotations

from dataclasses import dataclass

from open_speech.backends import DiarizeOptions, TranscribeOptions, Vad
from open_speech.recognition.channels import ChannelMode
from open_speech.recognition.denoise import Cleaning


@dataclass(frozen=True, slots=True)
class RecognitionRequest:
    """How an upload is transcribed."""

    model: str
    options: TranscribeOptions = TranscribeOptions()
    diarize: DiarizeOptions | None = None
    """None does not detect speakers. Otherwise the segments are sent when the speakers of the whole file are known."""
    clean: Cleaning | None = None
    """None applies the server's default."""
    raw_rate: int | None = None
    """The sample rate, in Hertz, of headerless s16le mono PCM; None for a media file in any supported format."""
    channels: ChannelMode = "mix"
    """If channels are transcribed separately, each is one speaker, and `diarize` has no effect."""
    start_s: float = 0.0
    """Seconds to skip at the start; times in the transcript count from there."""


@dataclass(frozen=True, slots=True)
class RecognitionDefaults:
    """The limit of one upload, and the values for fields that a request omits."""

    max_audio_s: float
    vad: Vad | None = None
    """None transcribes whole files, including their silence."""
    cleaning: Cleaning = Cleaning()
