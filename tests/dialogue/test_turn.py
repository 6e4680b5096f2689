"""One spoken turn: the tones pair hears and speaks, and a scripted model answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pytest

from open_speech.audio import Audio, concat, resample
from open_speech.backends import STT_RATE
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from open_speech.dialogue.completions import ToolCallDelta
from open_speech.dialogue.memory import Bounds, SessionKey
from open_speech.dialogue.sessions import Sessions
from open_speech.dialogue.turn import Recording, TurnRequest, TurnResult, Turns
from open_speech.engine import Engine
from open_speech.errors import BackendUnavailable, InvalidAudio, UnknownVoice
from open_speech.recognition.request import RecognitionRequest
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.transcript import Transcript
from runners.wiring.engine import local_engine
from tests.dialogue.scripted_model import ScriptedModel, prompts, words
from tests.waiting import PATIENCE_S, eventually

T = TypeVar("T")
ANSWER = "It is warm and sunny in Paris today. Tomorrow there will be some rain."
KEY = SessionKey("", "kitchen")
SPEECH = SynthesisRequest("tones/speak")


@dataclass
class Collected:
    """The sink of a test."""

    transcripts: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sounds: list[Audio] = field(default_factory=list)

    async def heard(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript.text)

    def generated(self, text: str) -> None:
        self.whole.append(text)

    async def text(self, text: str, at_s: float) -> None:
        self.texts.append(text)

    async def audio(self, audio: Audio) -> None:
        self.sounds.append(audio)

    def tool(self, call: ToolCallDelta) -> None:
        raise AssertionError("no tools are offered")


class Scene:
    """A server on tones, and its turns; `tick` is the clock: every reading is a second later."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions = Sessions(Bounds())
        self.turns = Turns(engine, self.sessions, clock=map(float, itertools.count()).__next__)

    async def take(self, turn: TurnRequest, llm: ScriptedModel) -> tuple[TurnResult, Collected]:
        sink = Collected()
        return await self.turns.perform(turn, llm, sink), sink

    async def spoken(self, text: str) -> Recording:
        speech = await self.engine.synthesis.speak(replace(SPEECH, text=text))
        audio = concat([piece async for piece in speech], speech.rate)
        return Recording(wav_bytes(audio), RecognitionRequest("tones/listen"))

    async def heard(self, sounds: list[Audio]) -> str:
        audio = resample(concat(sounds, sounds[0].rate), STT_RATE)
        return (await self.engine.recognition.transcribe(wav_bytes(audio), RecognitionRequest("tones/listen"))).text

    def count(self, name: str, **labels: str) -> float:
        return self.engine.meter.figures.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def scene(tones_settings: Settings) -> Scene:
    return Scene(local_engine(tones_settings))


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, PATIENCE_S))


def silence(seconds: float) -> Recording:
    return Recording(wav_bytes(Audio(np.zeros(round(seconds * STT_RATE), np.float32), STT_RATE)), RecognitionRequest("tones/listen"))


def test_a_spoken_question_has_a_spoken_answer_with_timings(scene: Scene) -> None:
    async def turn() -> None:
        llm = ScriptedModel(ANSWER)
        request = TurnRequest(await scene.spoken("How is the weather?"), SPEECH, "Be brief.", {"seed": 4}, max_tokens=99)
        result, sink = await scene.take(request, llm)
        assert sink.transcripts == ["How is the weather?"]
        assert llm.requests[0] == {
            "seed": 4,
            "max_tokens": 99,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is the weather?"}],
        }
        assert result.text == ANSWER == "".join(sink.texts)
        assert sink.whole == [ANSWER]
        assert await scene.heard(sink.sounds) == ANSWER
        assert (result.truncated, result.dropped_turns, result.speech_error) == ("", 0, None)
        timings = result.timings
        assert timings.transcription_s == 1.0
        assert timings.first_token_s is not None
        assert timings.first_audio_s is not None
        assert 0 < timings.transcription_s < timings.first_token_s < timings.first_audio_s < timings.total_s
        assert timings.audio_s == pytest.approx(sum(sound.seconds for sound in sink.sounds))
        assert timings.tokens == 3

    run(turn())
    for stage in ("stt", "llm", "tts"):
        assert scene.count("open_speech_dialogue_stage_seconds_count", stage=stage) == 1.0
    assert scene.count("open_speech_dialogue_duration_seconds_count", kind="dialogue") == 1.0


def test_silence_has_no_answer_and_does_not_call_the_model(scene: Scene) -> None:
    llm = ScriptedModel(ANSWER)
    result, sink = run(scene.take(TurnRequest(silence(1.0), SPEECH, session=KEY), llm))
    assert (result.text, sink.transcripts, sink.texts, sink.sounds, llm.requests) == ("", [""], [], [], [])
    assert result.timings.first_token_s is None
    assert run(scene.sessions.of_owner("")) == {}


def test_the_answer_considers_the_earlier_turns_of_its_session_only(scene: Scene) -> None:
    async def talk() -> None:
        llm = ScriptedModel("Nice to meet you, Ann.", "Your name is Ann.", "I do not know.")
        await scene.take(TurnRequest("I am Ann.", SPEECH, session=KEY), llm)
        await scene.take(TurnRequest("Who am I?", SPEECH, session=KEY), llm)
        await scene.take(TurnRequest("Who am I?", SPEECH, session=SessionKey("", "hall")), llm)
        await scene.take(TurnRequest("Who am I?", SPEECH), llm)
        assert prompts(llm) == [
            ["I am Ann."], ["I am Ann.", "Nice to meet you, Ann.", "Who am I?"], ["Who am I?"], ["Who am I?"],
        ]  # fmt: skip
        (turns,) = [kept.turns for name, kept in (await scene.sessions.of_owner("")).items() if name == "kitchen"]
        assert turns[0].tokens == 3 + 3

    run(talk())


