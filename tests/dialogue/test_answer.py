"""One answer, spoken while it is generated: the tones pair is its voice, and a real server its language model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from open_speech.audio import Audio, concat, resample
from open_speech.backends import STT_RATE
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from open_speech.dialogue.answer import Answered, Answers
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.dialogue.llm import RemoteLanguageModel
from open_speech.engine import Engine
from open_speech.errors import LanguageModelFailed, UnknownVoice
from open_speech.recognition.request import RecognitionRequest
from open_speech.synthesis.plan import SynthesisRequest
from runners.wiring.engine import local_engine
from tests.language_model import KEY, USAGE, LanguageModelServer
from tests.waiting import PATIENCE_S

TEXT = "The first sentence is long enough to be spoken by itself. And so is the second one, of course."


@dataclass
class Collected:
    """The sink of a test: everything that it received, in order."""

    items: list[str | Audio | ToolCallDelta] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    async def text(self, text: str, at_s: float) -> None:
        self.items.append(text)
        self.starts.append(at_s)

    async def audio(self, audio: Audio) -> None:
        self.items.append(audio)

    def tool(self, call: ToolCallDelta) -> None:
        self.items.append(call)

    @property
    def words(self) -> str:
        return "".join(item for item in self.items if isinstance(item, str))

    @property
    def sounds(self) -> list[Audio]:
        return [item for item in self.items if isinstance(item, Audio)]


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


def speech(engine: Engine, voice: str | None = None) -> SynthesisRequest:
    return SynthesisRequest(engine.registry.defaults.tts_model, voice=voice)


def generated(
    engine: Engine, server: LanguageModelServer, said: str, *, spoken: bool = True, voice: str | None = None, keeps_text: bool = False
) -> tuple[Answered, Collected]:
    sink = Collected()

    async def scene() -> Answered:
        llm = RemoteLanguageModel(server.url, model="small", key=KEY, timeout_s=PATIENCE_S)
        try:
            request = {"messages": [{"role": "user", "content": said}]}
            answers = Answers(engine.synthesis, keeps_text=keeps_text)
            return await answers.generate(llm, request, speech(engine, voice) if spoken else None, sink)
        finally:
            await llm.aclose()

    return asyncio.run(asyncio.wait_for(scene(), PATIENCE_S)), sink


def heard(engine: Engine, sounds: list[Audio]) -> str:
    sound = resample(concat(sounds, sounds[0].rate), STT_RATE)
    return asyncio.run(engine.recognition.transcribe(wav_bytes(sound), RecognitionRequest("tones/listen"))).text


def test_an_answer_is_spoken_sentence_by_sentence(engine: Engine, language_model: LanguageModelServer) -> None:
    answered, sink = generated(engine, language_model, "Hello")
    assert answered == Answered(answered.ended)
    assert answered.ended.usage == USAGE
    assert sink.words == language_model.answer
    assert heard(engine, sink.sounds) == language_model.answer
    assert isinstance(sink.items[0], str), "the text of a sentence comes before its audio"
    assert sink.starts == sorted(sink.starts)
    assert sink.starts[-1] > 1.0


def test_without_speech_the_answer_is_text_only(engine: Engine, language_model: LanguageModelServer) -> None:
    _, sink = generated(engine, language_model, "Hello", spoken=False)
    assert (sink.words, sink.sounds) == (language_model.answer, [])


def test_a_failed_synthesis_leaves_the_whole_text_if_it_is_to_be_kept(engine: Engine, language_model: LanguageModelServer) -> None:
    answered, sink = generated(engine, language_model, "Hello", voice="nobody", keeps_text=True)
    assert (sink.words, sink.sounds) == (language_model.answer, [])
    assert isinstance(answered.speech_error, UnknownVoice)


def test_a_failed_synthesis_is_an_error_otherwise(engine: Engine, language_model: LanguageModelServer) -> None:
    with pytest.raises(UnknownVoice):
        generated(engine, language_model, "Hello", voice="nobody")


def test_a_failed_model_is_an_error_in_any_case(engine: Engine, language_model: LanguageModelServer) -> None:
    with pytest.raises(LanguageModelFailed):
        generated(engine, language_model, "status 500", keeps_text=True)


def test_a_text_is_read_word_for_word(engine: Engine) -> None:
    sink = Collected()
    answers = Answers(engine.synthesis)
    asyncio.run(asyncio.wait_for(answers.read(TEXT, speech(engine), sink), PATIENCE_S))
    assert sink.words == TEXT
    assert heard(engine, sink.sounds) == TEXT


def test_a_text_that_cannot_be_spoken_is_kept_if_it_is_to_be(engine: Engine) -> None:
    sink = Collected()
    answers = Answers(engine.synthesis, keeps_text=True)
    answered = asyncio.run(asyncio.wait_for(answers.read(TEXT, speech(engine, "nobody"), sink), PATIENCE_S))
    assert (sink.words, sink.sounds) == (TEXT, [])
    assert isinstance(answered.speech_error, UnknownVoice)
