"""The service behind Wyoming connections: turns a client's request into a transcription or speech of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from wyoming.asr import Transcribe
from wyoming.tts import Synthesize, SynthesizeStart

from open_speech.api.wyoming.effects import Delta, VoiceActivity
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.transcription import Transcription
from open_speech.backends import TranscribeOptions
from open_speech.engine import Engine
from open_speech.errors import InvalidValue, NothingToSpeak
from open_speech.languages import requested_language
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.turn_detection import LONGEST_SILENCE_MS, Eagerness, Endpointer
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import SpeechStream
from open_speech.text.fragments import Fragments
from open_speech.voices import VoiceOptions

HOTWORDS_CHARS = 4000
"""Maximum characters of names and terms that are passed on; a recognizer uses fewer still."""
SENSITIVITY_MS = {"aggressive": 300, "default": 500, "relaxed": 1000}
"""Milliseconds of silence that end a turn, by the protocol's name of the sensitivity."""

EAGERNESS: Mapping[str, Eagerness] = {"aggressive": "high", "default": "auto", "relaxed": "low"}
"""How soon semantic turns end, by the protocol's name of the sensitivity."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for serving requests."""

    idle_s: float
    """Seconds without an event in either direction after which a connection is closed."""
    longest_s: float
    """Maximum seconds of audio in one request."""
    vad_threshold: float | None
    """Speech probability above which audio is speech; None also transcribes silence."""
    semantic: bool = False
    """Whether turns end when the speaker has finished by meaning, if the server has a turn detector."""
    silence_ms: int | None = None
    """Milliseconds of silence that end a turn if the client names no sensitivity; None: those of the default sensitivity."""
    options: TranscribeOptions = TranscribeOptions()
    """Options of every transcription; a client's request overrides some of them."""
    instructions: str | None = None
    """Style instructions for all speech, for models that follow instructions."""


@dataclass(frozen=True, slots=True)
class Service:
    """An engine, what it offers to clients, and the rules for serving them."""

    engine: Engine
    offer: Offer
    rules: Rules

    async def transcription(
        self, event: Transcribe, report: Callable[[VoiceActivity | Delta], None], recognizers: SessionRecognizer
    ) -> Transcription:
        """Start a transcription with a recognizer of the connection. Raises subclasses of SpeechError."""
        entry = await asyncio.to_thread(self.offer.model, event.name)
        recognizer = await recognizers.recognizer(entry.id, transcribe_options(event, self.rules.options))
        threshold = self.rules.vad_threshold
        decider = self.engine.recognition.turns
        longest_ms = LONGEST_SILENCE_MS[eagerness(event)] if self.rules.semantic and decider.is_semantic else None
        if longest_ms is not None:
            decider.prepare()
        silence = silence_ms(event, self.rules.silence_ms)
        turns = None if threshold is None else Endpointer(threshold, silence_duration_ms=silence, longest_silence_ms=longest_ms)
        detector = await self.engine.recognition.detector()
        # A recognizer that decodes windows receives none of silence.
        gated = turns is not None and self.engine.registry.backends[entry.backend].batch == 0
        live = self.offer.streams(entry)
        return Transcription(recognizer, detector, turns, report, gated=gated, live=live, longest_s=self.rules.longest_s, decider=decider)

    async def speech(self, event: Synthesize | SynthesizeStart, fragments: Fragments) -> SpeechStream:
        """Start to speak the text of the event, or that of `fragments`. Raises subclasses of SpeechError."""
        kind = text_format(event.text_format)
        chosen = await asyncio.to_thread(self.offer.voice, event.voice)
        options = VoiceOptions(instructions=self.rules.instructions)
        request = SynthesisRequest(
            chosen.model, voice=chosen.voice, language=chosen.language, voice_options=options, input_type=kind, is_live=True
        )
        if isinstance(event, SynthesizeStart):
            return await self.engine.synthesis.speak_stream(request, fragments)
        if not event.text.strip():
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="text")
        return await self.engine.synthesis.speak(replace(request, text=event.text))


def transcribe_options(event: Transcribe, options: TranscribeOptions) -> TranscribeOptions:
    """Convert a request to the engine's options. Raises UnsupportedLanguage naming `language`."""
    language = requested_language(event.language, "language")
    words = [word.strip() for word in (*(event.transcript_names or ()), *(event.transcript_terms or ())) if word.strip()]
    return replace(options, language=language, hotwords=", ".join(words)[:HOTWORDS_CHARS] or options.hotwords)


def silence_ms(event: Transcribe, configured: int | None = None) -> int:
    """Return the milliseconds of silence that end a turn; without a known sensitivity the configured ones, or else the default."""
    default = SENSITIVITY_MS["default"] if configured is None else configured
    return SENSITIVITY_MS.get(event.vad_sensitivity or "", default)


def eagerness(event: Transcribe) -> Eagerness:
    """Return how soon a semantic turn ends, by the sensitivity of the request."""
    return EAGERNESS.get(event.vad_sensitivity or "", "auto")


def text_format(name: str | None) -> Literal["text", "ssml"] | None:
    """Parse the format of a text; None detects it from the text. Raises InvalidValue."""
    match name:
        case None | "":
            return None
        case "text":
            return "text"
        case "ssml":
            return "ssml"
        case _:
            raise InvalidValue("`text_format` is `text` or `ssml`.", param="text_format")