def test_two_requests_of_one_session_at_once_are_ordered(scene: Scene) -> None:
    async def talk() -> None:
        llm = ScriptedModel("The first answer.", "The second answer.")
        requests = [TurnRequest(text, SPEECH, session=KEY) for text in ("First?", "Second?")]
        results = await asyncio.gather(*(scene.take(request, llm) for request in requests))
        assert [result.text for result, _ in results] == ["The first answer.", "The second answer."]
        assert prompts(llm)[1] == ["First?", "The first answer.", "Second?"]

    run(talk())


def test_a_model_that_dies_in_an_answer_leaves_the_memory_as_it_was(scene: Scene) -> None:
    async def talk() -> None:
        dying = [*words("It begins well. And")[:-1], BackendUnavailable("The runner died.")]
        llm = ScriptedModel("Hello Ann.", dying, "You are Ann.")
        await scene.take(TurnRequest("I am Ann.", SPEECH, session=KEY), llm)
        with pytest.raises(BackendUnavailable):
            await scene.take(TurnRequest("Tell me a story.", SPEECH, session=KEY), llm)
        result, _ = await scene.take(TurnRequest("Who am I?", SPEECH, session=KEY), llm)
        assert result.text == "You are Ann."
        assert prompts(llm)[-1] == ["I am Ann.", "Hello Ann.", "Who am I?"]

    run(talk())
    assert scene.count("open_speech_dialogue_errors_total", kind="dialogue") == 1.0
    assert scene.count("open_speech_dialogue_stage_errors_total", stage="llm") == 1.0


def test_a_client_that_leaves_stops_the_tokens(scene: Scene) -> None:
    async def talk() -> None:
        llm = ScriptedModel(" ".join(f"This is sentence number {number}." for number in range(10_000)), "Yes.")
        task = asyncio.create_task(scene.take(TurnRequest("Go on.", SPEECH, max_tokens=1_000_000, max_speech_s=3600, session=KEY), llm))
        await eventually(lambda: llm.yielded > 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        yielded = llm.yielded
        assert llm.left == 1
        await asyncio.sleep(0.05)
        assert llm.yielded == yielded
        assert await scene.sessions.of_owner("") == {}
        assert (await scene.take(TurnRequest("Still there?", SPEECH, session=KEY), llm))[0].text == "Yes."

    run(talk())


def test_without_speech_the_text_is_left_and_kept(scene: Scene) -> None:
    async def talk() -> None:
        llm = ScriptedModel(ANSWER)
        result, sink = await scene.take(TurnRequest("Hello.", replace(SPEECH, voice="nobody"), session=KEY), llm)
        assert (result.text, "".join(sink.texts), sink.sounds) == (ANSWER, ANSWER, [])
        assert isinstance(result.speech_error, UnknownVoice)
        assert result.timings.first_audio_s is None
        assert len(await scene.sessions.of_owner("")) == 1

    run(talk())
    assert scene.count("open_speech_dialogue_stage_errors_total", stage="tts") == 1.0


def test_a_conversation_beyond_the_context_drops_its_oldest_turns_and_says_so(scene: Scene) -> None:
    async def talk() -> None:
        llm = ScriptedModel("Well.", context=2)
        dropped = [(await scene.take(TurnRequest(f"Question {n}?", SPEECH, session=KEY), llm))[0].dropped_turns for n in range(4)]
        assert dropped == [0, 0, 1, 3]
        assert prompts(llm)[-1] == ["Question 3?"]

    run(talk())


def test_an_endless_model_ends_at_its_tokens(scene: Scene) -> None:
    llm = ScriptedModel("again and " * 1000)
    result, _ = run(scene.take(TurnRequest("Go on.", SPEECH, max_tokens=5), llm))
    assert (result.text, result.truncated, result.timings.tokens) == ("again and again and again", "max_tokens", 5)
    assert llm.left == 1


def test_an_endless_answer_ends_after_a_sentence(scene: Scene) -> None:
    sentences = ["This is one more of these sentences."] * 300
    llm = ScriptedModel(" ".join(sentences))
    result, sink = run(scene.take(TurnRequest("Go on.", SPEECH, max_tokens=4096, max_speech_s=3.0, session=KEY), llm))
    assert result.truncated == "max_speech"
    said = run(scene.heard(sink.sounds))
    assert said == result.text.strip()
    assert said.endswith(".")
    assert 3.0 <= result.timings.audio_s < 20.0
    assert result.text.strip() == " ".join(sentences[: said.count(".")])


def test_audio_that_cannot_be_decoded_is_an_error_and_a_failed_stage(scene: Scene) -> None:
    broken = Recording(b"no audio", RecognitionRequest("tones/listen"))
    with pytest.raises(InvalidAudio):
        run(scene.take(TurnRequest(broken, SPEECH, session=KEY), ScriptedModel(ANSWER)))
    assert scene.count("open_speech_dialogue_stage_errors_total", stage="stt") == 1.0
    assert run(scene.sessions.of_owner("")) == {}
