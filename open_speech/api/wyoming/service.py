"""What Wyoming connections are served with: a client's request -> a transcription or a speech of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from wyoming.asr import Transcribe
from wyoming.tts import Synthesize, SynthesizeStart

from open_speech.api.wyoming.effects import Delta, Voiced
from open_speech.api.wyoming.info import Offer
from open_speech.api.wyoming.transcription import Transcription
from open_speech.backends import TranscribeOptions
from open_speech.engine import Engine
from open_speech.errors import InvalidValue, NothingToSpeak
from open_speech.languages import requested_language
from open_speech.recognition.live.recognizer import SessionRecognizer
from open_speech.recognition.live.turn_detection import TurnDetector
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import SpeechStream
from open_speech.text.fragments import Fragments
from open_speech.voices import VoiceOptions

HOTWORDS_CHARS = 4000
"""Characters of names and terms that are passed on; a recogniser takes fewer still."""
SENSITIVITY_MS = {"aggressive": 300, "default": 500, "relaxed": 1000}
"""How long a silence ends a stretch of speech, in milliseconds, by the protocol's names."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How requests are served."""

    idle_s: float
    """Seconds without an event of the client or to it after which a connection is closed."""
    longest_s: float
    """Seconds of sound in one request."""
    vad_threshold: float | None
    """Speech probability above which sound is speech; None hears silence, too."""
    options: TranscribeOptions = TranscribeOptions()
    """How everything is transcribed, but for what the client says."""
    instructions: str | None = None
    """How everything is spoken, by models that follow instructions."""


@dataclass(frozen=True, slots=True)
class Service:
    """An engine, what of it is offered, and by which rules."""

    engine: Engine
    offer: Offer
    rules: Rules

    async def listening(self, asked: Transcribe, report: Callable[[Voiced | Delta], None], ears: SessionRecognizer) -> Transcription:
        """Begin to transcribe, with an ear of the connection. Raises SpeechError's children."""
        entry = await asyncio.to_thread(self.offer.model, asked.name)
        ear = await ears.ear(entry.id, heard_as(asked, self.rules.options))
        threshold = self.rules.vad_threshold
        turns = None if threshold is None else TurnDetector(threshold, silence_duration_ms=silence_ms(asked))
        detector = await self.engine.recognition.detector()
        # A recogniser that is given windows is given none of silence.
        gated = turns is not None and self.engine.registry.backends[entry.backend].batch == 0
        live = self.offer.streams(entry)
        return Transcription(ear, detector, turns, report, gated=gated, live=live, longest_s=self.rules.longest_s)

    async def speech(self, asked: Synthesize | SynthesizeStart, fragments: Fragments) -> SpeechStream:
        """Begin to speak what is asked for, or what `fragments` bring. Raises SpeechError's children."""
        kind = text_format(asked.text_format)
        chosen = await asyncio.to_thread(self.offer.voice, asked.voice)
        options = VoiceOptions(instructions=self.rules.instructions)
        request = SynthesisRequest(chosen.model, voice=chosen.voice, language=chosen.language, voice_options=options)
        if isinstance(asked, SynthesizeStart) and kind != "ssml":
            return await self.engine.synthesis.speak_stream(request, fragments)
        # A document must be whole before it can be read.
        text = asked.text if isinstance(asked, Synthesize) else "".join([piece async for piece in fragments])
        if not text.strip():
            raise NothingToSpeak("The text contains nothing that can be spoken.", param="text")
        return await self.engine.synthesis.speak(replace(request, text=text, input_type=kind, is_live=True))


def heard_as(asked: Transcribe, options: TranscribeOptions) -> TranscribeOptions:
    """Convert a request to the engine's options. Raises UnsupportedLanguage naming `language`."""
    language = requested_language(asked.language, "language")
    words = [word.strip() for word in (*(asked.transcript_names or ()), *(asked.transcript_terms or ())) if word.strip()]
    return replace(options, language=language, hotwords=", ".join(words)[:HOTWORDS_CHARS] or options.hotwords)


def silence_ms(asked: Transcribe) -> int:
    """Tell how long a silence ends a stretch of speech; a sensitivity that is not known is the default."""
    return SENSITIVITY_MS.get(asked.vad_sensitivity or "", SENSITIVITY_MS["default"])


def text_format(asked: str | None) -> Literal["text", "ssml"] | None:
    """Read what a text is; None leaves it to the text. Raises InvalidValue."""
    match asked:
        case None | "":
            return None
        case "text":
            return "text"
        case "ssml":
            return "ssml"
        case _:
            raise InvalidValue("`text_format` is `text` or `ssml`.", param="text_format")
