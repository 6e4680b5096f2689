"""Frames between the front process and a runner process: `kind (1 byte) + length (4 bytes, big endian) + payload`. Pure.

The transport has no message boundaries, ends a failed stream as if it were complete, and removes the content of exceptions. Every answer
therefore consists of frames and ends with END or ERROR. An answer without one of them was truncated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from open_speech.audio import Audio
from open_speech.backends import (
    STT_RATE,
    DiarizeOptions,
    SpeechOptions,
    Task,
    TranscribeOptions,
    Turn,
    VoiceReference,
    Window,
    WindowResult,
)
from open_speech.errors import SpeechError, from_wire
from open_speech.transcript import Segment, TranscriptInfo

T = TypeVar("T")
_HEAD = struct.Struct(">cI")
_RATE = struct.Struct(">I")
MAX_PAYLOAD = 1 << 28
"""Maximum bytes of a payload; a larger length means that the stream is corrupt."""


class Kind(Enum):
    """The type of a frame's payload."""

    AUDIO = b"A"
    JSON = b"J"
    PROGRESS = b"P"
    ERROR = b"E"
    END = b"Z"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; the kind defines the format of the payload."""

    kind: Kind
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as bytes."""
        return _HEAD.pack(self.kind.value, len(self.payload)) + self.payload


END = Frame(Kind.END)


class BrokenStream(ValueError):
    """The bytes are not frames."""


def audio_frame(audio: Audio) -> Frame:
    """Pack audio as its rate in Hertz (4 bytes) and little-endian float32 samples."""
    return Frame(Kind.AUDIO, _RATE.pack(audio.rate) + audio.samples.astype("<f4", copy=False).tobytes())


def audio_of(frame: Frame) -> Audio:
    """Unpack what `audio_frame` packed."""
    (rate,) = _RATE.unpack_from(frame.payload)
    return Audio(np.frombuffer(frame.payload, "<f4", offset=_RATE.size), rate)


def error_frame(error: SpeechError) -> Frame:
    """Pack an error; it ends the answer."""
    return Frame(Kind.ERROR, json.dumps(error.to_wire()).encode())


def error_of(frame: Frame) -> SpeechError:
    """Unpack what `error_frame` packed."""
    return from_wire(json.loads(frame.payload))


def progress_frame(progress: Mapping[str, Any]) -> Frame:
    """Pack the progress of the download or loading of a model; an answer waits for it."""
    return Frame(Kind.PROGRESS, json.dumps(progress).encode())


