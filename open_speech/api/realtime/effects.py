"""What a Realtime session asks to be done, and what it is told of it: the values between the machine and its driver. No I/O.

The machine (session.py) takes client events, reports and the time, and gives effects. The driver (connection.py) performs effects in
their order and brings reports. Times named `_ms` are milliseconds of input audio since the session began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.errors import SpeechError
from open_speech.http.ws_messages import Close, Send


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How sound travels on the wire: 16-bit little-endian mono PCM at `rate`, or G.711 at 8000 Hz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = 24_000

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return 2 if self.type == "audio/pcm" else 1


@dataclass(frozen=True, slots=True)
class TurnRules:
    """When somebody is taken to speak, and to have ended."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """How input is transcribed; without a model of its own the server's default is taken."""

    model: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    logprobs: bool = False


SILENCE_KEPT_MS = 10_000
"""How much sound in which nobody spoke can still be committed, while turns are told."""


# Effects, machine -> driver


@dataclass(frozen=True, slots=True)
class Tune:
    """From here on sound comes in this format, and turns are told by these rules; None: nobody listens for turns."""

    format: AudioFormat
    turns: TurnRules | None


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Take sound into the input buffer, in the format of the last Tune; speech in it comes back as SpeechStarted and SpeechStopped.

    It is listened to before the client's next event is taken. While turns are told and nobody speaks, sound older than SILENCE_KEPT_MS
    may be forgotten.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to transcribe an item that is still being said, from `start_ms` on; its text so far comes back as Delta."""

    item_id: str
    start_ms: int
    transcription: TranscriptionSettings


@dataclass(frozen=True, slots=True)
class Commit:
    """Complete the audio of an item: `start_ms` to `end_ms`. With `transcription`, Transcribed or NotTranscribed is reported exactly once.

    An item that has not been begun is transcribed from here; sound before `end_ms` is not needed any more afterwards.
    """

    item_id: str
    start_ms: int
    end_ms: int
    transcription: TranscriptionSettings | None


@dataclass(frozen=True, slots=True)
class TranscribeItem:
    """Transcribe sound that did not come through the buffer, in a format of its own. Transcribed or NotTranscribed comes back."""

    item_id: str
    data: bytes
    format: AudioFormat
    transcription: TranscriptionSettings


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop the sound that is not committed, and the item that was begun with it; speech that is going on is as if never begun."""


@dataclass(frozen=True, slots=True)
class SpeakText:
    """Say a text word for word."""

    text: str


@dataclass(frozen=True, slots=True)
class AskModel:
    """Have the language model answer: the request in the form of `/chat/completions`, without `model` and `stream`."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Respond:
    """Make a response. ResponseText, ResponseAudio and ResponseTool come back, then exactly one ResponseDone or ResponseFailed."""

    response_id: str
    plan: SpeakText | AskModel
    spoken: bool
    """Whether what is said becomes sound, or stays text."""
    format: AudioFormat
    voice: str | None
    model: str | None
    """The model that speaks; None: the server's default."""
    speed: float
    language: str | None = None
    """In which the voice speaks, if it has several; None: its own."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a response at once and drop its sound that is not yet sent; no report of it is awaited any more."""

    response_id: str


Effect = Send | Tune | AppendAudio | Begin | Commit | TranscribeItem | Clear | Respond | Stop | Close


# Reports, driver -> machine


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak at `at_ms`, prefix padding included."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """They ended at `at_ms`; the silence that ended the turn comes after it."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Delta:
    """More of an item's transcript is certain."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """An item's transcript is complete; it is what its deltas give when joined."""

    item_id: str
    text: str
    seconds: float
    language: str = ""
    logprobs: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """An item could not be transcribed."""

    item_id: str
    error: SpeechError


@dataclass(frozen=True, slots=True)
class ResponseText:
    """More of what a response says. When it is spoken this comes before its sound, and `at_s` is where in the sound it begins."""

    response_id: str
    text: str
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResponseAudio:
    """Sound of a response, in its format, whole samples, at most 32 KiB."""

    response_id: str
    data: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class ResponseTool:
    """A piece of a call to a tool that the model makes: its calls are told apart by `index`; id and name come with the first piece."""

    response_id: str
    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """All of a response was made; `reason` says if it was cut short."""

    response_id: str
    reason: Literal["", "max_output_tokens", "content_filter"] = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    """As `/chat/completions` counts: `prompt_tokens`, `completion_tokens`."""


@dataclass(frozen=True, slots=True)
class ResponseFailed:
    """A response ended before its time."""

    response_id: str
    error: SpeechError


Report = (
    SpeechStarted
    | SpeechStopped
    | Delta
    | Transcribed
    | NotTranscribed
    | ResponseText
    | ResponseAudio
    | ResponseTool
    | ResponseDone
    | ResponseFailed
)
