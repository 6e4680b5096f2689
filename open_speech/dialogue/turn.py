"""One turn of a spoken dialogue: audio to transcript to answer to speech, measured stage by stage, within the limits of an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from open_speech.audio import Audio
from open_speech.dialogue.answer import Answered, Answers, AnswerSink
from open_speech.dialogue.completions import Reason, ToolCallDelta
from open_speech.dialogue.measured_model import MeasuredModel
from open_speech.dialogue.memory import SessionKey, Turn, estimated_tokens
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.sessions import Sessions
from open_speech.dialogue.within_context import WithinContext
from open_speech.engine import Engine
from open_speech.errors import SpeechError
from open_speech.metrics.meter import Meter
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.service import Recognition
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.transcript import Transcript

Truncated = Literal["", "max_tokens", "max_speech", "content_filter"]
_TRUNCATED: Mapping[Reason, Truncated] = {"": "", "max_output_tokens": "max_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Recording:
    """What the user said, as an audio file, and how it is transcribed."""

    source: bytes | Path
    request: RecognitionRequest


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """The parameters of one turn."""

    user: Recording | str
    """What the user said, or wrote."""
    speech: SynthesisRequest
    """How the answer is spoken, without its text."""
    instructions: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Sampling options of `/chat/completions`."""
    max_tokens: int = 512
    max_speech_s: float = 120.0
    """No further sentence is begun after so many seconds of speech."""
    session: SessionKey | None = None
    """None: the turn has no memory."""
    kind: str = "dialogue"
    """The API, for metrics."""


