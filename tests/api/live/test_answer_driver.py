"""The answers of a Live session, with the tones pair as their voice, and a real server as the language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from open_speech.api.live.answer_driver import AnswerDriver
from open_speech.api.live.effects import AnswerAudio, AnswerDone, AnswerFailed, AnswerText, Generate, Release, Report, Speak, StopAnswer
from open_speech.api.realtime.response_driver import HELD_S
from open_speech.config import Settings
from open_speech.dialogue.llm import RemoteLanguageModel
from open_speech.engine import Engine
from open_speech.metrics.meter import Meter
from open_speech.synthesis.plan import SynthesisRequest
from runners.wiring.engine import local_engine
from tests.language_model import KEY, LanguageModelServer
from tests.waiting import PATIENCE_S, eventually

RATE = 24_000
LONG = "This sentence is long enough to be spoken by itself. " * 20


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


class Answer:
    """A driver, its reports, and what the meter has counted."""

    def __init__(self, engine: Engine, llm: RemoteLanguageModel | None) -> None:
        self.reports: list[Report] = []
        self.meter = Meter()
        speech = SynthesisRequest(engine.registry.defaults.tts_model, rate=RATE)
        self.driver = AnswerDriver(engine.synthesis, speech, llm, report=self.reports.append, room=self._room, meter=self.meter)

    async def _room(self) -> None:
        await asyncio.sleep(0)

    @property
    def seconds(self) -> float:
        return sum(len(report.samples) for report in self.reports if isinstance(report, AnswerAudio)) / RATE

    @property
    def text(self) -> str:
        return "".join(report.text for report in self.reports if isinstance(report, AnswerText))

    @property
    def is_done(self) -> bool:
        return any(isinstance(report, (AnswerDone, AnswerFailed)) for report in self.reports)

    def counted(self) -> list[float]:
        values = self.meter.figures.registry.get_sample_value
        return [values("open_speech_early_answers_total", {"outcome": outcome}) or 0.0 for outcome in ("started", "released", "dropped")]


@asynccontextmanager
async def answering(engine: Engine, server: LanguageModelServer | None = None) -> AsyncIterator[Answer]:
    llm = server and RemoteLanguageModel(server.url, model="small", key=KEY, timeout_s=PATIENCE_S)
    made = Answer(engine, llm)
    try:
        yield made
    finally:
        await made.driver.aclose()
        if llm is not None:
            await llm.aclose()


def question(text: str, *, is_held: bool = True) -> Generate:
    return Generate(1, {"messages": [{"role": "user", "content": text}]}, is_held=is_held)


def test_a_text_is_spoken_at_the_rate_of_the_session(engine: Engine) -> None:
    async def scene() -> None:
        async with answering(engine) as made:
            made.driver.perform(Speak(1, "One two three."))
            await eventually(lambda: made.is_done)
            assert made.text == "One two three." and made.seconds > 0.4
            assert made.counted() == [0, 0, 0]

    asyncio.run(scene())


def test_a_held_answer_produces_its_first_seconds_and_goes_on_when_it_is_released(
    engine: Engine, language_model: LanguageModelServer
) -> None:
    language_model.answer = LONG

    async def scene() -> None:
        async with answering(engine, language_model) as made:
            made.driver.perform(question("Hello."))
            await eventually(lambda: made.seconds >= HELD_S)
            held_s = made.seconds
            await asyncio.sleep(0.2)  # for what must not come
            assert made.seconds == held_s and not made.is_done
            made.driver.perform(Release(1))
            made.driver.perform(Release(1))
            await eventually(lambda: made.is_done)
            assert made.text.strip() == LONG.strip() and made.seconds > held_s
            assert made.counted() == [1, 1, 0]

    asyncio.run(scene())


def test_a_held_answer_that_is_stopped_reports_nothing_more(engine: Engine, language_model: LanguageModelServer) -> None:
    language_model.answer = LONG

    async def scene() -> None:
        async with answering(engine, language_model) as made:
            made.driver.perform(question("Hello."))
            await eventually(lambda: made.seconds >= HELD_S)
            made.driver.perform(StopAnswer(1))
            count = len(made.reports)
            await asyncio.sleep(0.2)  # for what must not come
            assert len(made.reports) == count and made.counted() == [1, 0, 1]

    asyncio.run(scene())


def test_an_answer_that_is_complete_while_it_is_held_is_counted_once(engine: Engine, language_model: LanguageModelServer) -> None:
    language_model.answer = "Yes."

    async def scene(*then: Release | StopAnswer) -> list[float]:
        async with answering(engine, language_model) as made:
            made.driver.perform(question("Hello."))
            await eventually(lambda: made.is_done)
            for effect in then:
                made.driver.perform(effect)
        return made.counted()

    assert asyncio.run(scene(Release(1))) == [1, 1, 0]
    assert asyncio.run(scene(StopAnswer(1))) == [1, 0, 1]
    assert asyncio.run(scene()) == [1, 0, 1]


def test_without_a_language_model_an_answer_fails(engine: Engine) -> None:
    async def scene() -> None:
        async with answering(engine) as made:
            made.driver.perform(question("Hello.", is_held=False))
            await eventually(lambda: made.is_done)
            assert isinstance(made.reports[-1], AnswerFailed)

    asyncio.run(scene())
