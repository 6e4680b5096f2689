"""The driver of Realtime responses: speaks a given text, or the output of a language model while it is generated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import uuid4

from open_speech.api.realtime.effects import (
    GenerateText,
    Report,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeakText,
)
from open_speech.api.realtime.wire_audio import encoded
from open_speech.dialogue.completions import Ended, TextDelta, ToolCallDelta
from open_speech.dialogue.llm import LanguageModel
from open_speech.dialogue.verbatim import Verbatim
from open_speech.errors import BackendFailed, LanguageModelUnavailable, NothingToSpeak, SpeechError
from open_speech.synthesis.cues import narrated
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.service import Synthesis
from open_speech.synthesis.stream import Cue, SpeechStream
from open_speech.text.fragments import Fragments

log = logging.getLogger("open_speech.realtime")


class ResponseDriver:
    """The I/O of the responses of one session, each in a task of its own."""

    def __init__(
        self,
        synthesis: Synthesis,
        default_model: str,
        llm: LanguageModel | None,
        *,
        report: Callable[[Report], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """`report` receives the progress of the responses; `room` waits until the client has read enough of the audio that is queued."""
        self._synthesis = synthesis
        self._default_model = default_model
        self._llm = llm
        self._report = report
        self._room = room
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def respond(self, effect: Respond) -> None:
        """Start a response; ignored after `aclose`."""
        if self._closed:
            return
        task = asyncio.create_task(self._make(effect))
        self._tasks[effect.response_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(effect.response_id, None))

    def stop(self, response_id: str) -> None:
        """Stop a response: nothing more is reported about it, and its synthesis ends."""
        task = self._tasks.get(response_id)
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Stop every response, and wait until they have ended."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, effect: Respond) -> None:
        try:
            match effect.plan:
                case SpeakText(text):
                    await self._speak_text(effect, text)
                    ended = Ended()
                case GenerateText():
                    ended = await self._generate(effect, effect.plan)
            self._report(ResponseDone(effect.response_id, ended.reason, ended.usage))
        except SpeechError as error:
            self._report(ResponseFailed(effect.response_id, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an event may reach the client
            log.exception("a response failed")
            self._report(ResponseFailed(effect.response_id, BackendFailed("The response could not be completed.")))

    async def _speak_text(self, effect: Respond, text: str) -> None:
        """Speak a text word for word."""
        if not effect.has_audio:
            self._report(ResponseText(effect.response_id, text))
            return
        speech = await self._synthesis.speak(replace(self._request(effect), text=text, is_live=True))
        await self._send_speech(effect, speech, Verbatim(text))

    async def _generate(self, effect: Respond, plan: GenerateText) -> Ended:
        """Generate a text with the language model, and speak it sentence by sentence meanwhile."""
        if self._llm is None:
            raise LanguageModelUnavailable("This server has no language model: set LLM_BASE_URL.")
        generated = _GeneratedText()
        reading = asyncio.create_task(self._receive(effect, plan, self._llm, generated))
        try:
            if effect.has_audio:
                await generated.has_text.wait()
                if generated.is_speakable:
                    await self._speak_generated(effect, generated)
            return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _receive(self, effect: Respond, plan: GenerateText, llm: LanguageModel, generated: _GeneratedText) -> Ended:
        """Read the output of the model: text for the synthesis, or for the client if the response has no audio, and tool calls."""
        ended, calls = Ended(), _Calls()
        try:
            async with aclosing(llm.answer(plan.request)) as pieces:
                async for piece in pieces:
                    match piece:
                        case TextDelta(text) if effect.has_audio:
                            generated.put(text)
                        case TextDelta(text):
                            await self._room()
                            self._report(ResponseText(effect.response_id, text))
                        case ToolCallDelta():
                            self._report(calls.with_id(effect.response_id, piece))
                        case Ended():
                            ended = piece
        finally:
            generated.end()
        return ended

    async def _speak_generated(self, effect: Respond, generated: _GeneratedText) -> None:
        try:
            speech = await self._synthesis.speak_stream(self._request(effect), generated.fragments)
        except NothingToSpeak:  # for example an emoji: the client receives it as text
            self._report_text(effect, generated.text.rest(), 0.0)
            return
        await self._send_speech(effect, speech, generated.text)

    async def _send_speech(self, effect: Respond, speech: SpeechStream, text: Verbatim) -> None:
        """Report speech while it is synthesized, each sentence before its audio, no faster than the client reads it."""
        seconds = 0.0
        async with aclosing(speech):
            async for item in narrated(speech):
                if isinstance(item, Cue):
                    self._report_text(effect, "" if item.is_mark else text.take(item.text), item.at_s)
                    continue
                for data, length in encoded(item, effect.format):
                    await self._room()
                    seconds += length
                    self._report(ResponseAudio(effect.response_id, data, length))
        self._report_text(effect, text.rest(), seconds)

    def _report_text(self, effect: Respond, text: str, at_s: float) -> None:
        if text:
            self._report(ResponseText(effect.response_id, text, at_s))

    def _request(self, effect: Respond) -> SynthesisRequest:
        """Return the synthesis request of a response, without its text."""
        return SynthesisRequest(
            effect.model or self._default_model,
            voice=effect.voice,
            speed=effect.speed,
            language=effect.language,
            rate=effect.format.rate,
        )


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


class _Calls:
    """Adds ids to the tool calls of a model that sends none."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def with_id(self, response_id: str, piece: ToolCallDelta) -> ResponseTool:
        is_first = piece.index not in self._known
        self._known.add(piece.index)
        call_id = piece.call_id or (f"call_{uuid4().hex[:24]}" if is_first else "")
        return ResponseTool(response_id, piece.index, call_id, piece.name, piece.arguments)
