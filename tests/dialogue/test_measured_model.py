"""A model that is measured, and ended at its limit of tokens."""

from __future__ import annotations

import asyncio
import itertools

from open_speech.dialogue.completions import Ended, Piece, TextDelta, ToolCallDelta
from open_speech.dialogue.measured_model import MeasuredModel
from tests.dialogue.scripted_model import USAGE, ScriptedModel, words


def answered(model: MeasuredModel) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [piece async for piece in model.answer({"messages": []})]

    return asyncio.run(collect())


def test_an_answer_is_passed_on_and_measured() -> None:
    whole: list[str] = []
    clock = itertools.count(10.0)
    model = MeasuredModel(ScriptedModel("One two three"), max_tokens=9, ended=whole.append, clock=lambda: next(clock))
    assert answered(model) == words("One two three")
    assert whole == ["One two three"] == [model.text]
    assert (model.first_at, model.ended_at, model.tokens) == (10.0, 11.0, USAGE["completion_tokens"])


def test_a_model_that_generates_more_than_it_was_asked_to_is_ended() -> None:
    llm = ScriptedModel("One two three four five six")
    model = MeasuredModel(llm, max_tokens=2)
    assert answered(model) == [TextDelta("One "), TextDelta("two "), Ended("max_output_tokens")]
    assert (llm.yielded, llm.left, model.tokens) == (3, 1, 2)


def test_an_answer_of_exactly_the_limit_is_complete() -> None:
    model = MeasuredModel(ScriptedModel("One two three"), max_tokens=3)
    assert answered(model)[-1] == Ended(usage=USAGE)


def test_an_answer_without_text_has_no_first_token() -> None:
    model = MeasuredModel(ScriptedModel([ToolCallDelta(0, "call"), Ended()]), max_tokens=3)
    assert answered(model) == [ToolCallDelta(0, "call"), Ended()]
    assert (model.first_at, model.text, model.tokens) == (None, "", 0)
