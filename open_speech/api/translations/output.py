"""Translates the clauses of one session and speaks them, one after the other."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from open_speech.api.translations import prompting
from open_speech.api.translations.messages import RATE
from open_speech.api.translations.session import OutputAudio, OutputText, Report, Translate, Translated
from open_speech.audio import Audio, to_pcm16
from open_speech.dialogue.answer import Answered, Answers
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.dialogue.language_models import HOW
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.within_context import WithinContext
from open_speech.errors import BackendFailed, LanguageModelUnavailable, SpeechError
from open_speech.synthesis.language_voices import LanguageVoice
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.service import Synthesis

log = logging.getLogger("open_speech.translations")

PIECE_SAMPLES = 8192
"""Maximum samples in one event, a third of a second: a client reads the beginning of a clause while the rest is synthesized."""


class Output:
    """The queue of clauses, and the work on the first of them. The session bounds the number of clauses that wait."""

    def __init__(
        self,
        synthesis: Synthesis,
        voices: Mapping[str, LanguageVoice],
        llm: LanguageModel | None,
        *,
        report: Callable[[Report], None],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """`voices` has the voice of each language. `room` waits until the client has read enough of the audio that is queued."""
        self._answers = Answers(synthesis, keeps_text=True)
        self._voices = voices
        self._llm = llm
        self._report = report
        self._room = room
        self._queue: deque[Translate] = deque()
        self._changed = asyncio.Event()
        self._earlier: deque[tuple[str, str]] = deque(maxlen=prompting.REMEMBERED)
        self._earlier_language = ""

    def put(self, clause: Translate) -> None:
        """Append a clause; never waits."""
        self._queue.append(clause)
        self._changed.set()

    async def run(self) -> None:
        """Translate and speak clauses as they arrive, without end."""
        while True:
            while not self._queue:
                self._changed.clear()
                await self._changed.wait()
            await self._say(self._queue.popleft())

    async def _say(self, clause: Translate) -> None:
        sink = _Reporting(clause.at_s, self._report, self._room)
        try:
            answered = await self._answer(clause, sink)
        except SpeechError as error:
            self._report(Translated(error))
        except Exception:  # noqa: BLE001 - the boundary of this connection: nothing but an event may reach the client
            log.exception("a clause could not be translated")
            self._report(Translated(BackendFailed("The speech could not be translated.")))
        else:
            if not clause.is_translated:
                self._remember(clause, sink.text_so_far)
            self._report(Translated(answered.speech_error))

    async def _answer(self, clause: Translate, sink: _Reporting) -> Answered:
        voice = self._voices[clause.language]
        speech = SynthesisRequest(voice.model, voice=voice.voice, language=voice.language, rate=RATE, is_live=True)
        if clause.is_translated:
            return await self._answers.read(clause.text, speech, sink)
        if self._llm is None:
            raise LanguageModelUnavailable(f"This server has no language model: {HOW}.")
        if clause.language != self._earlier_language:
            self._earlier.clear()
            self._earlier_language = clause.language
        request = prompting.request(clause.language, self._earlier, clause.text)
        return await self._answers.generate(WithinContext(self._llm), request, speech, sink)

    def _remember(self, clause: Translate, translation: str) -> None:
        if translation.strip():
            self._earlier.append((clause.text, translation.strip()))


class _Reporting:
    """The AnswerSink of one clause: reports what it receives, no faster than the client reads it."""

    def __init__(self, at_s: float, report: Callable[[Report], None], room: Callable[[], Awaitable[None]]) -> None:
        self._at_s = at_s
        self._report = report
        self._room = room
        self.text_so_far = ""

    async def text(self, text: str, at_s: float) -> None:  # noqa: ARG002 - a clause is short: where its parts begin is of no use
        """Report the next text."""
        begins = not self.text_so_far
        self.text_so_far += text
        self._report(OutputText(text, self._at_s, begins=begins))

    async def audio(self, audio: Audio) -> None:
        """Report the next audio, in pieces."""
        for start in range(0, len(audio.samples), PIECE_SAMPLES):
            await self._room()
            piece = Audio(audio.samples[start : start + PIECE_SAMPLES], audio.rate)
            self._report(OutputAudio(to_pcm16(piece), self._at_s))

    def tool(self, call: ToolCallDelta) -> None:
        """Ignore a tool call: no tools are offered."""
