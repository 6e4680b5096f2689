"""Any Wyoming server as a backend: `wyoming` uses it for transcription, `wyoming-tts` for synthesis."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from wyoming.event import Event

from open_speech.audio import Audio, to_pcm16
from open_speech.backends import STT_RATE, Setup, SpeechOptions, TranscribeOptions, Window, WindowResult
from open_speech.errors import (
    BackendFailed,
    InvalidRequest,
    NothingToSpeak,
    Overloaded,
    SpeechError,
    UnknownModel,
    UnknownVoice,
    UnsupportedLanguage,
)
from open_speech.languages import language_code
from open_speech.transcript import Segment, TranscriptInfo
from runners.support.backend_options import WyomingOptions, WyomingSttOptions, WyomingTtsOptions
from runners.support.partial_results import Growing, announced
from runners.support.peer_names import id_of, voice_of
from runners.support.retry import Busy, Patience
from runners.support.wyoming_connection import WyomingConnection
from runners.support.wyoming_discovery import PREFIX, described
from runners.wiring.bento_service import Resources, stt_service, tts_service

log = logging.getLogger("open_speech.wyoming_peer")

CALLS = 8
"""Maximum concurrent connections: the other server does the work."""
CHUNK_SAMPLES = STT_RATE // 10
FAINTEST = 1e-4
"""Peak amplitude below which there is no speech, and the audio is not sent."""
_CODES: Mapping[str, tuple[type[InvalidRequest], str]] = {
    "voice_not_found": (UnknownVoice, "voice"), "unsupported_language": (UnsupportedLanguage, "language"),
    "model_not_found": (UnknownModel, "model"), "nothing_to_speak": (NothingToSpeak, "input"),
}  # fmt: skip
"""Error codes of our own server for an invalid request -> error and field; other servers send only a text."""
_NUMBER_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}


class _Peer:
    """The base of both backends: one server, and the selected program of it."""

    _options: type[WyomingOptions]

    def __init__(self, setup: Setup) -> None:
        """Store the setup; its folder is empty, and its settings name the server."""
        self._setup = setup
        options = self._options.of(setup.settings)
        self._uri = options.uri
        self._patience = Patience(options.timeout_s, options.max_retries)

    def _choose(self, line: WyomingConnection) -> None:
        """Select the program if it is not the server's first one."""
        if self._chosen is not None:
            line.send("select-program", {"name": self._chosen})

    _chosen: str | None = None


class WyomingTranscriber(_Peer):
    """A recognizer of a Wyoming server."""

    _options = WyomingSttOptions

    def load(self) -> None:
        """Query the server's models and select one. Raises UnknownModel, BackendUnavailable, BackendTimeout or BackendFailed."""
        info = self._patience.get(lambda deadline: described(self._uri, deadline))
        for at, program in enumerate(info.asr):
            for name, _ in program.models:
                if id_of(PREFIX, name) == self._setup.model.id:
                    self._name, self._chosen = name, program.name if at else None
                    return
        raise UnknownModel(f"The Wyoming server has no model `{self._setup.model.id.removeprefix(PREFIX)}`.", param="model")

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then segments, as the server sends its text; it sends no times, so they are estimates.

        Raises UnsupportedLanguage for a language that the model does not list at the call; during iteration Overloaded, BackendUnavailable,
        BackendTimeout or BackendFailed.
        """
        known = self._setup.model.languages
        if options.language and known and options.language not in known:
            raise UnsupportedLanguage(f"The model `{self._setup.model.id}` does not support `{options.language}`.", param="language")
        return announced(self._heard(audio, options), audio.seconds, options)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Transcribe windows one after the other: one result each, in order."""
        return [self._window(window) for window in windows]

    def _window(self, window: Window) -> WindowResult | SpeechError:
        try:
            items = list(self.transcribe(window.audio, window.options))
        except SpeechError as error:
            return error
        info = [item for item in items if isinstance(item, TranscriptInfo)][-1]
        return WindowResult(info.language, info.language_probability, tuple(item for item in items if isinstance(item, Segment)))

    def _heard(self, audio: Audio, options: TranscribeOptions) -> Iterator[Segment | str | None]:
        if not len(audio.samples) or np.abs(audio.samples).max() < FAINTEST:
            return iter(())
        return self._patience.ask(lambda deadline: self._ask(audio, options, deadline))

    def _ask(self, audio: Audio, options: TranscribeOptions, deadline: float) -> Iterator[Segment | str | None]:
        with WyomingConnection(self._uri, deadline) as line:
            self._choose(line)
            terms = [term for term in re.split(r"[,\s]+", options.hotwords or "") if term]
            _tell(line, audio, {"name": self._name, "language": options.language, "transcript_terms": terms or None})
            growing = Growing(audio.seconds)
            for event in line.events():
                match event.type:
                    case "transcript-chunk":
                        yield from growing.feed(_text(event))
                    case "transcript":
                        yield _language(event)
                        yield from growing.finish(_text(event))
                        return
                    case "error":
                        raise failure(event.data)
        raise Busy(BackendFailed("The Wyoming server disconnected before it had sent a transcript."))


