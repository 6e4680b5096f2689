"""The parts that the backends of cloud providers share: models from the settings, uploads, and words with times -> segments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions, Voice, Window, WindowResult
from open_speech.codecs import wav_bytes
from open_speech.errors import BackendFailed, NothingToSpeak, SpeechError, UnknownVoice, UnsupportedValue
from open_speech.text.cleanup import says_something
from open_speech.transcript import Segment, TranscriptInfo, Word
from runners.support.backend_options import CartesiaOptions, CloudOptions, DeepgramOptions, ElevenLabsOptions
from runners.support.partial_results import announced
from runners.support.peer_names import id_of, name_of
from runners.support.retry import Patience
from runners.support.split_audio import pieces
from runners.support.token_words import Spoken, sentences
from runners.support.upstream_answers import written_of
from runners.support.upstream_http import Address, Answer, Upstream
from runners.support.upstream_speech import UnaskedFormat, audio_of

LONGEST_S = 600.0
"""Maximum seconds of audio in one upload: 19 MB, below the limit of every provider."""
SHORTEST_S = 0.1
"""Seconds below which audio is not sent: it contains no word."""
FAINTEST = 1e-4
"""Peak amplitude below which there is no speech, and the audio is not sent."""
DETECT_S = 30.0
"""Seconds of audio for the detection of the language."""
RATE = 24_000
"""Sample rate in hertz of the requested speech."""
PROVIDERS: Mapping[str, type[CloudOptions]] = {"deepgram": DeepgramOptions, "elevenlabs": ElevenLabsOptions, "cartesia": CartesiaOptions}
"""Name of a provider, which is the prefix of its model ids -> its options."""


@dataclass(frozen=True, slots=True)
class Written:
    """The transcript of one upload."""

    text: str
    words: Sequence[Mapping[str, Any]] = ()
    """Each with `word`, `start` and `end` (seconds), and `probability` if the provider reports it."""
    language: str | None = None
    """As the provider writes it."""


class CloudBackend(ABC):
    """The base of both tasks: one model of one provider."""

    provider: ClassVar[str]
    """Name of the provider in PROVIDERS."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; its folder is empty, and its settings contain the key."""
        self._setup = setup
        self._options = PROVIDERS[self.provider].of(setup.settings)

    def load(self) -> None:
        """Open a client; sends no request. Raises BackendFailed if there is no key."""
        options = self._options
        settings = options.prefix.upper().rstrip("_")
        if not options.api_key:
            raise BackendFailed(f"The model `{self._setup.model.id}` needs {settings}_API_KEY.")
        address = Address(options.url, options.api_key, settings, self._headers(options.api_key))
        self._server = Upstream(address, Patience(options.timeout_s, options.max_retries))
        self._name = name_of(f"{self.provider}/", self._setup.model.id, (*options.stt_models, *options.tts_models))

    @abstractmethod
    def _headers(self, key: str) -> dict[str, str]:
        """Return the headers of every request, with the key."""


class CloudTranscriber(CloudBackend):
    """A recognizer of a cloud provider, for recorded audio."""

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then a segment per sentence; a second info if the language is detected in a later upload.

        A long audio is uploaded in parts of LONGEST_S. Beam size, temperature, prompt and VAD have no effect. Raises UnsupportedValue at
        the call for a translation or log-probabilities; during iteration subclasses of InvalidRequest for a request that the provider
        rejects, and Overloaded, BackendUnavailable, BackendTimeout or BackendFailed.
        """
        if options.task == "translate":
            raise UnsupportedValue(f"The model `{self._setup.model.id}` does not translate.", param="task")
        if options.logprobs:
            raise UnsupportedValue(f"The model `{self._setup.model.id}` does not return log probabilities.", param="include")
        return announced(self._items(audio, options), audio.seconds, options)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Transcribe windows one after the other: one result each, in order."""
        return [self._window(window) for window in windows]

    @abstractmethod
    def _upload(self, wav: bytes, options: TranscribeOptions) -> Iterator[Written]:
        """Transcribe one WAV file, with retries. Raises as `transcribe`."""

    def _window(self, window: Window) -> WindowResult | SpeechError:
        try:
            items = list(self.transcribe(window.audio, window.options))
        except SpeechError as error:
            return error
        info = next(item for item in reversed(items) if isinstance(item, TranscriptInfo))
        return WindowResult(info.language, info.language_probability, tuple(item for item in items if isinstance(item, Segment)))

    def _items(self, audio: Audio, options: TranscribeOptions) -> Iterator[Segment | str | None]:
        if options.detect_only:
            audio = Audio(audio.samples[: round(DETECT_S * STT_RATE)], STT_RATE)
        for start, part in pieces(audio, LONGEST_S):
            if part.seconds < SHORTEST_S or np.abs(part.samples).max() < FAINTEST:
                continue
            for written in self._upload(wav_bytes(part), options):
                yield from _segments(written, start, part.seconds, word_times=options.word_times)


