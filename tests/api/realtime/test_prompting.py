from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.realtime import prompting
from open_speech.api.realtime.items import Item, build_item


def item(**raw: Any) -> Item:
    return build_item(raw, "item_1")[0]


def says(role: str, text: str) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return item(type="message", role=role, content=[{"type": kind, "text": text}])


def test_a_conversation_becomes_chat() -> None:
    items = [says("system", "Politely."), says("user", "Hello."), says("assistant", "Hi.")]
    assert prompting.messages("Be brief.", items) == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Politely."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hi."},
    ]


def test_what_says_nothing_is_left_out() -> None:
    silent = item(type="message", role="user", content=[{"type": "input_audio"}])
    assert prompting.messages("", [silent, says("assistant", "")]) == []


def test_speech_counts_as_its_transcript() -> None:
    spoken = item(type="message", role="user", content=[{"type": "input_audio", "transcript": "Hello."}])
    assert prompting.messages("", [spoken]) == [{"role": "user", "content": "Hello."}]


def test_a_picture_goes_along() -> None:
    seen = item(
        type="message",
        role="user",
        content=[{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": "data:x"}],
    )
    (message,) = prompting.messages("", [seen])
    assert message["content"] == [
        {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:x", "detail": "auto"}},
    ]  # fmt: skip


def test_a_call_belongs_to_what_was_said_before_it() -> None:
    call = item(type="function_call", call_id="c", name="f", arguments="{}")
    output = item(type="function_call_output", call_id="c", output="42")
    said, result = prompting.messages("", [says("assistant", "One moment."), call, output])
    assert (said["content"], said["tool_calls"][0]["id"], result) == (
        "One moment.", "c", {"role": "tool", "tool_call_id": "c", "content": "42"},
    )  # fmt: skip


def test_a_second_round_of_calls_is_a_message_of_its_own() -> None:
    first, second = (item(type="function_call", call_id=name, name="f", arguments="{}") for name in "ab")
    output = item(type="function_call_output", call_id="a", output="")
    roles = [message["role"] for message in prompting.messages("", [first, output, second])]
    assert roles == ["assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("whatever", None),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "function"}, None),
        ({"type": "mcp", "server_label": "s"}, None),
    ],
)
def test_the_choice_of_a_tool_in_the_words_of_chat(choice: Any, written: Any) -> None:
    assert prompting.tool_choice(choice) == written


def test_a_tool_without_a_name_is_not_offered() -> None:
    assert prompting.tools([{"type": "function"}, {"type": "mcp", "name": "x"}, {"name": "f"}]) == [
        {"type": "function", "function": {"name": "f"}}
    ]


@pytest.mark.parametrize(
    "instructions",
    [
        "Speak the following text exactly as written, without adding anything.",
        "Repeat exactly what the user says.",
        "Read the text aloud.",
        "Read it out.",
        "You are a text-to-speech system.",
        "Say the words verbatim",
    ],
)
def test_who_asks_for_a_voice_is_understood(instructions: str) -> None:
    assert prompting.asks_to_read(instructions)


@pytest.mark.parametrize("instructions", ["", "Be brief.", "You are a helpful assistant.", "Say hello to the user.", "Answer in German."])
def test_who_asks_for_an_answer_is_understood_too(instructions: str) -> None:
    assert not prompting.asks_to_read(instructions)


def test_what_the_user_said_in_two_items_without_an_answer_is_one_message() -> None:
    def spoken(text: str) -> Item:
        return item(type="message", role="user", content=[{"type": "input_audio", "transcript": text}])

    unheard = item(type="message", role="assistant", content=[{"type": "output_audio", "transcript": ""}])
    chat = prompting.messages("", [spoken("What time is it"), unheard, spoken("in Rome?"), says("user", "Hurry."), spoken("Please.")])
    assert [message["content"] for message in chat] == ["What time is it in Rome?", "Hurry.", "Please."]
    chat = prompting.messages("", [spoken("Hello."), says("assistant", "Hi."), spoken("Bye.")])
    assert [message["content"] for message in chat] == ["Hello.", "Hi.", "Bye."]
