"""A model that gets as much of a conversation as its context holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from open_speech.dialogue.completions import Ended, Piece, TextDelta
from open_speech.dialogue.within_context import WithinContext
from open_speech.errors import ContextOverflow, LanguageModelFailed
from tests.dialogue.scripted_model import USAGE, ScriptedModel, prompts


def conversation(turns: int) -> list[dict[str, Any]]:
    said = [{"role": role, "content": f"{role} {number}"} for number in range(turns) for role in ("user", "assistant")]
    return [{"role": "system", "content": "system"}, *said, {"role": "user", "content": "now"}]


def answered(model: WithinContext, turns: int) -> list[Piece]:
    async def collect() -> list[Piece]:
        return [piece async for piece in model.answer({"messages": conversation(turns), "seed": 1})]

    return asyncio.run(collect())


def test_a_conversation_that_fits_is_not_changed() -> None:
    llm = ScriptedModel("Hello there")
    model = WithinContext(llm)
    assert answered(model, 2) == [TextDelta("Hello "), TextDelta("there"), Ended(usage=USAGE)]
    assert (model.name, model.dropped) == ("scripted", 0)
    assert llm.requests == [{"messages": conversation(2), "seed": 1}]


@pytest.mark.parametrize(("turns", "context", "dropped", "attempts"), [(3, 3, 1, 2), (10, 2, 10, 5), (10, 9, 3, 3)])
def test_the_oldest_turns_are_left_out_in_growing_steps(turns: int, context: int, dropped: int, attempts: int) -> None:
    llm = ScriptedModel("Hello", context=context)
    model = WithinContext(llm)
    assert answered(model, turns)[0] == TextDelta("Hello")
    assert (model.dropped, len(llm.requests)) == (dropped, attempts)
    assert prompts(llm)[-1] == [message["content"] for message in [conversation(0)[0], *conversation(turns)[1 + 2 * dropped :]]]
    assert llm.requests[-1]["seed"] == 1


def test_a_last_turn_that_is_too_long_is_an_error() -> None:
    llm = ScriptedModel("Hello", context=0)
    with pytest.raises(ContextOverflow):
        answered(WithinContext(llm), 3)
    assert len(prompts(llm)[-1]) == 2


def test_an_overflow_in_the_middle_of_an_answer_is_an_error() -> None:
    llm = ScriptedModel([TextDelta("Hello"), ContextOverflow("full")])
    with pytest.raises(ContextOverflow, match="full"):
        answered(WithinContext(llm), 3)
    assert len(llm.requests) == 1


def test_other_errors_are_not_repeated() -> None:
    llm = ScriptedModel(LanguageModelFailed("broken"))
    with pytest.raises(LanguageModelFailed):
        answered(WithinContext(llm), 3)
    assert len(llm.requests) == 1