class CloudSynthesizer(CloudBackend):
    """A synthesizer of a cloud provider."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio as it arrives, at RATE.

        Raises NothingToSpeak, UnknownVoice (no voice in the request and in the settings) and UnsupportedLanguage at the call; during
        iteration subclasses of InvalidRequest for a request that the provider rejects, and Overloaded, BackendUnavailable, BackendTimeout
        or BackendFailed.
        """
        if not says_something(text):
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="input")
        voice = options.voice or next(iter(self._options.voices), "")
        if not voice:
            raise UnknownVoice(
                f"The model `{self._setup.model.id}` needs a voice: set {self._options.prefix.upper()}VOICES.", param="voice"
            )
        return self._spoken(self._request(text, replace(options, voice=voice)))

    @abstractmethod
    def _request(self, text: str, options: SpeechOptions) -> tuple[str, dict[str, Any]]:
        """Return the path of the request for PCM at RATE, and its content as in `Upstream.post`. Raises UnsupportedLanguage."""

    def _spoken(self, request: tuple[str, dict[str, Any]]) -> Iterator[Audio]:
        path, content = request
        try:
            yield from self._server.post(path, partial(audio_of, asked="pcm"), **content)
        except UnaskedFormat as other:
            raise other.error from None


def primary(language: str) -> str:
    """Return the language of a BCP-47 tag, without its region."""
    return language.lower().replace("_", "-").partition("-")[0]


def whole_json(answer: Answer) -> Iterator[Any]:
    """Yield the body of a response, parsed. Raises BackendFailed if it is not JSON."""
    yield answer.json()


def _segments(written: Written, start: float, seconds: float, *, word_times: bool) -> Iterator[Segment | str | None]:
    rows = [{"start": 0.0, "end": seconds, "text": written.text}]
    parsed = written_of({"text": written.text, "language": written.language, "segments": rows, "words": list(written.words)}, seconds)
    yield parsed.language
    for segment in parsed.segments:
        found = sentences([Spoken(word, ()) for word in segment.words], word_times=word_times, logprobs=False)
        for sentence in found or (segment,):
            words = tuple(Word(word.text, word.start + start, word.end + start, word.probability) for word in sentence.words)
            yield replace(sentence, start=sentence.start + start, end=sentence.end + start, words=words)


def _stt_offers(provider: str, settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """List the recognizers in the settings; the provider is not asked, whatever `ask` is."""
    options = PROVIDERS[provider].of(settings)
    return [
        ModelEntry(
            id_of(f"{provider}/", name),
            provider,
            Task.STT,
            "see the provider",
            (),
            description=f"`{name}` of the provider.",
            word_times=True,
        )
        for name in options.stt_models
    ]


def _tts_offers(provider: str, settings: Mapping[str, Any], *, ask: bool) -> list[ModelEntry]:
    """List the synthesizers in the settings, with the voices there; the provider is not asked, whatever `ask` is."""
    options = PROVIDERS[provider].of(settings)
    voices = tuple(Voice(name, name.rpartition("-")[2] if provider == "deepgram" else "") for name in options.voices)
    return [
        ModelEntry(
            id_of(f"{provider}/", name), f"{provider}-tts", Task.TTS, "see the provider", (), description=f"`{name}` of the provider.",
            voices=voices, default_voice=voices[0].id if voices else "", sample_rate=RATE,
        )
        for name in options.tts_models
    ]  # fmt: skip


deepgram_stt, deepgram_tts = partial(_stt_offers, "deepgram"), partial(_tts_offers, "deepgram")
elevenlabs_stt, elevenlabs_tts = partial(_stt_offers, "elevenlabs"), partial(_tts_offers, "elevenlabs")
cartesia_stt, cartesia_tts = partial(_stt_offers, "cartesia"), partial(_tts_offers, "cartesia")
"""The models of each provider, for the `offers` of the catalog."""
