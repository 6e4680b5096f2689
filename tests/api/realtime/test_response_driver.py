"""The responses of a session, asked for by hand: with the tones pair as its voice, and a real server as its language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AudioFormat,
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
from open_speech.api.realtime.response_driver import HELD_CHARS, HELD_S, ResponseDriver
from open_speech.api.realtime.wire_audio import decoded
from open_speech.audio import concat, resample
from open_speech.backends import STT_RATE
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from open_speech.dialogue.completions import Ended, Piece, TextDelta
from open_speech.dialogue.llm import RemoteLanguageModel
from open_speech.engine import Engine
from open_speech.errors import ContextOverflow, LanguageModelFailed
from open_speech.metrics.meter import Meter
from open_speech.recognition.request import RecognitionRequest
from runners.wiring.engine import local_engine
from tests.language_model import KEY, USAGE, LanguageModelServer
from tests.waiting import PATIENCE_S, eventually

PCM = AudioFormat()
TEXT = "The first sentence is long enough to be spoken by itself. And so is **the second** one, of course."


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


def asked(plan: SpeakText | GenerateText, *, spoken: bool = True, form: AudioFormat = PCM, voice: str | None = None) -> Respond:
    return Respond("r", plan, spoken, form, voice, None, 1.0)


def question(text: str) -> GenerateText:
    return GenerateText({"messages": [{"role": "user", "content": text}]})


def told(
    engine: Engine, effect: Respond, llm: RemoteLanguageModel | None = None, *, stop_at: Callable[[Report], bool] = lambda _: False
) -> list[Report]:
    """Make one response to its end, or stop it after the first report for which `stop_at` is true; give what was reported."""

    async def scene() -> list[Report]:
        reports: list[Report] = []
        over = asyncio.Event()

        def report(it: Report) -> None:
            reports.append(it)
            if stop_at(it):
                speaker.stop("r")
            if stop_at(it) or isinstance(it, (ResponseDone, ResponseFailed)):
                over.set()

        async def room() -> None:
            await asyncio.sleep(0)

        speaker = ResponseDriver(engine.synthesis, engine.registry.defaults.tts_model, llm, report=report, room=room)
        speaker.respond(effect)
        try:
            await asyncio.wait_for(over.wait(), PATIENCE_S)
            if stop_at(reports[-1]):
                await asyncio.sleep(0.2)  # for what must not come
        finally:
            await speaker.aclose()
            if llm is not None:
                await llm.aclose()
        return reports

    return asyncio.run(scene())


def text(reports: list[Report]) -> str:
    return "".join(report.text for report in reports if isinstance(report, ResponseText))


@pytest.mark.parametrize("may_truncate", [True, False])
def test_a_conversation_that_is_too_long_loses_its_oldest_turns_unless_truncation_is_disabled(
    engine: Engine, language_model: LanguageModelServer, may_truncate: bool
) -> None:
    chat = [{"role": role, "content": "Hello."} for role in ("user", "assistant")] * 2
    plan = GenerateText({"messages": [*chat, {"role": "user", "content": "forget it"}]}, may_truncate)
    llm = RemoteLanguageModel(language_model.url, model="small", key=KEY, timeout_s=PATIENCE_S)
    reports = told(engine, asked(plan, spoken=False), llm)
    assert (text(reports) == language_model.answer) == may_truncate
    last = reports[-1]
    if may_truncate:
        assert [len(request["messages"]) for request in language_model.requests] == [5, 3, 1]
    else:
        assert isinstance(last, ResponseFailed)
        assert isinstance(last.error, ContextOverflow)
        assert len(language_model.requests) == 1


def listened(engine: Engine, reports: list[Report], form: AudioFormat = PCM) -> str:
    """Transcribe the sound of a response."""
    sound = decoded(b"".join(report.data for report in reports if isinstance(report, ResponseAudio)), form)

    async def heard() -> str:
        return (await engine.recognition.transcribe(wav_bytes(resample(sound, STT_RATE)), RecognitionRequest("tones/listen"))).text

    return asyncio.run(heard())


@pytest.mark.parametrize("form", [PCM, AudioFormat("audio/pcmu", 8000)], ids=lambda form: form.type)
def test_a_text_is_spoken_and_told_word_for_word(engine: Engine, form: AudioFormat) -> None:
    reports = told(engine, asked(SpeakText(TEXT), form=form))
    assert text(reports) == TEXT
    assert reports[-1] == ResponseDone("r")
    assert listened(engine, reports, form) == TEXT.replace("**", "")


def test_each_sentence_is_told_before_its_sound_and_where_it_begins(engine: Engine) -> None:
    reports = told(engine, asked(SpeakText(TEXT)))
    sentences = [report for report in reports if isinstance(report, ResponseText)]
    assert len(sentences) == 2
    between = reports[: reports.index(sentences[1])]
    assert sentences[0].at_s == 0
    assert sentences[1].at_s == pytest.approx(sum(report.seconds for report in between if isinstance(report, ResponseAudio)), abs=0.5)
    assert isinstance(reports[0], ResponseText)


def test_a_response_in_text_has_no_sound(engine: Engine) -> None:
    assert told(engine, asked(SpeakText(TEXT), spoken=False)) == [ResponseText("r", TEXT), ResponseDone("r")]


@pytest.mark.parametrize(("words", "code"), [("🎉", "nothing_to_speak"), ("a" * 5000, "string_above_max_length")])
def test_what_cannot_be_spoken_is_a_failure(engine: Engine, words: str, code: str) -> None:
    (failed,) = told(engine, asked(SpeakText(words)))
    assert isinstance(failed, ResponseFailed)
    assert failed.error.code == code


def test_a_voice_that_nobody_has_is_a_failure(engine: Engine) -> None:
    (failed,) = told(engine, asked(SpeakText(TEXT), voice="nobody"))
    assert isinstance(failed, ResponseFailed)
    assert failed.error.param == "voice"


def test_a_response_that_is_stopped_reports_nothing_more(engine: Engine) -> None:
    reports = told(engine, asked(SpeakText(TEXT * 20)), stop_at=lambda report: isinstance(report, ResponseAudio))
    assert [type(report) for report in reports] == [ResponseText, ResponseAudio]


def llm(server: LanguageModelServer, *, timeout_s: float = PATIENCE_S) -> RemoteLanguageModel:
    return RemoteLanguageModel(server.url, model="small", key=KEY, timeout_s=timeout_s)


def test_an_answer_is_spoken_and_told_as_the_model_wrote_it(engine: Engine, language_model: LanguageModelServer) -> None:
    language_model.answer = "# Weather\nIt is *fine* today, they say. It will rain tomorrow, and on the day after."
    reports = told(engine, asked(question("slowly")), llm(language_model))
    assert text(reports) == language_model.answer
    assert listened(engine, reports) == "Weather. It is fine today, they say. It will rain tomorrow, and on the day after."
    assert reports[-1] == ResponseDone("r", "", USAGE)


def test_the_first_sentence_is_heard_while_the_model_still_writes(engine: Engine, language_model: LanguageModelServer) -> None:
    reports = told(engine, asked(question("on and on")), llm(language_model), stop_at=lambda report: isinstance(report, ResponseAudio))
    assert isinstance(reports[-1], ResponseAudio)
    assert language_model.left.wait(PATIENCE_S), "the model goes on writing for nobody"


def test_an_answer_in_text_comes_word_by_word(engine: Engine, language_model: LanguageModelServer) -> None:
    reports = told(engine, asked(question("Hello"), spoken=False), llm(language_model))
    assert text(reports) == language_model.answer
    assert len(reports) > 5


@pytest.mark.parametrize("spoken", [True, False])
def test_a_call_of_a_tool_is_passed_on_and_nothing_is_spoken(engine: Engine, language_model: LanguageModelServer, spoken: bool) -> None:
    reports = told(engine, asked(question("call it"), spoken=spoken), llm(language_model))
    tools = [report for report in reports if isinstance(report, ResponseTool)]
    assert (tools[0].call_id, tools[0].name) == ("call_1", "light")
    assert "".join(tool.arguments for tool in tools) == '{"room": "kitchen"}'
    assert [type(report) for report in reports] == [ResponseTool] * len(tools) + [ResponseDone]


def test_an_answer_of_signs_alone_is_told_though_it_cannot_be_spoken(engine: Engine, language_model: LanguageModelServer) -> None:
    language_model.answer = "🎉 🎉"
    assert told(engine, asked(question("Hello")), llm(language_model)) == [ResponseText("r", "🎉 🎉", 0.0), ResponseDone("r", "", USAGE)]


def test_an_answer_that_is_too_long_says_so(engine: Engine, language_model: LanguageModelServer) -> None:
    done = told(engine, asked(question("too long")), llm(language_model))[-1]
    assert done == ResponseDone("r", "max_output_tokens", USAGE)


@pytest.mark.parametrize(
    ("words", "code"),
    [("silence", "llm_timeout"), ("garbage", "llm_failed"), ("break off", "llm_failed"), ("status 429", "llm_overloaded"),
     ("status 401", "llm_refused"), ("status 500", "llm_failed")],
)  # fmt: skip
def test_a_model_that_fails_fails_the_response(engine: Engine, language_model: LanguageModelServer, words: str, code: str) -> None:
    failed = told(engine, asked(question(words)), llm(language_model, timeout_s=0.5 if words == "silence" else PATIENCE_S))[-1]
    assert isinstance(failed, ResponseFailed)
    assert failed.error.code == code


def test_a_voice_that_nobody_has_ends_the_answer_as_well(engine: Engine, language_model: LanguageModelServer) -> None:
    failed = told(engine, asked(question("on and on"), voice="nobody"), llm(language_model))[-1]
    assert isinstance(failed, ResponseFailed)
    assert failed.error.code == "voice_not_found"
    assert language_model.left.wait(PATIENCE_S)


def test_without_a_model_there_is_no_answer(engine: Engine) -> None:
    (failed,) = told(engine, asked(question("Hello")))
    assert isinstance(failed, ResponseFailed)
    assert failed.error.code == "llm_unavailable"


def test_nothing_is_made_after_the_end(engine: Engine) -> None:
    async def scene() -> list[Report]:
        reports: list[Report] = []

        async def room() -> None: ...

        speaker = ResponseDriver(engine.synthesis, engine.registry.defaults.tts_model, None, report=reports.append, room=room)
        speaker.respond(asked(SpeakText(TEXT)))
        await speaker.aclose()
        speaker.respond(asked(SpeakText(TEXT)))
        await asyncio.sleep(0.1)
        return reports

    assert asyncio.run(scene()) == []


def test_the_sound_of_a_response_is_one_sound_however_it_is_cut(engine: Engine) -> None:
    reports = told(engine, asked(SpeakText(TEXT)))
    pieces = [decoded(report.data, PCM) for report in reports if isinstance(report, ResponseAudio)]
    assert concat(pieces, 24_000).seconds == pytest.approx(sum(piece.seconds for piece in pieces))
    assert max(len(report.data) for report in reports if isinstance(report, ResponseAudio)) <= 32_768


LONG = "This sentence is long enough to be spoken by itself. " * 20


class Held:
    """A driver with one held response, its reports, and what the meter has counted."""

    def __init__(self, engine: Engine, llm: RemoteLanguageModel | None = None) -> None:
        self.reports: list[Report] = []
        self.meter = Meter()
        self.driver = ResponseDriver(
            engine.synthesis, engine.registry.defaults.tts_model, llm, report=self.reports.append, room=self._room, meter=self.meter
        )

    async def _room(self) -> None:
        await asyncio.sleep(0)

    @property
    def seconds(self) -> float:
        return sum(report.seconds for report in self.reports if isinstance(report, ResponseAudio))

    def counted(self, outcome: str) -> float:
        return self.meter.figures.registry.get_sample_value("open_speech_early_answers_total", {"outcome": outcome}) or 0.0


def held(plan: SpeakText | GenerateText, *, spoken: bool = True) -> Respond:
    return replace(asked(plan, spoken=spoken), is_held=True)


def test_a_held_response_produces_its_first_seconds_and_goes_on_when_it_is_released(engine: Engine) -> None:
    async def scene() -> Held:
        made = Held(engine)
        made.driver.respond(held(SpeakText(LONG)))
        await eventually(lambda: made.seconds >= HELD_S)
        await asyncio.sleep(0.2)
        assert HELD_S <= made.seconds < HELD_S + 1
        made.driver.release("r")
        made.driver.release("r")
        await eventually(lambda: made.reports[-1] == ResponseDone("r"))
        await made.driver.aclose()
        return made

    made = asyncio.run(scene())
    assert text(made.reports) == LONG
    assert [made.counted(outcome) for outcome in ("started", "released", "dropped")] == [1, 1, 0]


def test_a_held_response_without_audio_is_bounded_as_well(engine: Engine, language_model: LanguageModelServer) -> None:
    async def scene() -> None:
        llm = RemoteLanguageModel(language_model.url, model="small", key=KEY, timeout_s=PATIENCE_S)
        made = Held(engine, llm)
        made.driver.respond(held(question("on and on"), spoken=False))
        await eventually(lambda: len(text(made.reports)) > HELD_CHARS - 100)
        await asyncio.sleep(0.2)
        assert len(text(made.reports)) <= HELD_CHARS
        made.driver.stop("r")
        assert await asyncio.to_thread(language_model.left.wait, PATIENCE_S)
        await made.driver.aclose()
        await llm.aclose()
        assert [made.counted(outcome) for outcome in ("started", "released", "dropped")] == [1, 0, 1]

    asyncio.run(scene())


def test_a_response_that_is_complete_while_it_is_held_is_counted_once(engine: Engine) -> None:
    async def scene(then: Callable[[ResponseDriver], None]) -> Held:
        made = Held(engine)
        made.driver.respond(held(SpeakText("Yes.")))
        await eventually(lambda: made.reports and made.reports[-1] == ResponseDone("r"))
        await asyncio.sleep(0)
        then(made.driver)
        await made.driver.aclose()
        return made

    released = asyncio.run(scene(lambda driver: driver.release("r")))
    assert [released.counted(outcome) for outcome in ("started", "released", "dropped")] == [1, 1, 0]
    for then in (lambda driver: driver.stop("r"), lambda driver: None):
        dropped = asyncio.run(scene(then))
        assert [dropped.counted(outcome) for outcome in ("started", "released", "dropped")] == [1, 0, 1]


def test_nothing_of_an_earlier_generation_is_reported_when_a_response_is_started_again(engine: Engine) -> None:
    class FailsLate:
        """A language model whose first answer fails while it is being cancelled."""

        name = "late"

        def __init__(self) -> None:
            self.calls = 0

        async def answer(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
            self.calls += 1
            if self.calls == 1:
                try:
                    await asyncio.sleep(PATIENCE_S)
                except asyncio.CancelledError as cancelled:
                    raise LanguageModelFailed("Too late.") from cancelled
            yield TextDelta("In time.")
            yield Ended()

        async def chunks(self, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
            raise AssertionError("an answer is asked for")
            yield {}

        async def aclose(self) -> None:
            return None

    async def scene() -> list[Report]:
        llm = FailsLate()
        made = Held(engine)
        made.driver = ResponseDriver(
            engine.synthesis, engine.registry.defaults.tts_model, llm, report=made.reports.append, room=made._room, meter=made.meter
        )
        made.driver.respond(held(question("Hello.")))
        await eventually(lambda: llm.calls == 1)
        made.driver.stop("r")
        made.driver.respond(asked(question("Hello?")))
        await eventually(lambda: made.reports and made.reports[-1] == ResponseDone("r"))
        await asyncio.sleep(0.1)
        await made.driver.aclose()
        return made.reports

    reports = asyncio.run(scene())
    assert text(reports) == "In time."
    assert not any(isinstance(report, ResponseFailed) for report in reports)