class WyomingSynthesizer(_Peer):
    """A synthesizer of a Wyoming server."""

    _options = WyomingTtsOptions

    def load(self) -> None:
        """Query the server's programs and select one. Raises what WyomingTranscriber.load raises."""
        info = self._patience.get(lambda deadline: described(self._uri, deadline))
        for at, program in enumerate(info.tts):
            if id_of(PREFIX, program.name) == self._setup.model.id:
                self._voices, self._chosen = program.voices, program.name if at else None
                return
        raise UnknownModel(f"The Wyoming server has no program `{self._setup.model.id.removeprefix(PREFIX)}`.", param="model")

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio as the server sends it, at the server's sample rate; a voice's speaker is `voice#speaker`.

        Raises UnknownVoice and UnsupportedLanguage at the call; during iteration Overloaded, BackendUnavailable, BackendTimeout or
        BackendFailed.
        """
        asked, _, speaker = options.voice.partition("#")
        name = voice_of(asked, [voice.id for voice in self._voices])
        voice = next((voice for voice in self._voices if voice.id == name), None)
        if name and self._voices and (voice is None or (speaker and speaker not in voice.speakers)):
            raise UnknownVoice(f"The Wyoming server has no voice `{options.voice[:100]}`.", param="voice")
        if voice and options.language and language_code(options.language) not in (None, language_code(voice.language)):
            raise UnsupportedLanguage(f"The voice `{name}` does not speak `{options.language}`.", param="language")
        wanted = {"name": name, **({"speaker": speaker} if speaker else {})} if name else None
        return self._patience.ask(lambda deadline: self._ask(text, wanted, deadline))

    def _ask(self, text: str, voice: Mapping[str, str] | None, deadline: float) -> Iterator[Audio]:
        with WyomingConnection(self._uri, deadline) as line:
            self._choose(line)
            line.send("synthesize", {"text": text, **({"voice": voice} if voice else {})})
            sound = Sound()
            for event in line.events():
                match event.type:
                    case "audio-start" | "audio-chunk":
                        yield from sound.feed(event)
                    case "audio-stop" if sound.heard:
                        return
                    case "audio-stop":
                        raise BackendFailed("The Wyoming server returned no audio.")
                    case "error":
                        raise failure(event.data)
        raise Busy(BackendFailed("The Wyoming server disconnected before it had sent all audio."))


class Sound:
    """The decoder of the audio in one response, chunk by chunk, with any sample width and number of channels."""

    def __init__(self) -> None:
        self.heard = False
        self._rest = b""
        self._shape: tuple[int, int, int] | None = None

    def feed(self, event: Event) -> Iterator[Audio]:
        """Yield the samples of an `audio-start` or `audio-chunk` event. Raises BackendFailed for an unsupported format."""
        shape = (event.data.get("rate"), event.data.get("width"), event.data.get("channels"))
        rate, width, channels = (value if isinstance(value, int) else 0 for value in shape)
        if not (1000 <= rate <= 384_000 and width in _NUMBER_TYPES and 1 <= channels <= 8):
            raise BackendFailed("The Wyoming server sends audio in an unsupported format.")
        if self._shape != (rate, width, channels):
            self._shape, self._rest = (rate, width, channels), b""
        data = self._rest + (event.payload or b"")
        cut = len(data) - len(data) % (width * channels)
        self._rest = data[cut:]
        if cut:
            self.heard = True
            yield Audio(_mono(data[:cut], width, channels), rate)


def failure(data: Mapping[str, Any]) -> Exception:
    """Return the exception for the data of an `error` event."""
    text, code = " ".join(str(data.get("text", "")).split())[:300], str(data.get("code", ""))
    log.warning("the Wyoming server returned the error %s: %s", code or "error", text)
    if code == "server_overloaded":
        return Busy(Overloaded("The Wyoming server is overloaded.", retry_after_s=1))
    if code in _CODES:
        kind, param = _CODES[code]
        return kind(f"The Wyoming server rejected the request: {text}", param=param)
    return BackendFailed(f"The Wyoming server failed: {text}")


def _tell(line: WyomingConnection, audio: Audio, request: Mapping[str, Any]) -> None:
    """Send a request and its audio; stop if the server has closed the connection, because its error may still be unread."""
    form = {"rate": audio.rate, "width": 2, "channels": 1}
    pcm, step = to_pcm16(audio), 2 * CHUNK_SAMPLES
    going_on = line.send("transcribe", {name: value for name, value in request.items() if value})
    going_on = going_on and line.send("audio-start", form)
    for at in range(0, len(pcm), step):
        if not going_on:
            return
        going_on = line.send("audio-chunk", {**form, "timestamp": at * 500 // audio.rate}, pcm[at : at + step])
    if going_on:
        line.send("audio-stop")


def _text(event: Event) -> str:
    text = event.data.get("text")
    return text if isinstance(text, str) else ""


def _language(event: Event) -> str | None:
    told = event.data.get("language")
    return language_code(told) if isinstance(told, str) else None


def _mono(data: bytes, width: int, channels: int) -> Any:
    """Decode samples of 8 (unsigned), 16 or 32 bits, and mix the channels; shape (n,), in [-1, 1)."""
    numbers = np.frombuffer(data, _NUMBER_TYPES[width]).astype(np.float32)
    scaled = (numbers - 128) / 128 if width == 1 else numbers / np.float32(1 << (8 * width - 1))
    return scaled.reshape(-1, channels).mean(axis=1, dtype=np.float32)


Listener = stt_service("wyoming", WyomingTranscriber, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
Speaker = tts_service("wyoming-tts", WyomingSynthesizer, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
