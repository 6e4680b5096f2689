"""The client of the language model against a real server, which answers well, badly or not at all."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from open_speech.dialogue.completions import Ended, Piece, TextDelta, ToolCallDelta
from open_speech.dialogue.llm import ANSWER_CHARS, RemoteLanguageModel
from open_speech.errors import (
    ContextOverflow,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelRefused,
    LanguageModelTimeout,
    LanguageModelUnavailable,
)
from tests.language_model import KEY, USAGE, LanguageModelServer
from tests.waiting import PATIENCE_S


def client(server: LanguageModelServer, *, key: str = KEY, timeout_s: float = PATIENCE_S) -> RemoteLanguageModel:
    return RemoteLanguageModel(server.url + "/", model="small", key=key, timeout_s=timeout_s)


def ask(llm: RemoteLanguageModel, *messages: str) -> list[list[Piece]]:
    """Ask one thing after the other, over one client."""

    async def asked() -> list[list[Piece]]:
        try:
            return [[piece async for piece in llm.answer({"messages": [{"role": "user", "content": text}]})] for text in messages]
        finally:
            await llm.aclose()

    return asyncio.run(asyncio.wait_for(asked(), PATIENCE_S))


def said(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def test_an_answer_comes_word_by_word_and_then_how_it_ended(language_model: LanguageModelServer) -> None:
    (pieces,) = ask(client(language_model), "Hello")
    assert said(pieces) == language_model.answer
    assert len(pieces) > 5
    assert pieces[-1] == Ended("", USAGE)
    assert {name: language_model.requests[0][name] for name in ("model", "stream")} == {"model": "small", "stream": True}


def test_one_client_asks_again_and_again(language_model: LanguageModelServer) -> None:
    assert [said(pieces) for pieces in ask(client(language_model), "one", "whole", "slowly")] == [language_model.answer] * 3


def test_an_answer_that_is_cut_short_says_so(language_model: LanguageModelServer) -> None:
    assert ask(client(language_model), "too long")[0][-1] == Ended("max_output_tokens", USAGE)


def test_a_call_of_a_tool_comes_in_pieces(language_model: LanguageModelServer) -> None:
    calls = [piece for piece in ask(client(language_model), "call it")[0] if isinstance(piece, ToolCallDelta)]
    assert (calls[0].call_id, calls[0].name) == ("call_1", "light")
    assert "".join(call.arguments for call in calls) == '{"room": "kitchen"}'


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("status 429", LanguageModelBusy),
        ("status 500", LanguageModelFailed),
        ("status 404", LanguageModelRefused),
        ("status 400", LanguageModelRefused),
        ("garbage", LanguageModelFailed),
        ("break off", LanguageModelFailed),
        ("silence", LanguageModelTimeout),
        ("status 413", LanguageModelRefused),
    ],
)
def test_what_goes_wrong_has_a_type(language_model: LanguageModelServer, message: str, error: type[LanguageModelFailed]) -> None:
    with pytest.raises(LanguageModelFailed) as raised:
        ask(client(language_model, timeout_s=0.3 if error is LanguageModelTimeout else PATIENCE_S), message)
    assert type(raised.value) is error


def test_signs_of_life_without_a_word_are_no_answer(language_model: LanguageModelServer) -> None:
    with pytest.raises(LanguageModelTimeout):
        ask(client(language_model, timeout_s=0.3), "pings")


def test_a_wrong_key_is_refused_and_not_shown(language_model: LanguageModelServer) -> None:
    with pytest.raises(LanguageModelRefused) as raised:
        ask(client(language_model, key="wrong"), "Hello")
    assert KEY not in raised.value.message


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://nobody.invalid/v1"])
def test_a_server_that_is_not_there_is_told_at_once(url: str) -> None:
    with pytest.raises(LanguageModelUnavailable):
        ask(RemoteLanguageModel(url, model="small", timeout_s=PATIENCE_S), "Hello")


def test_who_leaves_an_answer_ends_it(language_model: LanguageModelServer) -> None:
    async def leave() -> None:
        llm = client(language_model)
        async with aclosing(llm.answer({"messages": [{"role": "user", "content": "on and on"}]})) as pieces:
            async for _ in pieces:
                break
        await llm.aclose()

    asyncio.run(leave())
    assert language_model.left.wait(PATIENCE_S)


def test_an_endless_answer_is_broken_off(language_model: LanguageModelServer) -> None:
    language_model.answer = "x" * (ANSWER_CHARS + 1)
    with pytest.raises(LanguageModelFailed, match="longer"):
        ask(client(language_model), "Hello")


@pytest.mark.parametrize("text", ["only max_completion_tokens", "Hello"])
def test_a_server_is_told_the_limit_in_its_own_word(language_model: LanguageModelServer, text: str) -> None:
    request = {"messages": [{"role": "user", "content": text}], "max_tokens": 7}

    async def scene() -> list[list[Piece]]:
        llm = client(language_model)
        try:
            return [[piece async for piece in llm.answer(request)] for _ in range(2)]
        finally:
            await llm.aclose()

    assert [said(pieces) for pieces in asyncio.run(asyncio.wait_for(scene(), PATIENCE_S))] == [language_model.answer] * 2
    names = [[name for name in body if name.startswith("max_")] for body in language_model.requests]
    if text == "Hello":
        assert names == [["max_tokens"]] * 2
    else:
        assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]], "it is learnt once"


def test_a_refusal_without_a_limit_is_not_asked_twice(language_model: LanguageModelServer) -> None:
    with pytest.raises(LanguageModelRefused):
        ask(client(language_model), "only max_completion_tokens, and never at all")
    assert len(language_model.requests) == 1


def test_a_conversation_that_is_too_long_for_the_server_has_an_error_of_its_own(language_model: LanguageModelServer) -> None:
    async def asked() -> None:
        llm = client(language_model)
        try:
            messages = [{"role": "user", "content": text} for text in ("Hello", "forget it")]
            with pytest.raises(ContextOverflow):
                await anext(llm.answer({"messages": messages}))
        finally:
            await llm.aclose()

    asyncio.run(asyncio.wait_for(asked(), PATIENCE_S))
