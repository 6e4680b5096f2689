"""Any OpenAI-compatible server as a backend: `upstream` uses it for transcription, `upstream-tts` for synthesis."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, WHISPER_TEMPERATURES, Setup, SpeechOptions, TranscribeOptions, Window, WindowResult
from open_speech.codecs import wav_bytes
from open_speech.errors import (
    InvalidRequest,
    SpeechError,
    UnknownVoice,
    UnsupportedLanguage,
)
from open_speech.languages import language_code
from open_speech.transcript import Segment, TranscriptInfo
from runners.support.backend_options import UpstreamOptions, UpstreamSttOptions, UpstreamTtsOptions
from runners.support.partial_results import Growing, announced
from runners.support.peer_names import id_of, name_of, voice_of
from runners.support.retry import Patience
from runners.support.upstream_answers import Delta, events_of, written_of
from runners.support.upstream_discovery import KOKORO_LANGUAGES, PREFIX, Discovery, explored
from runners.support.upstream_http import Address, Answer, Upstream
from runners.support.upstream_speech import UnaskedFormat, audio_of
from runners.wiring.bento_service import Resources, stt_service, tts_service

log = logging.getLogger("open_speech.upstream")

CALLS = 16
"""Maximum concurrent requests: the other server does the work."""
LONGEST_S = 600.0
"""Maximum seconds of audio in one upload: 19 MB, below OpenAI's limit of 25 MB."""
CUT_WITHIN_S = 30.0
"""Seconds at the end of an upload in which the audio is split at the quietest moment."""
SHORTEST_S = 0.1
"""Seconds below which audio is not sent: OpenAI rejects shorter audio, and it contains no word."""
FAINTEST = 1e-4
"""Peak amplitude below which there is no speech, and the audio is not sent."""
DETECT_S = 30.0
"""Seconds of audio for the detection of the language."""
_STREAMS = re.compile(r"gpt-.*transcribe")
"""OpenAI's models that stream their text, and do not support `verbose_json`."""
_ABOUT_FORM = ("response_format", "timestamp_granularities", "timestamp_granularities[]", "include", "include[]", "stream", None)
"""Fields in an error after which a request with another response format may succeed."""


class Way(StrEnum):
    """The response formats of a transcript; each server, and each of its models, supports some of them."""

    EVENTS = "events"
    """Text in a stream, without times."""
    VERBOSE = "verbose_json"
    """Text with times."""
    SURE = "logprobs"
    """Text with the probability of each token."""
    PLAIN = "json"
    """Text."""


class _Upstream(ABC):
    """The base of both backends: one model of one server."""

    _options: UpstreamOptions

    def __init__(self, setup: Setup) -> None:
        """Store the setup; its folder is empty, and its settings name the server."""
        self._setup = setup
        self._refused: set[str] = set()
        """Formats that the server rejected; they are not requested again."""

    def load(self) -> None:
        """Open a client, and query the server's models and voices. Raises BackendUnavailable, BackendTimeout or BackendFailed."""
        options = self._options
        settings, patience = options.prefix.upper().rstrip("_"), Patience(options.timeout_s, options.max_retries)
        self._server = Upstream(Address(options.url, options.api_key, settings), patience)
        self._has = patience.get(lambda _: explored(self._server, options.dialect, settings, voices_for=self._needs_voices))
        self._name = name_of(PREFIX, self._setup.model.id, (*options.models, *self._models()))

    @abstractmethod
    def _models(self) -> Sequence[str]:
        """Return the names of the server's models for the task."""

    @abstractmethod
    def _needs_voices(self, name: str) -> bool:
        """Return whether the voices of a model are needed."""

    def _may_go_on(self, refused: InvalidRequest, way: str, ways: Sequence[str]) -> bool:
        """Return whether another format can be tried after a rejection that may be due to this one, which is not requested again then."""
        if refused.param not in _ABOUT_FORM or way == ways[-1]:
            return False
        log.info("the upstream server rejected `%s` for `%s`: %s", way, self._name, refused.message)
        self._refused.add(way)
        return True


