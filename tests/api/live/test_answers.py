from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.live.answers import DELEGATE
from open_speech.api.live.conversation import PENDING
from open_speech.api.live.effects import AnswerDone, AnswerFailed, AnswerTool, Generate, Speak, SpeechStarted, StopAnswer, Words
from open_speech.errors import LanguageModelUnavailable
from tests.api.live.conftest import RESPONSES, Opens, Outcome, Talk


def roles(generate: Generate) -> list[str]:
    return [message["role"] for message in generate.request["messages"]]


def calls_light(talk: Talk, generate: Generate) -> Outcome:
    """Have the language model call a function."""
    number = generate.answer_id
    tool = [AnswerTool(number, 0, "call_1", "light", ""), AnswerTool(number, 0, "", "", '{"room": "kitchen"}')]
    return talk.tell(*tool, AnswerDone(number, usage={"prompt_tokens": 3, "completion_tokens": 2}))


def output(talk: Talk, **item: Any) -> Outcome:
    return talk.say("response.item.create", item={"type": "function_call_output", "call_id": "call_1", "output": "on", **item})


def test_a_turn_is_answered_with_audio_and_a_transcript(opens: Opens) -> None:
    talk = opens(instructions="Be kind.", input=[{"role": "developer", "content": [{"text": "It is Monday."}]}])
    asked = talk.turn("What day is it?")
    assert asked.text("input") == " What day is it?"
    generate = asked.one(Generate)
    assert generate.request["messages"][0] == {"role": "system", "content": "Be kind."}
    assert generate.request["messages"][1]["content"].endswith("What day is it?")
    assert generate.request["tools"] == [DELEGATE]
    talk.answered(generate, "It is Monday.", seconds=1.0)
    spoken = talk.live(1500)
    assert spoken.text("output") == " It is Monday."
    assert {
        (event["start_ms"] % 200, event["end_ms"] - event["start_ms"]) for event in spoken.all_events("session.output_transcript.delta")
    } == {(0, 200)}
    assert (spoken.played != 0).sum() == 24_000


def test_the_next_turn_knows_the_answer(opens: Opens) -> None:
    talk = opens()
    talk.answered(talk.turn("Hello.").one(Generate), "Hi.", seconds=0.5)
    talk.live(1000)
    generate = talk.turn("And now?").one(Generate)
    assert [message["content"] for message in generate.request["messages"][1:]] == ["Hello.", "Hi.", "And now?"]


def test_a_silent_turn_is_not_answered(opens: Opens) -> None:
    assert opens().turn("").all(Generate) == []


def test_without_a_language_model_a_turn_is_work_for_the_client_and_its_result_is_read(opens: Opens) -> None:
    talk = opens(llm=False)
    created = talk.turn("Hello.").event("session.delegation.created")
    assert created["delegation"]["target"] == "client" and created["offset_ms"] == 1500
    spoken = talk.say("session.commentary.append", content="Hi there.", delegation_id=created["delegation"]["id"]).one(Speak)
    assert spoken.text == "Hi there."
    assert talk.say("session.commentary.append", content="Really.", delegation_id=None).all(Speak) == []
    assert talk.tell(AnswerDone(spoken.answer_id)).one(Speak).text == "Really."


def test_an_order_is_worded_by_the_language_model(opens: Opens) -> None:
    talk = opens()
    generate = talk.say("session.commentary.append", content="Greet the caller.", delegation_id=None).one(Generate)
    last = generate.request["messages"][-1]
    assert last["role"] == "user" and "Greet the caller." in last["content"] and "Do not read it out" in last["content"]


def test_thinking_is_context_and_instructions_are_rules(opens: Opens) -> None:
    talk = opens(instructions="Be kind.")
    assert talk.say("session.thinking.append", content="It rains.", delegation_id=None).all(Generate) == []
    assert talk.say("session.instructions.append", content="Speak French.", delegation_id=None).all(Generate) == []
    messages = talk.turn("Hello.").one(Generate).request["messages"]
    assert messages[0]["content"] == "Be kind.\n\nSpeak French."
    assert "It rains." in messages[1]["content"] and messages[1]["content"].endswith("Hello.")


