from __future__ import annotations

import pytest

from open_speech.api.live.conversation import CONTINUE, DEFAULT_INSTRUCTIONS, MOST_CHARS, Call, Conversation, output_text


def texts(conversation: Conversation) -> list[tuple[str, object]]:
    return [(message["role"], message["content"]) for message in conversation.messages()[1:]]


@pytest.mark.parametrize("instructions", [None, "", "  "])
def test_without_instructions_the_servers_own_apply(instructions: str | None) -> None:
    assert Conversation(instructions).messages() == [{"role": "system", "content": DEFAULT_INSTRUCTIONS}]


def test_roles_alternate() -> None:
    conversation = Conversation(
        "x", [{"role": "assistant", "content": [{"text": "Welcome."}]}, {"role": "user", "content": [{"text": "Hi."}]}]
    )
    conversation.note("It rains.")
    conversation.say("Hello.")
    conversation.answer("One.")
    conversation.answer("Two.")
    conversation.say("Bye.")
    assert [role for role, _ in texts(conversation)] == ["assistant", "user", "assistant", "user"]
    assert texts(conversation)[2][1] == "One. Two."


def test_an_unanswered_turn_goes_on() -> None:
    conversation = Conversation("x")
    conversation.say("I want")
    conversation.say("a ticket.")
    assert texts(conversation) == [("user", "I want a ticket.")]


def test_an_answer_of_which_nothing_was_heard_is_removed() -> None:
    conversation = Conversation("x")
    conversation.say("Hello.")
    entry = conversation.answer("How are you?")
    conversation.shorten(entry, "How are")
    assert texts(conversation)[-2] == ("assistant", "How are")
    conversation.shorten(entry, "")
    conversation.say("There.")
    assert texts(conversation) == [("user", "Hello. There.")]


def test_an_answer_with_calls_stays_without_its_text() -> None:
    conversation = Conversation("x")
    conversation.say("Hello.")
    conversation.shorten(conversation.answer("Let me see.", [Call("c", "look", "")]), "")
    _, answer, output = conversation.messages()[1:]
    assert answer["content"] is None and answer["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert output["role"] == "tool"


def test_a_model_is_not_asked_to_continue_its_own_message() -> None:
    conversation = Conversation("x")
    conversation.say("Hello.")
    conversation.answer("Hi.")
    assert texts(conversation)[-1] == ("user", CONTINUE)


def test_a_long_conversation_loses_its_beginning() -> None:
    conversation = Conversation("x")
    for number in range(100):
        conversation.note(f"{number} " + "x" * (MOST_CHARS // 50))
    assert "[Note from the application, not spoken by the user: 99 " in str(texts(conversation)[0][1])
    assert " 3 " not in str(texts(conversation)[0][1])
    assert len(str(texts(conversation))) < 1.1 * MOST_CHARS


@pytest.mark.parametrize(
    ("output", "text"),
    [("on", "on"), ([{"type": "input_text", "text": "a"}, {"type": "input_image"}], "a"), ({"on": True}, '{"on": true}')],
)
def test_the_output_of_a_function_is_text(output: object, text: str) -> None:
    assert output_text(output) == text
