from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.errors import (
    BackendFailed,
    InvalidRequest,
    MissingField,
    NothingToSpeak,
    OutOfRange,
    TextTooLong,
    UnknownModel,
    UnknownVoice,
    WrongTask,
)
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import SpeechStream
from open_speech.text.pronunciation import Pronunciation
from tests.engines import RATE, Runner, engine, hear
from tests.waiting import PATIENCE_S, eventually


def speak(runner: Runner, text: str, **options: Any) -> Audio:
    async def run() -> Audio:
        return await hear(await engine(runner).synthesis.speak(SynthesisRequest("tts-1", text, **options)))

    return asyncio.run(run())


SENTENCES = "This is the first sentence of all. Here the second one follows it. And a third one ends the text."


def test_every_sentence_is_spoken_in_order() -> None:
    runner = Runner()
    audio = speak(runner, SENTENCES)
    assert " ".join(text for text, _ in runner.asked) == SENTENCES
    assert audio.seconds == pytest.approx(0.1 * len(runner.asked))
    assert len(runner.asked) >= 2


def test_openai_names_and_defaults_are_resolved() -> None:
    runner = Runner()
    for voice in ("alloy", None, "bob", "onyx"):
        speak(runner, "Hello.", voice=voice)
    assert [options.voice for _, options in runner.asked] == ["ann", "ann", "bob", "ann"]


@pytest.mark.parametrize(("speed", "asked", "seconds"), [(1.0, 1.0, 0.1), (2.0, 2.0, 0.1), (4.0, 2.0, 0.05), (0.25, 0.5, 0.2)])
def test_speed_beyond_the_engine_is_stretched(speed: float, asked: float, seconds: float) -> None:
    runner = Runner()
    audio = speak(runner, SENTENCES, speed=speed)
    assert {options.speed for _, options in runner.asked} == {asked}
    assert audio.seconds == pytest.approx(seconds * len(runner.asked), rel=0.05)


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        ({"text": ""}, MissingField, "input"),
        ({"text": " \n"}, MissingField, "input"),
        ({"text": "a" * 5000}, TextTooLong, "input"),
        ({"speed": 0.0}, OutOfRange, "speed"),
        ({"speed": 9.0}, OutOfRange, "speed"),
        ({"voice": "nobody"}, UnknownVoice, "voice"),
        ({"model": "nothing"}, UnknownModel, "model"),
        ({"model": "ear/one"}, WrongTask, "model"),
    ],
)
def test_a_bad_speech_request_names_its_field_and_reaches_no_runner(request_: dict[str, Any], error: type[Exception], param: str) -> None:
    runner = Runner()
    wanted = {"model": "tts-1", "text": "Hello."} | request_
    with pytest.raises(error) as caught:
        asyncio.run(engine(runner).synthesis.speak(SynthesisRequest(**wanted)))
    assert getattr(caught.value, "param", None) == param
    assert runner.asked == []


def test_a_failure_before_the_first_sound_is_raised_by_speak_itself() -> None:
    with pytest.raises(Exception, match="being restarted"):
        asyncio.run(engine(Runner()).synthesis.speak(SynthesisRequest("tts-1", "boom")))


def test_a_failure_after_the_first_sound_ends_the_stream_as_an_error() -> None:
    heard: list[Audio] = []

    async def run() -> None:
        async for piece in await engine(Runner()).synthesis.speak(SynthesisRequest("tts-1", SENTENCES + " boom")):
            heard.append(piece)

    with pytest.raises(Exception, match="being restarted"):
        asyncio.run(run())
    assert heard


def test_a_slow_listener_holds_the_synthesis_back() -> None:
    runner = Runner()
    text = " ".join(f"This is sentence number {n} of many." for n in range(50))

    async def run() -> int:
        speech = await engine(runner).synthesis.speak(SynthesisRequest("tts-1", text))
        await asyncio.sleep(0.2)
        asked = len(runner.asked)
        await speech.aclose()
        return asked

    assert asyncio.run(run()) <= 6


def test_the_next_sentence_is_made_while_the_last_is_listened_to() -> None:
    runner = Runner()

    async def run() -> None:
        speech = await engine(runner).synthesis.speak(SynthesisRequest("tts-1", SENTENCES))
        await eventually(lambda: len(runner.asked) >= 2)
        await speech.aclose()

    asyncio.run(run())


def test_a_listener_who_leaves_stops_the_synthesis() -> None:
    runner = Runner(delay_s=0.5)

    async def run() -> None:
        speech = await engine(runner).synthesis.speak(SynthesisRequest("tts-1", SENTENCES))
        await eventually(lambda: len(runner.asked) == 2)
        await speech.aclose()
        await speech.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(speech)

    asyncio.run(run())
    assert runner.abandoned == 1
    assert len(runner.asked) == 2


def test_an_unforeseen_failure_still_ends_the_stream() -> None:
    async def broken() -> AsyncGenerator[Audio, None]:
        yield Audio(np.zeros(10, np.float32), RATE)
        raise ZeroDivisionError

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await hear(await SpeechStream.begin(broken()))

    with pytest.raises(BackendFailed):
        asyncio.run(run())


def test_a_dialogue_of_several_voices_is_one_request() -> None:
    runner = Runner()
    audio = speak(runner, "[voice:ann]Who is it? [pause:0.5][voice:bob]It is me. [voice:]Come in.")
    assert [(options.voice, text) for text, options in runner.asked] == [("ann", "Who is it?"), ("bob", "It is me."), ("ann", "Come in.")]
    assert audio.seconds == pytest.approx(0.8)