def test_an_order_waits_until_the_user_has_finished(opens: Opens) -> None:
    talk = opens()
    talk.tell(SpeechStarted(0))
    assert talk.say("session.commentary.append", content="Greet.", delegation_id=None).all(Generate) == []


def test_delegated_work_is_acknowledged_and_its_result_is_told(opens: Opens) -> None:
    talk = opens(delegation={"type": "client", "acknowledgement_delay_ms": 300})
    done = calls_light(talk, talk.turn("Switch it on.").one(Generate))
    work = done.event("session.delegation.created")["delegation"]
    assert work["target"] == "client" and "response_id" not in work
    acknowledgement = talk.live(500).one(Generate)
    assert "working on it" in acknowledgement.request["messages"][0]["content"]
    talk.answered(acknowledgement, "One moment.", seconds=0.2)
    talk.live(500)
    told = talk.say("session.commentary.append", content="The light is on.", delegation_id=work["id"]).one(Generate)
    assert told.request["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "The light is on."}
    talk.answered(told, "It is on.", seconds=0.2)
    talk.live(500)
    more = talk.say("session.commentary.append", content="It is bright.", delegation_id=work["id"]).one(Generate)
    assert "It is bright." in more.request["messages"][-1]["content"]


def test_a_result_cancels_an_acknowledgement_that_nobody_has_heard(opens: Opens) -> None:
    talk = opens()
    done = calls_light(talk, talk.turn("Switch it on.").one(Generate))
    acknowledgement = done.one(Generate)
    outcome = talk.say(
        "session.commentary.append", content="On.", delegation_id=done.event("session.delegation.created")["delegation"]["id"]
    )
    assert outcome.one(StopAnswer).answer_id == acknowledgement.answer_id
    assert outcome.one(Generate).request["messages"][-1]["content"] == "On."


def test_an_unknown_delegation_is_refused(opens: Opens) -> None:
    error = opens().say("session.commentary.append", content="On.", delegation_id="item_x").error
    assert (error["code"], error["param"]) == ("invalid_value", "delegation_id")


def test_a_function_call_goes_to_the_client_and_its_output_to_the_model(opens: Opens) -> None:
    talk = opens(delegation=RESPONSES)
    asked = talk.turn("Switch it on.").one(Generate)
    assert asked.request["messages"][0]["content"].endswith("Use tools.")
    assert [tool["function"]["name"] for tool in asked.request["tools"]] == ["light"]
    outcome = calls_light(talk, asked)
    created = outcome.event("session.delegation.created")["delegation"]
    assert created["target"] == "responses"
    assert [event["type"] for event in outcome.nested] == [
        "response.created", "response.in_progress", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert {event["delegation_id"] for event in outcome.all_events("response.event")} == {created["id"]}
    assert outcome.nested[0]["response"]["id"] == created["response_id"]
    item = outcome.nested[2]["item"]
    assert (item["type"], item["call_id"], item["name"], item["arguments"]) == ("function_call", "call_1", "light", '{"room": "kitchen"}')
    assert outcome.nested[3]["response"]["usage"]["total_tokens"] == 5

    assert talk.say("response.create").error["code"] == "function_call_outputs_required"
    assert output(talk) == []
    outcome = talk.say("response.create")
    told = outcome.one(Generate)
    assert [event["type"] for event in outcome.nested] == ["response.created", "response.in_progress"]
    assert told.request["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "on"}
    done = talk.answered(told, "It is on.")
    assert done.nested[-1]["type"] == "response.completed"
    assert "It is on." in [event.get("text") for event in done.nested]
    assert {event["delegation_id"] for event in done.all_events("response.event")} == {created["id"]}
    assert talk.live(2000).text("output") == " It is on."


def test_a_turn_during_open_calls_shows_the_model_that_they_are_pending(opens: Opens) -> None:
    talk = opens(delegation={**RESPONSES, "acknowledgement_delay_ms": 60_000})
    calls_light(talk, talk.turn("Switch it on.").one(Generate))
    talk.live(300)
    generate = talk.turn("Hurry up.").one(Generate)
    assert [message["content"] for message in generate.request["messages"][-2:]] == [PENDING, "Hurry up."]
    talk.answered(generate, "Yes.", seconds=0.2)
    talk.live(500)
    output(talk)
    told = talk.say("response.create").one(Generate)
    assert roles(told)[-2:] == ["assistant", "user"], "a model continues a last message of its own"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({"call_id": "other"}, "invalid_value", "item.call_id"),
        ({"type": "reasoning"}, "invalid_value", "item.type"),
        ({"output": "x" * 40_000}, "response_input_buffer_full", "item"),
        ({"type": "message", "role": "user", "content": []}, "invalid_value", "item.content"),
    ],
)
def test_an_item_that_is_wrong_is_refused(opens: Opens, item: dict[str, Any], code: str, param: str) -> None:
    talk = opens(delegation=RESPONSES)
    calls_light(talk, talk.turn("Switch it on.").one(Generate))
    error = output(talk, **item).error
    assert (error["code"], error["param"]) == (code, param)


def test_a_message_of_the_client_is_answered(opens: Opens) -> None:
    talk = opens(delegation=RESPONSES)
    assert talk.say("response.create").error["code"] == "no_response_input"
    talk.say("response.item.create", item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]})
    outcome = talk.say("response.create")
    assert outcome.one(Generate).request["messages"][-1]["content"] == "Hello."
    assert "delegation_id" not in outcome.all_events("response.event")[0]
    assert talk.say("response.create").error["code"] in ("response_in_progress", "no_response_input")