class Decoder:
    """Splits a byte stream in chunks of any size into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes; yield the frames that are complete. Raises BrokenStream if the bytes cannot be frames."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            mark, length = _HEAD.unpack_from(self._buffer)
            if length > MAX_PAYLOAD:
                raise BrokenStream(f"frame of {length} bytes")
            try:
                kind = Kind(mark)
            except ValueError:
                raise BrokenStream(f"frame kind {mark!r}") from None
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[_HEAD.size : end])
            del self._buffer[:end]
            yield Frame(kind, payload)


FILE, LIVE_PARTIAL, LIVE = 0, 1, 2
"""Urgency of a call, lowest first: a file; a partial transcript of an utterance in progress; output that a live user is waiting for."""


class TranscribeCall(BaseModel):
    """One transcription, as sent to a runner.

    `pcm` is little-endian float32 mono at STT_RATE; `options` is TranscribeOptions as JSON.
    """

    # Base64 only for a remote runner, where the body is JSON; the local socket takes bytes.
    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")
    api: ClassVar[str] = "transcribe"
    model: str
    pcm: bytes
    options: str
    urgency: int = FILE
    patience_s: float = 0.0
    """Maximum seconds that the call may wait for its turn; 0: no limit."""

    @classmethod
    def of(cls, model: str, audio: Audio, options: TranscribeOptions, *, urgency: int = FILE, patience_s: float = 0.0) -> TranscribeCall:
        """Pack a call."""
        pcm = audio.samples.astype("<f4", copy=False).tobytes()
        packed = _TRANSCRIBE_OPTIONS.dump_json(options).decode()
        return cls(model=model, pcm=pcm, options=packed, urgency=urgency, patience_s=patience_s)

    def unpack(self) -> tuple[Audio, TranscribeOptions]:
        """Return the audio and the options."""
        return Audio(np.frombuffer(self.pcm, "<f4"), STT_RATE), _TRANSCRIBE_OPTIONS.validate_json(self.options)


class WindowCall(TranscribeCall):
    """One window of speech, as sent to a runner, with the fields that determine its turn there."""

    api: ClassVar[str] = "hear"
    asker: str
    """The request that the window belongs to."""
    speech: tuple[tuple[float, float], ...] = ()
    """As in Window."""

    @classmethod
    def window(cls, model: str, window: Window, *, asker: str, urgency: int, patience_s: float = 0.0) -> WindowCall:
        """Pack a call."""
        plain = TranscribeCall.of(model, window.audio, window.options, urgency=urgency, patience_s=patience_s)
        return cls(**dict(plain), asker=asker, speech=window.speech)


class SpeakCall(BaseModel):
    """One piece of text to speak, as sent to a runner.

    `options` is SpeechOptions as JSON, without the voice to clone: `reference` is its PCM and `reference_text` the transcript of it.
    """

    model_config = TranscribeCall.model_config
    api: ClassVar[str] = "synthesize"
    model: str
    text: str
    options: str
    reference: bytes | None = None
    reference_text: str | None = None
    urgency: int = FILE
    patience_s: float = 0.0
    """`urgency` and `patience_s` are as in TranscribeCall."""

    @classmethod
    def of(cls, model: str, text: str, options: SpeechOptions, *, urgency: int = FILE, patience_s: float = 0.0) -> SpeakCall:
        """Pack a call."""
        plain = _SPEECH_OPTIONS.dump_json(replace(options, reference=None)).decode()
        call = cls(model=model, text=text, options=plain, urgency=urgency, patience_s=patience_s)
        if options.reference is None:
            return call
        return call.model_copy(update={"reference": options.reference.pcm, "reference_text": options.reference.text})

    def unpack(self) -> tuple[str, SpeechOptions]:
        """Return the text and the options."""
        options = _SPEECH_OPTIONS.validate_json(self.options)
        if self.reference is None:
            return self.text, options
        return self.text, replace(options, reference=VoiceReference(self.reference, self.reference_text))


class DiarizeCall(BaseModel):
    """One diarization, as sent to a runner; `pcm` and each of `voices` are as in TranscribeCall."""

    model_config = TranscribeCall.model_config
    api: ClassVar[str] = "diarize"
    model: str
    pcm: bytes
    min_speakers: int | None
    max_speakers: int | None
    names: tuple[str, ...]
    voices: tuple[bytes, ...]

    @classmethod
    def of(cls, model: str, audio: Audio, options: DiarizeOptions) -> DiarizeCall:
        """Pack a call."""
        pcm, *voices = (a.samples.astype("<f4", copy=False).tobytes() for a in (audio, *(voice for _, voice in options.references)))
        names = tuple(name for name, _ in options.references)
        return cls(
            model=model, pcm=pcm, min_speakers=options.min_speakers, max_speakers=options.max_speakers, names=names, voices=tuple(voices)
        )

    def unpack(self) -> tuple[Audio, DiarizeOptions]:
        """Return the audio and the options."""
        audio, *voices = (Audio(np.frombuffer(pcm, "<f4"), STT_RATE) for pcm in (self.pcm, *self.voices))
        return audio, DiarizeOptions(self.min_speakers, self.max_speakers, tuple(zip(self.names, voices, strict=True)))


class VoiceprintsCall(BaseModel):
    """The voiceprints of `windows` (start and end in seconds) of one audio; `pcm` and `urgency` are as in TranscribeCall."""

    model_config = TranscribeCall.model_config
    api: ClassVar[str] = "voiceprints"
    model: str
    pcm: bytes
    windows: tuple[tuple[float, float], ...]
    urgency: int = FILE

    @classmethod
    def of(cls, model: str, audio: Audio, windows: Sequence[tuple[float, float]], urgency: int = FILE) -> VoiceprintsCall:
        """Pack a call."""
        return cls(model=model, pcm=audio.samples.astype("<f4", copy=False).tobytes(), windows=tuple(windows), urgency=urgency)

    def unpack(self) -> tuple[Audio, tuple[tuple[float, float], ...]]:
        """Return the audio and the windows."""
        return Audio(np.frombuffer(self.pcm, "<f4"), STT_RATE), self.windows


class GenerateCall(BaseModel):
    """One request to a language model, as sent to a runner; `request` is the body of `/chat/completions` or `/completions` as JSON."""

    model_config = TranscribeCall.model_config
    api: ClassVar[str] = "generate"
    model: str
    request: str
    urgency: int = FILE
    patience_s: float = 0.0
    """`urgency` and `patience_s` are as in TranscribeCall."""

    @classmethod
    def of(cls, model: str, request: Mapping[str, Any], *, urgency: int = FILE, patience_s: float = 0.0) -> GenerateCall:
        """Pack a call."""
        return cls(model=model, request=json.dumps(request), urgency=urgency, patience_s=patience_s)

    def unpack(self) -> dict[str, Any]:
        """Return the request."""
        unpacked: dict[str, Any] = json.loads(self.request)
        return unpacked


@dataclass(frozen=True)
class LoadModel:
    """Download a model if necessary, and load it. The answer has no payload frames."""

    api: ClassVar[str] = "load_model"
    model: str


@dataclass(frozen=True)
class PullModel:
    """Download the files of a model. The answer has no payload frames; closing it stops the download."""

    api: ClassVar[str] = "pull_model"
    model: str


@dataclass(frozen=True)
class RemoveModel:
    """Unload a model and delete its files. The answer is one JSON frame: `freed_bytes`."""

    api: ClassVar[str] = "remove_model"
    model: str


Call = TranscribeCall | WindowCall | SpeakCall | DiarizeCall | VoiceprintsCall | GenerateCall | LoadModel | PullModel | RemoveModel
"""An operation of a runner that is answered by a stream of frames."""


class Question(Generic[T]):
    """An operation of a runner that is answered by one value, of type T, as JSON."""

    api: ClassVar[str]


@dataclass(frozen=True)
class UnloadModel(Question[bool]):
    """Unload a model. False if it was not loaded."""

    api: ClassVar[str] = "unload_model"
    model: str


@dataclass(frozen=True)
class KeptModels(Question[dict[str, int]]):
    """Return the size in bytes of each model whose files are complete."""

    api: ClassVar[str] = "kept_models"


@dataclass(frozen=True)
class RunnerStatus(Question[dict[str, Any]]):
    """Return the state of the runner: version, process id, memory, loaded models, downloads in progress, batch sizes.

    `previous_exit` has the `pid` and the `code` of the process that the runner replaces (minus the number of a signal); null for the first.
    """

    api: ClassVar[str] = "status"


Operation = type[Call] | type[Question[Any]]
_OF_EVERY_RUNNER: tuple[Operation, ...] = (LoadModel, UnloadModel, PullModel, RemoveModel, KeptModels, RunnerStatus)
OPERATIONS: Mapping[Task, tuple[Operation, ...]] = {
    Task.STT: (*_OF_EVERY_RUNNER, TranscribeCall, WindowCall),
    Task.TTS: (*_OF_EVERY_RUNNER, SpeakCall),
    Task.DIARIZE: (*_OF_EVERY_RUNNER, DiarizeCall, VoiceprintsCall),
    Task.LLM: (*_OF_EVERY_RUNNER, GenerateCall),
}
"""The operations of a runner, by the task of its backend. The `api` of an operation is its URL path at a runner: it stays the same from
version to version, as do the names of its fields, so that a server and a remote runner may have different versions."""


def chunk_frame(chunk: Mapping[str, Any]) -> Frame:
    """Pack one chunk of a generated answer; an empty one only shows that the model is at work."""
    return Frame(Kind.JSON if chunk else Kind.PROGRESS, json.dumps(chunk).encode())


def chunk_of(frame: Frame) -> dict[str, Any]:
    """Unpack what `chunk_frame` packed."""
    chunk: dict[str, Any] = json.loads(frame.payload)
    return chunk


def turns_frame(turns: list[Turn]) -> Frame:
    """Pack who spoke when."""
    return Frame(Kind.JSON, _TURNS.dump_json(turns))


def turns_of(frame: Frame) -> list[Turn]:
    """Unpack what `turns_frame` packed."""
    return _TURNS.validate_json(frame.payload)


def transcript_frame(item: TranscriptInfo | Segment) -> Frame:
    """Pack one item of a transcription."""
    adapter = _INFO if isinstance(item, TranscriptInfo) else _SEGMENT
    return Frame(Kind.JSON, adapter.dump_json(item))  # type: ignore[arg-type]


def window_frame(result: WindowResult) -> Frame:
    """Pack the result of one window."""
    return Frame(Kind.JSON, _WINDOW_RESULT.dump_json(result))


def window_of(frame: Frame) -> WindowResult:
    """Unpack what `window_frame` packed."""
    return _WINDOW_RESULT.validate_json(frame.payload)


def transcript_item(frame: Frame) -> TranscriptInfo | Segment:
    """Unpack what `transcript_frame` packed."""
    data = json.loads(frame.payload)
    return (_INFO if "language_probability" in data else _SEGMENT).validate_python(data)


_TRANSCRIBE_OPTIONS = TypeAdapter(TranscribeOptions)
_SPEECH_OPTIONS = TypeAdapter(SpeechOptions)
_INFO = TypeAdapter(TranscriptInfo)
_SEGMENT = TypeAdapter(Segment)
_WINDOW_RESULT = TypeAdapter(WindowResult)
_TURNS = TypeAdapter(list[Turn])
