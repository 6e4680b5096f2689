"""One answer of a conversation, spoken while it is generated: tokens of a language model to sentences to speech.

Every API with conversations uses it (Realtime, the dialogue routes). What it reports goes to an AnswerSink, in the order of the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from open_speech.audio import Audio
from open_speech.dialogue.completions import Ended, TextDelta, ToolCallDelta
from open_speech.dialogue.model import AnsweringModel
from open_speech.dialogue.verbatim import Verbatim
from open_speech.errors import NothingToSpeak, SpeechError
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.service import Synthesis
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.text.fragments import Fragments

log = logging.getLogger("open_speech.dialogue")


class AnswerSink(Protocol):
    """The receiver of an answer. Its coroutines may wait until the client has read what it was sent."""

    async def text(self, text: str, at_s: float) -> None:
        """Receive the next part of the text; the audio of that part begins at `at_s` seconds of the audio."""
        ...

    async def audio(self, audio: Audio) -> None:
        """Receive the next part of the audio."""
        ...

    def tool(self, call: ToolCallDelta) -> None:
        """Receive the next part of a tool call."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """How an answer ended."""

    ended: Ended = field(default_factory=Ended)
    speech_error: SpeechError | None = None
    """Why the audio is missing or ends early; the text is complete."""


class Answers:
    """Makes the answers of one conversation."""

    def __init__(self, synthesis: Synthesis, *, keeps_text: bool = False) -> None:
        """With `keeps_text`, a failed synthesis leaves an answer of text only, instead of raising its error."""
        self._synthesis = synthesis
        self._keeps_text = keeps_text

    async def read(self, text: str, speech: SynthesisRequest, sink: AnswerSink) -> Answered:
        """Speak a text word for word. Raises SpeechError's children."""
        verbatim = Verbatim(text)
        try:
            stream = await self._synthesis.speak(replace(speech, text=text, is_live=True))
            await self._send(stream, verbatim, sink)
        except SpeechError as error:
            return Answered(speech_error=await self._without_speech(error, verbatim, sink))
        return Answered()

    async def generate(
        self, llm: AnsweringModel, request: Mapping[str, Any], speech: SynthesisRequest | None, sink: AnswerSink
    ) -> Answered:
        """Generate an answer, and speak it sentence by sentence meanwhile; without `speech` it is text only.

        `request` is as in LanguageModel.answer, `speech` has no text yet. Raises what LanguageModel.answer raises, and the errors of the
        synthesis unless the text is kept.
        """
        generated = _GeneratedText()
        reading = asyncio.create_task(self._receive(llm, request, generated, sink, has_audio=speech is not None))
        error: SpeechError | None = None
        try:
            if speech is not None:
                await generated.has_text.wait()
                if generated.is_speakable:
                    error = await self._speak(generated, speech, sink)
            ended = await reading
            if error is not None:
                await self._without_speech(error, generated.text, sink)
            return Answered(ended, error)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _receive(
        self, llm: AnsweringModel, request: Mapping[str, Any], generated: _GeneratedText, sink: AnswerSink, *, has_audio: bool
    ) -> Ended:
        """Read the output of the model: text for the synthesis, or for the client if the answer has no audio, and tool calls."""
        ended = Ended()
        try:
            async with aclosing(llm.answer(request)) as pieces:
                async for piece in pieces:
                    match piece:
                        case TextDelta(text) if has_audio:
                            generated.put(text)
                        case TextDelta(text):
                            await sink.text(text, 0.0)
                        case ToolCallDelta():
                            sink.tool(piece)
                        case Ended():
                            ended = piece
        finally:
            generated.end()
        return ended

    async def _speak(self, generated: _GeneratedText, speech: SynthesisRequest, sink: AnswerSink) -> SpeechError | None:
        """Speak the text while it is generated; return the error after which only text is left."""
        try:
            stream = await self._synthesis.speak_stream(speech, generated.fragments)
            await self._send(stream, generated.text, sink)
        except NothingToSpeak:  # for example an emoji: the client receives it as text
            await _send_text(sink, generated.text.rest(), 0.0)
        except SpeechError as error:
            if not self._keeps_text:
                raise
            return error
        return None

    async def _without_speech(self, error: SpeechError, text: Verbatim, sink: AnswerSink) -> SpeechError:
        """Send the rest of a text whose synthesis failed. Raises the error if the text is not to be kept."""
        if not self._keeps_text:
            raise error
        log.warning("the answer is text only: %s", error)
        await _send_text(sink, text.rest(), 0.0)
        return error

    async def _send(self, speech: SpeechStream, text: Verbatim, sink: AnswerSink) -> None:
        """Send speech while it is synthesized, each sentence before its audio, no faster than the client reads it."""
        seconds = 0.0
        async with aclosing(speech):
            async for item in narrated(speech):
                if isinstance(item, Cue):
                    await _send_text(sink, "" if item.is_mark else text.take(item.text), item.at_s)
                    continue
                seconds += item.seconds
                await sink.audio(item)
        await _send_text(sink, text.rest(), seconds)


async def _send_text(sink: AnswerSink, text: str, at_s: float) -> None:
    if text:
        await sink.text(text, at_s)


@dataclass(slots=True)
class _GeneratedText:
    """The output of a language model so far, for the synthesis."""

    fragments: Fragments = field(default_factory=Fragments)
    text: Verbatim = field(default_factory=Verbatim)
    has_text: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is text to speak, or when the output has ended."""
    is_speakable: bool = False

    def put(self, text: str) -> None:
        self.fragments.put(text)
        self.text.put(text)
        if text.strip():
            self.is_speakable = True
            self.has_text.set()

    def end(self) -> None:
        self.fragments.end()
        self.has_text.set()
