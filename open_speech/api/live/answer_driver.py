"""The driver of the answers of a Live session: generates and speaks them, no further ahead than they are played."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from open_speech.api.live.effects import (
    AnswerAudio,
    AnswerDone,
    AnswerFailed,
    AnswerText,
    AnswerTool,
    Generate,
    Release,
    Report,
    Speak,
    StopAnswer,
)
from open_speech.api.realtime.response_driver import HELD_S
from open_speech.audio import Audio, resample
from open_speech.dialogue.answer import Answered, Answers
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.dialogue.language_models import HOW
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.within_context import WithinContext
from open_speech.errors import BackendFailed, LanguageModelUnavailable, SpeechError
from open_speech.metrics.meter import Meter
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.service import Synthesis

log = logging.getLogger("open_speech.live")

AnswerEffect = Generate | Speak | Release | StopAnswer
"""The effects that are performed here."""


class AnswerDriver:
    """The I/O of the answers of one session, each in a task of its own."""

    def __init__(
        self,
        synthesis: Synthesis,
        speech: SynthesisRequest,
        llm: LanguageModel | None,
        *,
        report: Callable[[Report], None],
        room: Callable[[], Awaitable[None]],
        meter: Meter | None = None,
    ) -> None:
        """`speech` has the model, the voice and the sample rate. `room` waits until most of the audio that was reported is played."""
        self._answers = Answers(synthesis)
        self._speech = speech
        self._llm = llm
        self._report = report
        self._room = room
        self._meter = meter or Meter()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, asyncio.Event] = {}
        """Answers that are held, complete or not, each with the event of its release."""
        self._closed = False

    def perform(self, effect: AnswerEffect) -> None:
        """Start, release or stop an answer; ignored after `aclose`."""
        match effect:
            case _ if self._closed:
                return
            case Release(answer_id):
                self._release(answer_id)
            case StopAnswer(answer_id):
                self._stop(answer_id)
            case _:
                self._start(effect)

    def _start(self, effect: Generate | Speak) -> None:
        if isinstance(effect, Generate) and effect.is_held:
            self._held[effect.answer_id] = asyncio.Event()
            self._meter.early_answer("started")
        task = asyncio.create_task(self._make(effect))
        self._tasks[effect.answer_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(effect.answer_id, None))

    def _release(self, answer_id: int) -> None:
        released = self._held.pop(answer_id, None)
        if released is not None:
            self._meter.early_answer("released")
            released.set()

    def _stop(self, answer_id: int) -> None:
        """Stop an answer: nothing more is reported about it, and its synthesis ends."""
        if self._held.pop(answer_id, None) is not None:
            self._meter.early_answer("dropped")
        task = self._tasks.get(answer_id)
        if task is not None:
            task.cancel()

    async def aclose(self) -> None:
        """Stop every answer, and wait until they have ended."""
        self._closed = True
        for answer_id in [*self._held]:
            self._stop(answer_id)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, effect: Generate | Speak) -> None:
        try:
            ended = (await self._answer(effect)).ended
            self._report(AnswerDone(effect.answer_id, ended.reason, ended.usage))
        except SpeechError as error:
            self._report(AnswerFailed(effect.answer_id, error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an event may reach the client
            log.exception("an answer failed")
            self._report(AnswerFailed(effect.answer_id, BackendFailed("The answer could not be completed.")))

    async def _answer(self, effect: Generate | Speak) -> Answered:
        sink = _Reporting(effect.answer_id, self._speech.rate or 0, self._report, self._room, self._held.get(effect.answer_id))
        if isinstance(effect, Speak):
            return await self._answers.read(effect.text, self._speech, sink)
        return await self._generate(effect.request, sink)

    async def _generate(self, request: Mapping[str, Any], sink: _Reporting) -> Answered:
        if self._llm is None:
            raise LanguageModelUnavailable(f"This server has no language model: {HOW}.")
        return await self._answers.generate(WithinContext(self._llm), request, self._speech, sink)


class _Reporting:
    """The AnswerSink of one answer: reports what it receives, no faster than it is played, and little while it is held."""

    def __init__(
        self,
        answer_id: int,
        rate: int,
        report: Callable[[Report], None],
        room: Callable[[], Awaitable[None]],
        released: asyncio.Event | None,
    ) -> None:
        self._answer_id = answer_id
        self._rate = rate
        self._report = report
        self._room = room
        self._released = released
        self._seconds = 0.0
        self._known_calls: set[int] = set()

    async def text(self, text: str, at_s: float) -> None:
        """Report text."""
        self._report(AnswerText(self._answer_id, text, at_s))

    async def audio(self, audio: Audio) -> None:
        """Report audio."""
        if self._released is not None and self._seconds >= HELD_S:
            await self._released.wait()
        self._seconds += audio.seconds
        await self._room()
        self._report(AnswerAudio(self._answer_id, resample(audio, self._rate).samples))

    def tool(self, call: ToolCallDelta) -> None:
        """Report a part of a tool call, with an id if the model sends none."""
        is_first = call.index not in self._known_calls
        self._known_calls.add(call.index)
        call_id = call.call_id or (f"call_{uuid4().hex[:24]}" if is_first else "")
        self._report(AnswerTool(self._answer_id, call.index, call_id, call.name, call.arguments))
