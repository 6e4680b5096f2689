"""The driver of Realtime responses: speaks a given text, or the output of a language model while it is generated.

One counter numbers all that is started here. A report whose number is not that of its response any more is late, and is dropped: a stopped
response may be started again with the same id.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
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
from open_speech.audio import Audio
from open_speech.dialogue.answer import Answered, Answers
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.dialogue.language_models import HOW
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.within_context import WithinContext
from open_speech.errors import BackendFailed, LanguageModelUnavailable, SpeechError
from open_speech.metrics.meter import Meter
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.service import Synthesis

log = logging.getLogger("open_speech.realtime")

HELD_S = 2.0
"""Seconds of audio of a held response that are produced before it is released: enough to play while the next sentence is synthesized."""
HELD_CHARS = 2000
"""Characters of a held response without audio."""


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
        meter: Meter | None = None,
    ) -> None:
        """`report` receives the progress of the responses; `room` waits until the client has read enough of the audio that is queued."""
        self._answers = Answers(synthesis)
        self._default_model = default_model
        self._llm = llm
        self._report = report
        self._room = room
        self._meter = meter or Meter()
        self._generations = itertools.count(1)
        self._running: dict[str, _Running] = {}
        """What is in progress for each response, and each response that is held."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def respond(self, effect: Respond) -> None:
        """Start a response; ignored after `aclose`. What is in progress with the same id must have been stopped."""
        if self._closed:
            return
        running = _Running(next(self._generations), effect.is_held)
        self._running[effect.response_id] = running
        if effect.is_held:
            self._meter.early_answer("started")
        running.task = asyncio.create_task(self._make(effect, running))
        self._tasks.add(running.task)
        running.task.add_done_callback(lambda task: self._ended(effect.response_id, running, task))

    def release(self, response_id: str) -> None:
        """Let a held response go on: the client receives it from now on."""
        running = self._running.get(response_id)
        if running is None or running.is_released.is_set():
            return
        self._meter.early_answer("released")
        running.is_released.set()
        if running.task is not None and running.task.done():
            del self._running[response_id]

    def stop(self, response_id: str) -> None:
        """Stop a response: nothing more is reported about it, and its synthesis and the request to the language model end."""
        running = self._running.pop(response_id, None)
        if running is None:
            return
        if not running.is_released.is_set():
            self._meter.early_answer("dropped")
        if running.task is not None:
            running.task.cancel()

    async def aclose(self) -> None:
        """Stop every response, and wait until they have ended."""
        self._closed = True
        tasks = list(self._tasks)
        for response_id in list(self._running):
            self.stop(response_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, response_id: str, running: _Running, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A held response that is complete still waits for its release.
        if self._running.get(response_id) is running and running.is_released.is_set():
            del self._running[response_id]

    def _report_of(self, response_id: str, running: _Running) -> Callable[[Report], None]:
        """Return what reports the progress of a response while that is the current generation of it."""

        def report(report: Report) -> None:
            current = self._running.get(response_id)
            if current is not None and current.generation == running.generation:
                self._report(report)

        return report

    async def _make(self, effect: Respond, running: _Running) -> None:
        report = self._report_of(effect.response_id, running)
        try:
            ended = (await self._answer(effect, _Reporting(effect, report, self._room, running))).ended
            report(ResponseDone(effect.response_id, ended.reason, ended.usage))
        except SpeechError as error:
            report(ResponseFailed(effect.response_id, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an event may reach the client
            log.exception("a response failed")
            report(ResponseFailed(effect.response_id, BackendFailed("The response could not be completed.")))

    async def _answer(self, effect: Respond, sink: _Reporting) -> Answered:
        """Speak a text word for word, or the output of the language model."""
        match effect.plan:
            case SpeakText(text) if effect.has_audio:
                return await self._answers.read(text, self._request(effect), sink)
            case SpeakText(text):
                await sink.text(text, 0.0)
                return Answered()
            case GenerateText(request, may_truncate):
                if self._llm is None:
                    raise LanguageModelUnavailable(f"This server has no language model: {HOW}.")
                llm = WithinContext(self._llm) if may_truncate else self._llm
                return await self._answers.generate(llm, request, self._request(effect) if effect.has_audio else None, sink)

    def _request(self, effect: Respond) -> SynthesisRequest:
        """Return the synthesis request of a response, without its text."""
        return SynthesisRequest(
            effect.model or self._default_model,
            voice=effect.voice,
            speed=effect.speed,
            language=effect.language,
            rate=effect.format.rate,
        )


class _Running:
    """A response in progress, or one that is held."""

    def __init__(self, generation: int, is_held: bool) -> None:
        self.generation = generation
        self.is_released = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        if not is_held:
            self.is_released.set()


class _Reporting:
    """The AnswerSink of one response: reports what it receives, no faster than the client reads it, and little while it is held."""

    def __init__(self, effect: Respond, report: Callable[[Report], None], room: Callable[[], Awaitable[None]], running: _Running) -> None:
        self._effect = effect
        self._report = report
        self._room = room
        self._is_released = running.is_released
        self._seconds = 0.0
        self._chars = 0
        self._known_calls: set[int] = set()

    async def text(self, text: str, at_s: float) -> None:
        """Report text; without audio, nothing else slows the output of the model down."""
        if not self._effect.has_audio:
            self._chars += len(text)
            if self._chars > HELD_CHARS:
                await self._is_released.wait()
            await self._room()
        self._report(ResponseText(self._effect.response_id, text, at_s))

    async def audio(self, audio: Audio) -> None:
        """Report audio, encoded for the client."""
        for data, length in encoded(audio, self._effect.format):
            if self._seconds >= HELD_S:
                await self._is_released.wait()
            self._seconds += length
            await self._room()
            self._report(ResponseAudio(self._effect.response_id, data, length))

    def tool(self, call: ToolCallDelta) -> None:
        """Report a part of a tool call, with an id if the model sends none."""
        is_first = call.index not in self._known_calls
        self._known_calls.add(call.index)
        call_id = call.call_id or (f"call_{uuid4().hex[:24]}" if is_first else "")
        self._report(ResponseTool(self._effect.response_id, call.index, call_id, call.name, call.arguments))