class UpstreamTranscriber(_Upstream):
    """A recognizer of an OpenAI-compatible server."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; as in `_Upstream`."""
        super().__init__(setup)
        self._options: UpstreamSttOptions = UpstreamSttOptions.of(setup.settings)

    def _models(self) -> Sequence[str]:
        return self._has.stt_models

    def _needs_voices(self, name: str) -> bool:
        return False

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then the segments as the server sends them; a second info if the server reports the language later.

        A long audio is uploaded in parts of LONGEST_S. Beam size and VAD are the server's own. Raises UnsupportedLanguage
        at the call, as far as the server reports its languages; during iteration subclasses of InvalidRequest for a request that the
        server rejects, and Overloaded, BackendUnavailable, BackendTimeout or BackendFailed.
        """
        known = {language_code(known) for known in self._setup.model.languages or self._has.languages.get(self._name, ())}
        wanted = options.language and language_code(options.language)
        if options.language and (wanted is None or (known and wanted not in known)):
            raise UnsupportedLanguage(f"The model `{self._setup.model.id}` does not support `{options.language[:40]}`.", param="language")
        return announced(self._heard(audio, options), audio.seconds, options)

    def transcribe_windows(self, windows: Sequence[Window]) -> list[WindowResult | SpeechError]:
        """Transcribe windows one after the other: one result each, in order."""
        return [self._window(window) for window in windows]

    def _window(self, window: Window) -> WindowResult | SpeechError:
        info, segments = TranscriptInfo("en", 0.0, 0.0), []
        try:
            for item in self.transcribe(window.audio, window.options):
                if isinstance(item, TranscriptInfo):
                    info = item
                else:
                    segments.append(item)
        except SpeechError as error:
            return error
        return WindowResult(info.language, info.language_probability, tuple(segments))

    def _heard(self, audio: Audio, options: TranscribeOptions) -> Iterator[Segment | str | None]:
        if options.detect_only:
            audio = Audio(audio.samples[: round(DETECT_S * STT_RATE)], STT_RATE)
        for at, part in parts(audio):
            for item in self._part(part, options):
                if isinstance(item, Segment):
                    yield _moved(item, at, keep_words=options.word_times, keep_logprobs=options.logprobs)
                else:
                    yield item

    def _part(self, audio: Audio, options: TranscribeOptions) -> Iterator[Segment | str | None]:
        """Transcribe audio in one upload: yields segments, and the code of the language (or None) when the server reports it."""
        if audio.seconds < SHORTEST_S or np.abs(audio.samples).max() < FAINTEST:
            return
        ways = [way for way in self._ways(options) if way not in self._refused] or [Way.PLAIN]
        path = "/audio/translations" if options.task == "translate" else "/audio/transcriptions"
        file = ("audio.wav", wav_bytes(audio), "audio/wav")
        for way in ways:
            try:
                yield from self._server.post(
                    path, lambda answer: _read(answer, audio.seconds), data=self._form(way, options), files={"file": file}
                )
                return
            except InvalidRequest as refused:
                if not self._may_go_on(refused, way, ways):
                    raise

    def _ways(self, options: TranscribeOptions) -> list[Way]:
        if options.logprobs:
            return [Way.SURE, Way.PLAIN]
        if options.task == "translate":
            return [Way.VERBOSE, Way.PLAIN]
        named = self._options.streaming_models
        streams = _STREAMS.match(self._name) is not None or self._name in named or "*" in named
        plain = [Way.VERBOSE, Way.PLAIN]
        if options.detect_only or options.word_times or not streams:
            return plain
        return [Way.EVENTS, *plain]

    def _form(self, way: Way, options: TranscribeOptions) -> dict[str, str | list[str]]:
        speaches = self._has.dialect == "speaches"
        prompt = " ".join(part for part in (options.prompt, None if speaches else options.hotwords) if part)
        form: dict[str, str | list[str]] = {
            "model": self._name,
            "language": options.language if options.language and options.task == "transcribe" else "",
            "prompt": prompt,
            "hotwords": (options.hotwords or "") if speaches else "",
            "temperature": "" if options.temperatures == WHISPER_TEMPERATURES else f"{options.temperatures[0]:g}",
            "vad_filter": "true" if speaches and options.vad is not None else "",
        }
        match way:
            case Way.EVENTS:
                form |= {"response_format": "json", "stream": "true"}
            case Way.VERBOSE:
                form |= {"response_format": "verbose_json"}
                form |= {"timestamp_granularities[]": ["segment", "word"]} if options.word_times else {}
            case Way.SURE:
                form |= {"response_format": "json", "include[]": ["logprobs"]}
            case Way.PLAIN:
                form |= {"response_format": "json"}
        return {name: value for name, value in form.items() if value}


class UpstreamSynthesizer(_Upstream):
    """A synthesizer of an OpenAI-compatible server."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; as in `_Upstream`."""
        super().__init__(setup)
        self._options: UpstreamTtsOptions = UpstreamTtsOptions.of(setup.settings)

    def _models(self) -> Sequence[str]:
        return self._has.tts_models

    def _needs_voices(self, name: str) -> bool:
        return not self._options.voices and id_of(PREFIX, name) == self._setup.model.id

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the audio as the server sends it, at the server's sample rate.

        Raises UnknownVoice and UnsupportedLanguage (as far as the server reports them) at the call; during iteration subclasses of
        InvalidRequest for a request that the server rejects, and Overloaded, BackendUnavailable, BackendTimeout or BackendFailed.
        """
        known = [voice.id for voice in self._voices()]
        voice = voice_of(options.voice or self._default_voice(), known)
        if known and voice not in known and not any(mark in voice for mark in "(+"):
            raise UnknownVoice(f"The upstream model `{self._name}` has no voice `{voice[:100]}`.", param="voice")
        spoken = {_primary(code) for code in self._setup.model.languages or self._has.languages.get(self._name, ())}
        if options.language and spoken and _primary(options.language) not in spoken:
            raise UnsupportedLanguage(f"The model `{self._setup.model.id}` does not speak `{options.language[:40]}`.", param="language")
        return self._spoken(text, replace(options, voice=voice))

    def _spoken(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        order = ["wav", "pcm", "mp3"] if self._has.dialect == "localai" else ["pcm", "wav", "mp3"]
        forms = [form for form in order if form not in self._refused] or order
        failed: list[str] = []
        for form in forms:
            try:
                yield from self._server.post("/audio/speech", partial(audio_of, asked=form), json=self._body(form, text, options))
            except InvalidRequest as refused:
                if refused.param not in _ABOUT_FORM or form == forms[-1]:
                    raise
                log.info("the upstream server rejected `%s` for `%s`: %s", form, self._name, refused.message)
            except UnaskedFormat as other:
                if form == forms[-1]:
                    raise other.error from None
                log.info("the upstream server returned for `%s`: %s", self._name, other)
            else:
                # Only after a success: the rejection of an invalid request is no evidence about the formats.
                self._refused.update(failed)
                return
            failed.append(form)

    def _body(self, form: str, text: str, options: SpeechOptions) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._name, "input": text, "voice": options.voice, "response_format": form}
        body |= {"speed": options.speed} if options.speed != 1.0 else {}
        body |= {"instructions": options.instructions} if options.instructions else {}
        return body | language_of(self._has, options.language)

    def _voices(self) -> Sequence[Any]:
        return self._setup.model.voices if self._options.voices else self._has.voices.get(self._name, ())

    def _default_voice(self) -> str:
        """Return the voice for a request without one: the server's first voice, or OpenAI's if none is known."""
        return next((voice.id for voice in self._voices()), "alloy")


def language_of(has: Discovery, language: str | None) -> dict[str, str]:
    """Return the field for the language in the server's dialect; empty for OpenAI's, which has none."""
    if not language:
        return {}
    match has.dialect:
        case "kokoro-fastapi":
            wanted = language.lower().replace("_", "-")
            near = (code for code, tag in KOKORO_LANGUAGES.items() if tag.lower() == wanted or tag[:2] == wanted[:2])
            exact = (code for code, tag in KOKORO_LANGUAGES.items() if tag.lower() == wanted)
            code = next(exact, None) or next(near, None)
            return {"lang_code": code} if code else {}
        case "speaches" | "localai":
            return {"language": language}
        case _:
            return {}


def _primary(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]


def parts(audio: Audio, longest_s: float = LONGEST_S, within_s: float = CUT_WITHIN_S) -> Iterator[tuple[float, Audio]]:
    """Split an audio at quiet moments into parts of at most `longest_s` seconds; yields (start in seconds, part)."""
    longest, step = round(longest_s * audio.rate), audio.rate // 10
    at = 0
    while at < len(audio.samples):
        end = at + longest
        if end < len(audio.samples):
            late = audio.samples[end - round(within_s * audio.rate) : end]
            loud = np.square(late[: len(late) // step * step].reshape(-1, step)).sum(axis=1)
            end -= len(late) - (int(loud.argmin()) * step + step // 2)
        yield at / audio.rate, Audio(audio.samples[at:end], audio.rate)
        at = end


def _moved(segment: Segment, by: float, *, keep_words: bool, keep_logprobs: bool) -> Segment:
    words = tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words) if keep_words else ()
    logprobs = segment.logprobs if keep_logprobs else ()
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words, logprobs=logprobs)


def _read(answer: Answer, seconds: float) -> Iterator[Segment | str | None]:
    """Parse a transcript in any format: server-sent events, JSON or plain text. Yields segments, and codes of the language (or None)."""
    if answer.kind.startswith("text/event-stream"):
        growing = Growing(seconds)
        for event in events_of(answer.chunks):
            if isinstance(event, Delta):
                yield from growing.feed(event.text)
            else:
                yield event.language
                yield from growing.finish(event.text)
    elif answer.kind.startswith("text/plain"):
        yield from Growing(seconds).finish(answer.whole().decode(errors="replace"))
    else:
        written = written_of(answer.json(), seconds)
        yield written.language
        yield from written.segments


Listener = stt_service("upstream", UpstreamTranscriber, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
Speaker = tts_service("upstream-tts", UpstreamSynthesizer, Resources(threads=CALLS, cpu=0.5, memory="256Mi"))