def test_a_loop_of_tool_calls_ends(opens: Opens) -> None:
    talk = opens(delegation={**RESPONSES, "acknowledgement_delay_ms": 60_000})
    generate = talk.turn("Switch it on.").one(Generate)
    for _ in range(16):
        assert "tools" in generate.request
        calls_light(talk, generate)
        output(talk)
        generate = talk.say("response.create").one(Generate)
    assert "tools" not in generate.request


def test_a_failure_is_reported_and_the_session_goes_on(opens: Opens) -> None:
    talk = opens(delegation=RESPONSES)
    generate = talk.turn("Hello.").one(Generate)
    outcome = talk.tell(AnswerFailed(generate.answer_id, LanguageModelUnavailable("It is not there.")))
    assert (outcome.error["type"], outcome.error["code"]) == ("server_error", "pipeline_error")
    assert talk.turn("Hello?").all(Generate) != []


def test_a_failed_response_of_the_client_has_its_end(opens: Opens) -> None:
    talk = opens(delegation=RESPONSES)
    talk.say("response.item.create", item={"type": "message", "role": "user", "content": "Hello."})
    generate = talk.say("response.create").one(Generate)
    outcome = talk.tell(AnswerFailed(generate.answer_id, LanguageModelUnavailable("It is not there.")))
    assert outcome.nested[-1]["type"] == "response.failed" and outcome.types[0] == "error"


def test_an_answer_that_is_cut_short_is_incomplete(opens: Opens) -> None:
    talk = opens(delegation=RESPONSES)
    talk.say("response.item.create", item={"type": "message", "role": "user", "content": "Hello."})
    generate = talk.say("response.create").one(Generate)
    talk.answered(generate, "A long", done=False)
    (last,) = talk.tell(AnswerDone(generate.answer_id, "max_output_tokens")).nested[-1:]
    assert (last["type"], last["response"]["incomplete_details"]) == ("response.incomplete", {"reason": "max_output_tokens"})


def test_reports_of_a_stopped_answer_are_ignored(opens: Opens) -> None:
    talk = opens()
    generate = talk.turn("Hello.").one(Generate)
    talk.tell(SpeechStarted(talk.ms))
    stopped = talk.tell(Words(2, "wait"))
    assert stopped.one(StopAnswer).answer_id == generate.answer_id
    assert talk.answered(generate, "Late.") == []
    assert not talk.live(500).played.any()
