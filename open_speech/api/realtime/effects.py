"""The effects of a Realtime session and the reports to it: the values between the state machine and its driver. No I/O.

The state machine (session.py) takes client events, reports and the time, and returns effects. The driver (connection.py) performs the
effects in order and sends reports. Times named `_ms` are milliseconds of input audio since the session began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from open_speech.errors import SpeechError
from open_speech.http.ws_messages import Close, Send


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The format of audio in events: 16-bit little-endian mono PCM at `rate` Hertz, or G.711 at 8000 Hz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = 24_000

    @property
    def width(self) -> int:
        """Bytes per sample."""
        return 2 if self.type == "audio/pcm" else 1


@dataclass(frozen=True, slots=True)
class TurnRules:
    """The parameters of turn detection: a speech probability, and milliseconds of padding and of silence."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    longest_silence_ms: int | None = None
    """Milliseconds of silence that end a turn which is not complete by its meaning; None: turns end by `silence_duration_ms` alone."""


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """The options for transcribing input; `model` None means the server's default."""

    model: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    logprobs: bool = False
    diarize: bool = False


SILENCE_KEPT_MS = 10_000
"""Milliseconds of audio without speech that can still be committed, while turns are detected."""


# Effects, state machine -> driver


@dataclass(frozen=True, slots=True)
class ConfigureInput:
    """Set the format of the audio from here on, and the rules of turn detection; None disables it."""

    format: AudioFormat
    turns: TurnRules | None


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Append audio to the input buffer, in the format of the last ConfigureInput; speech is reported as SpeechStarted and SpeechStopped.

    The audio is processed before the client's next event. While turns are detected and nobody speaks, audio older than SILENCE_KEPT_MS may
    be discarded.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Start to transcribe an item that is still being spoken, from `start_ms` on; its text is reported as Delta."""

    item_id: str
    start_ms: int
    transcription: TranscriptionSettings


@dataclass(frozen=True, slots=True)
class Commit:
    """Complete the audio of an item: `start_ms` to `end_ms`. With `transcription`, Transcribed or NotTranscribed is reported exactly once.

    The transcription starts here unless Begin started it. Audio before `end_ms` is no longer needed afterwards.
    """

    item_id: str
    start_ms: int
    end_ms: int
    transcription: TranscriptionSettings | None


@dataclass(frozen=True, slots=True)
class TranscribeItem:
    """Transcribe audio that is not from the input buffer, in a format of its own. Transcribed or NotTranscribed is reported."""

    item_id: str
    data: bytes
    format: AudioFormat
    transcription: TranscriptionSettings


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop the audio that is not committed, and the item that was begun with it; speech in progress counts as never started."""


@dataclass(frozen=True, slots=True)
class SpeakText:
    """Speak a text word for word."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerateText:
    """Generate a text with the language model: `request` is a body of `/chat/completions` without `model` and `stream`."""

    request: Mapping[str, Any]
    may_truncate: bool = True
    """Whether the oldest turns are left out if the conversation is longer than the context of the model; otherwise the response fails."""


@dataclass(frozen=True, slots=True)
class Respond:
    """Create a response. ResponseText, ResponseAudio and ResponseTool are reported, then exactly one ResponseDone or ResponseFailed."""

    response_id: str
    plan: SpeakText | GenerateText
    has_audio: bool
    """Whether the text is synthesized."""
    format: AudioFormat
    voice: str | None
    model: str | None
    """The speech model; None: the server's default."""
    speed: float
    language: str | None = None
    """The language of a voice that has several; None: the voice's default."""
    is_held: bool = False
    """Whether the response is begun before the user's turn has ended: its driver produces its first seconds, then waits for Release."""


@dataclass(frozen=True, slots=True)
class Release:
    """Go on with a held response: the turn has ended with the text that it answers."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a response at once and drop its audio that is not sent, or not played yet; further reports about it are ignored."""

    response_id: str


@dataclass(frozen=True, slots=True)
class PauseOutput:
    """Hold the playback of a response: the user may be interrupting it. Only where the server controls the playback."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResumeOutput:
    """Go on with the playback of a response where it was held: the user did not interrupt it."""

    response_id: str


Playback = PauseOutput | ResumeOutput
Effect = Send | ConfigureInput | AppendAudio | Begin | Commit | TranscribeItem | Clear | Respond | Release | Stop | Playback | Close


# Reports, driver -> state machine


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech started at `at_ms`, prefix padding included."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech ended at `at_ms`; the silence that ended the turn comes after it."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Speech paused at `at_ms`; the turn may have ended there."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """Speech continued at `at_ms`: the pause did not end the turn."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TextReady:
    """The transcript of an item in a pause, as it will be if the turn ends with this pause. Not reported after SpeechResumed."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Delta:
    """The next final part of an item's transcript."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class SpokenSegment:
    """A part of a transcript by one speaker; times are seconds from the start of the item's audio."""

    text: str
    speaker: str | None
    """A label or a name; None if the speaker is not known."""
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The complete transcript of an item: its deltas, joined."""

    item_id: str
    text: str
    seconds: float
    language: str = ""
    logprobs: Sequence[Mapping[str, Any]] | None = None
    segments: tuple[SpokenSegment, ...] = ()
    """The segments with their speakers, if the session requested them."""


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """The error of an item that could not be transcribed."""

    item_id: str
    error: SpeechError


@dataclass(frozen=True, slots=True)
class ResponseText:
    """The next text of a response. If it is spoken, its audio follows, and `at_s` is its position in the audio of the response."""

    response_id: str
    text: str
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ResponseAudio:
    """Audio of a response, in its format, whole samples, at most 32 KiB."""

    response_id: str
    data: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class ResponseTool:
    """A part of a tool call of the model. `index` identifies the call; the first part contains its id and name."""

    response_id: str
    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """How much of the audio of a response was played, in milliseconds from its start. Only where the server controls the playback."""

    response_id: str
    ms: int


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """The end of a response; `reason` is set if it was cut short."""

    response_id: str
    reason: Literal["", "max_output_tokens", "content_filter"] = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Token counts of `/chat/completions`: `prompt_tokens`, `completion_tokens`."""


@dataclass(frozen=True, slots=True)
class ResponseFailed:
    """The error of a response that failed."""

    response_id: str
    error: SpeechError


Report = (
    SpeechStarted
    | SpeechStopped
    | SpeechPaused
    | SpeechResumed
    | TextReady
    | Delta
    | Transcribed
    | NotTranscribed
    | ResponseText
    | ResponseAudio
    | ResponseTool
    | Played
    | ResponseDone
    | ResponseFailed
)