@pytest.mark.parametrize("input_type", [None, "ssml"])
def test_ssml_is_spoken_with_its_breaks_voices_and_speeds(input_type: Literal["ssml"] | None) -> None:
    runner = Runner()
    text = "<speak>One.<break time='1s'/><voice name='bob'><prosody rate='200%'>Two.</prosody></voice></speak>"
    audio = speak(runner, text, input_type=input_type)
    assert [(options.voice, options.speed, said) for said, options in runner.asked] == [("ann", 1.0, "One."), ("bob", 2.0, "Two.")]
    assert audio.seconds == pytest.approx(1.2)


def test_ssml_is_text_when_the_request_says_so() -> None:
    runner = Runner()
    speak(runner, "<speak>hi</speak>", input_type="text")
    assert runner.asked[0][0] == "<speak>hi</speak>"


@pytest.mark.parametrize("text", ["Hello. [voice:nobody]Hello.", "<speak>Hello. <voice name='nobody'>Hello.</voice></speak>"])
def test_an_unknown_voice_in_the_midst_of_a_text_reaches_no_runner(text: str) -> None:
    runner = Runner()
    with pytest.raises(UnknownVoice):
        speak(runner, text)
    assert runner.asked == []


def test_numbers_are_put_into_words_and_the_dictionary_goes_first(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("words: {SQL: 2 quills}", encoding="utf-8")
    runner = Runner()

    async def run() -> None:
        await hear(
            await engine(runner, pronunciation=Pronunciation(tmp_path / "words.yaml")).synthesis.speak(
                SynthesisRequest("tts-1", "SQL cost $5.")
            )
        )

    asyncio.run(run())
    assert runner.asked[0][0] == "two quills cost five dollars."


def test_a_long_text_is_spoken_piece_by_piece() -> None:
    runner = Runner()
    text = "This is one of the many sentences here. " * 2500

    async def run() -> int:
        speech = await engine(runner).synthesis.speak(SynthesisRequest("tts-1", text, is_long=True))
        asked = len(runner.asked)
        assert sum([1 async for _ in speech]) == len(runner.asked)
        return asked

    assert asyncio.run(run()) <= 4
    assert " ".join(said for said, _ in runner.asked) == text.strip()


def test_a_text_is_spoken_while_it_is_written() -> None:
    runner = Runner()

    async def run() -> list[int]:
        more = asyncio.Event()

        async def fragments() -> AsyncIterator[str | None]:
            for word in "This sentence is all there. And the ".split(" "):
                yield f"{word} "
            await more.wait()
            yield "next one is [voice:bob]not."

        speech = await engine(runner).synthesis.speak_stream(SynthesisRequest("tts-1"), fragments())
        await anext(speech)
        before = len(runner.asked)
        more.set()
        await hear(speech)
        return [before, len(runner.asked)]

    assert asyncio.run(run()) == [1, 3]
    assert [(options.voice, text) for text, options in runner.asked] == [
        ("ann", "This sentence is all there."), ("ann", "And the next one is"), ("bob", "not.")
    ]  # fmt: skip


def test_a_flush_speaks_what_is_there() -> None:
    runner = Runner()

    async def run() -> None:
        never = asyncio.Event()

        async def fragments() -> AsyncIterator[str | None]:
            yield "Half a"
            yield None
            await never.wait()

        speech = await engine(runner).synthesis.speak_stream(SynthesisRequest("tts-1"), fragments())
        assert [cue.text for cue in speech.cues] == ["Half a"]
        await speech.aclose()

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))


def test_a_stream_that_ends_without_a_word_is_refused() -> None:
    async def fragments() -> AsyncIterator[str | None]:
        yield " \n"

    with pytest.raises(NothingToSpeak):
        asyncio.run(engine(Runner()).synthesis.speak_stream(SynthesisRequest("tts-1"), fragments()))


DOCUMENT = '<speak version="1.1"><p>One <voice name="bob">two.</voice></p></speak>'


def streamed(runner: Runner, fragments: list[str | None], kind: Literal["text", "ssml"] | None = None) -> list[tuple[str, str]]:
    async def said() -> AsyncIterator[str | None]:
        for fragment in fragments:
            yield fragment

    async def run() -> None:
        await hear(await engine(runner).synthesis.speak_stream(SynthesisRequest("tts-1", input_type=kind), said()))

    asyncio.run(run())
    return [(options.voice, text) for text, options in runner.asked]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("prologue", ["", " \n", '<?xml version="1.0"?>\n', "<!-- a > b --> "])
def test_a_stream_that_begins_as_ssml_is_parsed_as_ssml(size: int, prologue: str) -> None:
    text = prologue + DOCUMENT
    fragments: list[str | None] = [text[at : at + size] for at in range(0, len(text), size)]
    assert streamed(Runner(), fragments) == [("ann", "One"), ("bob", "two.")]


def test_after_a_flush_the_next_text_may_be_of_another_kind() -> None:
    fragments = ["<spe", "ak>Half <", "emphasis>past</emphasis></speak>", None, "Ten is <late>."]
    assert streamed(Runner(), fragments) == [("ann", "Half past"), ("ann", "Ten is <late>.")]


def test_a_stream_of_a_named_kind_is_not_guessed_at() -> None:
    assert streamed(Runner(), ["One <break", ' time="1s"/> two.'], "ssml") == [("ann", "One"), ("ann", "two.")]
    assert "speak" not in streamed(Runner(), ["<speak>", "One.</speak>"])[0][1]
    assert [text for _, text in streamed(Runner(), ["<", "3 is a heart."])] == [text for _, text in streamed(Runner(), ["<3 is a heart."])]


def test_an_endless_document_is_refused() -> None:
    with pytest.raises(TextTooLong):
        streamed(Runner(), ["<speak>", *["many words "] * 1000])


def test_a_broken_document_in_a_stream_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        streamed(Runner(), ["<speak>One", "</speech>"])
    assert refused.value.param == "input"