@dataclass(frozen=True, slots=True)
class Timings:
    """The duration of the stages of a turn, in seconds. None: the stage had no result."""

    transcription_s: float | None = None
    first_token_s: float | None = None
    """From the beginning of the turn to the first token."""
    first_audio_s: float | None = None
    """From the beginning of the turn to the first audio."""
    total_s: float = 0.0
    audio_s: float = 0.0
    """Duration of the speech."""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn that is complete."""

    transcript: Transcript | None
    said: str
    """What the user said or wrote."""
    text: str
    """The answer, without space around it; empty if the user said nothing."""
    timings: Timings
    usage: Mapping[str, int] = field(default_factory=dict)
    truncated: Truncated = ""
    """Why the answer ends early."""
    dropped_turns: int = 0
    """Earlier turns that the language model did not receive, because its context is too short."""
    speech_error: SpeechError | None = None
    """Why the speech is missing or ends early; the text is complete."""


class TurnSink(AnswerSink, Protocol):
    """The receiver of a turn."""

    async def heard(self, transcript: Transcript) -> None:
        """Receive the transcript of what the user said; not called for text."""
        ...

    def generated(self, text: str) -> None:
        """Receive the whole text of the answer when it is generated. Its speech may still be in progress."""
        ...


class Turns:
    """Performs the turns of all dialogues of a server."""

    def __init__(self, engine: Engine, sessions: Sessions, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._parts = _Parts(engine.recognition, Answers(engine.synthesis, keeps_text=True), engine.meter, clock)
        self._sessions = sessions

    async def perform(self, turn: TurnRequest, llm: LanguageModel, sink: TurnSink) -> TurnResult:
        """Perform a turn; it is stored when it is complete. Without a word of the user, the language model is not called.

        Raises Overloaded, and what the transcription and LanguageModel.answer raise: then nothing is stored.
        """
        meter = self._parts.meter
        performed = _Performed(self._parts, turn, llm, sink)
        try:
            async with self._sessions.turn(turn.session) as session:
                result = await performed.run(session.turns)
                if result.text.strip():
                    tokens = estimated_tokens(performed.said) + result.timings.tokens
                    await session.keep(Turn(performed.said, result.text, tokens))
        except SpeechError:
            meter.dialogue(turn.kind, 0.0, failed=True)
            raise
        meter.dialogue(turn.kind, result.timings.total_s)
        return result


@dataclass(frozen=True, slots=True)
class _Parts:
    recognition: Recognition
    answers: Answers
    meter: Meter
    clock: Callable[[], float]


class _Performed:
    """One turn in progress."""

    def __init__(self, parts: _Parts, turn: TurnRequest, llm: LanguageModel, sink: TurnSink) -> None:
        self.said = ""
        """What the user said."""
        self._parts = parts
        self._turn = turn
        self._sink = sink
        self._began = parts.clock()
        self._context = WithinContext(llm)
        self._model = MeasuredModel(
            self._context, max_tokens=turn.max_tokens, ended=lambda text: sink.generated(text.strip()), clock=parts.clock
        )
        self._guard = _Guard(sink, turn.max_speech_s, parts.clock)

    async def run(self, earlier: Sequence[Turn]) -> TurnResult:
        """Perform the turn after the `earlier` ones of its session."""
        transcript, took_s = await self._hear()
        if not self.said.strip():
            return TurnResult(transcript, self.said, "", Timings(took_s, total_s=self._since_began(self._parts.clock()) or 0.0))
        answered, truncated = await self._answer(earlier)
        timings = Timings(
            took_s,
            self._since_began(self._model.first_at),
            self._since_began(self._guard.first_at),
            self._since_began(self._parts.clock()) or 0.0,
            self._guard.seconds,
            self._model.tokens,
        )
        text, dropped = "".join(self._guard.texts).strip(), self._context.dropped
        return TurnResult(transcript, self.said, text, timings, answered.ended.usage, truncated, dropped, answered.speech_error)

    async def _hear(self) -> tuple[Transcript | None, float | None]:
        """Transcribe what the user said; return the transcript and the seconds that it took."""
        parts, user = self._parts, self._turn.user
        if isinstance(user, str):
            self.said = user
            return None, None
        began = parts.clock()
        try:
            transcript = await parts.recognition.transcribe(user.source, user.request)
        except SpeechError:
            parts.meter.stage("stt", None)
            raise
        took_s = parts.clock() - began
        parts.meter.stage("stt", took_s)
        self.said = transcript.text
        await self._sink.heard(transcript)
        return transcript, took_s

    async def _answer(self, earlier: Sequence[Turn]) -> tuple[Answered, Truncated]:
        """Generate and speak the answer; return how it ended, and why early."""
        parts, turn = self._parts, self._turn
        request = {**turn.options, "max_tokens": turn.max_tokens, "messages": messages(turn.instructions, earlier, self.said)}
        began = parts.clock()
        try:
            answered = await parts.answers.generate(self._model, request, turn.speech, self._guard)
            truncated = _TRUNCATED[answered.ended.reason]
        except _SpeechLimit:
            answered, truncated = Answered(), "max_speech"
        except SpeechError:
            parts.meter.stage("llm", None)
            raise
        ended_at = parts.clock() if self._model.ended_at is None else self._model.ended_at
        parts.meter.stage("llm", ended_at - began)
        if answered.speech_error is not None:
            parts.meter.stage("tts", None)
        elif self._model.first_at is not None and self._guard.first_at is not None:
            parts.meter.stage("tts", self._guard.first_at - self._model.first_at)
        return answered, truncated

    def _since_began(self, at: float | None) -> float | None:
        return None if at is None else at - self._began


def messages(instructions: str, earlier: Sequence[Turn], said: str) -> list[dict[str, str]]:
    """Return the chat messages of a turn: the instructions, the earlier turns, and what the user said."""
    chat = [{"role": "system", "content": instructions}] if instructions.strip() else []
    for turn in earlier:
        chat += [{"role": "user", "content": turn.user}, {"role": "assistant", "content": turn.assistant}]
    return [*chat, {"role": "user", "content": said}]


class _SpeechLimit(Exception):
    """The answer has reached its maximum duration."""


class _Guard:
    """An AnswerSink that passes everything on, measures it, and ends the answer at a sentence after `max_s` seconds of speech."""

    def __init__(self, sink: TurnSink, max_s: float, clock: Callable[[], float]) -> None:
        self.texts: list[str] = []
        self.seconds = 0.0
        self.first_at: float | None = None
        """When the first audio was received."""
        self._sink = sink
        self._max_s = max_s
        self._clock = clock

    async def text(self, text: str, at_s: float) -> None:
        """Pass on text. Raises _SpeechLimit for the text of a sentence that is not to begin."""
        if self.seconds >= self._max_s:
            raise _SpeechLimit
        self.texts.append(text)
        await self._sink.text(text, at_s)

    async def audio(self, audio: Audio) -> None:
        """Pass on audio."""
        self.first_at = self._clock() if self.first_at is None else self.first_at
        self.seconds += audio.seconds
        await self._sink.audio(audio)

    def tool(self, call: ToolCallDelta) -> None:
        """Ignore a tool call: these dialogues offer no tools."""
