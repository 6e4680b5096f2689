"""Who answers, and what it is asked: a text is spoken as it is, everything else goes to the language model."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AudioFormat,
    Begin,
    Commit,
    GenerateText,
    NotTranscribed,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    ResponseTool,
    SpeakText,
    SpeechStarted,
    SpeechStopped,
    Stop,
    Transcribed,
    TranscribeItem,
)
from open_speech.api.realtime.session import Limits
from open_speech.errors import BackendFailed

Opens = Callable[..., Any]
TOOL = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}}
TEXT_TURN = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}


def test_without_a_language_model_a_text_is_spoken_word_for_word(opens: Opens) -> None:
    assert opens().asked("Kepler-22 b, 620 ly").plan == SpeakText("Kepler-22 b, 620 ly")


def test_the_newest_text_is_spoken_once(opens: Opens) -> None:
    talk = opens()
    talk.text("First.")
    respond = talk.asked("Second.")
    assert respond.plan == SpeakText("Second.")
    talk.tell(ResponseDone(respond.response_id))
    assert talk.say("response.create").done["status"] == "failed"


def test_the_text_of_the_input_is_spoken(opens: Opens) -> None:
    talk = opens()
    talk.text("Of the conversation.")
    inputs = [TEXT_TURN, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say this."}]}]
    assert talk.say("response.create", response={"input": inputs}).one(Respond).plan == SpeakText("Say this.")


def test_a_referenced_text_is_spoken_again(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    for _ in range(2):
        respond = talk.say("response.create", response={"input": [{"type": "item_reference", "id": "a"}]}).one(Respond)
        assert respond.plan == SpeakText("Hello.")
        talk.tell(ResponseDone(respond.response_id))


def test_without_text_and_model_the_instructions_are_spoken(opens: Opens) -> None:
    talk = opens()
    talk.spoke()
    for text in ("Hello.", "Hello again."):
        respond = talk.say("response.create", response={"instructions": text}).one(Respond)
        assert respond.plan == SpeakText(text)
        talk.tell(ResponseDone(respond.response_id))


@pytest.mark.parametrize("response", [{"instructions": "Cheerfully."}, {"input": [TEXT_TURN], "instructions": "Cheerfully."}])
def test_a_text_to_speak_comes_before_the_instructions(opens: Opens, response: dict[str, Any]) -> None:
    talk = opens()
    talk.text("Hello.")
    assert talk.say("response.create", response=response).one(Respond).plan == SpeakText("Hello.")


def test_beside_a_language_model_instructions_are_not_spoken(opens: Opens) -> None:
    talk = opens(llm=True)
    assert isinstance(talk.say("response.create", response={"instructions": "Greet."}).one(Respond).plan, GenerateText)


@pytest.mark.parametrize("response", [{}, {"input": []}, {"instructions": " "}])
def test_without_text_and_model_the_response_fails_at_once(opens: Opens, response: dict[str, Any]) -> None:
    outcome = opens().say("response.create", response=response)
    assert outcome.types == ["response.created", "response.done"]
    assert outcome.done["status_details"]["error"]["code"] == "no_llm_configured"


def test_a_spoken_turn_without_a_model_fails_at_once(opens: Opens) -> None:
    outcome = opens().spoke()
    assert outcome.types[-2:] == ["response.created", "response.done"]
    assert outcome.done["status"] == "failed"
    error = outcome.done["status_details"]["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "no_llm_configured")


def test_a_session_with_a_model_that_speaks_reads_aloud_even_beside_a_language_model(opens: Opens) -> None:
    talk = opens(llm=True, model="mouth")
    respond = talk.asked()
    assert (respond.plan, respond.model) == (SpeakText("Hello."), "mouth")


ALOUD = {"conversation": "none", "input": [TEXT_TURN], "output_modalities": ["audio"]}


@pytest.mark.parametrize(
    "response",
    [
        {**ALOUD, "instructions": "Read the following text aloud exactly as written. Do not add anything."},
        {**ALOUD, "instructions": "Speak the user's text verbatim."},
        {**ALOUD, "instructions": "Say exactly what the user wrote."},
        {**ALOUD, "instructions": "You are a text-to-speech engine. Repeat word for word."},
        {**ALOUD, "tool_choice": "none"},
    ],
)
def test_reading_aloud_needs_no_language_model(opens: Opens, response: dict[str, Any]) -> None:
    assert opens(llm=True).say("response.create", response=response).one(Respond).plan == SpeakText("Hello.")


def test_a_session_that_only_reads_aloud_says_so_once(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.update(tool_choice="none")
    assert talk.say("response.create", response=ALOUD).one(Respond).plan == SpeakText("Hello.")


@pytest.mark.parametrize(
    "response",
    [
        {**ALOUD, "instructions": "Answer politely."},
        {**ALOUD, "instructions": "Read aloud exactly as written.", "output_modalities": ["text"]},
        {**ALOUD, "instructions": "Read aloud exactly as written.", "input": [TEXT_TURN, TEXT_TURN]},
        {**ALOUD, "instructions": "Read aloud exactly as written.", "conversation": "auto"},
        {"conversation": "none", "instructions": "Read aloud exactly as written."},
    ],
)
def test_everything_else_is_for_the_language_model(opens: Opens, response: dict[str, Any]) -> None:
    talk = opens(llm=True)
    talk.text("Hello.")
    assert isinstance(talk.say("response.create", response=response).one(Respond).plan, GenerateText)


def test_a_spoken_turn_is_answered_when_its_words_are_there(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.update(instructions="Be brief.", audio={"input": {"transcription": {}}})
    outcome = talk.spoke()
    assert outcome.types[-1] == "response.created"
    assert outcome.all(Respond) == []
    item_id = outcome.one(Commit).item_id
    outcome = talk.tell(Transcribed(item_id, "What time is it?", 1.0))
    assert outcome.types[-1] == "conversation.item.input_audio_transcription.completed"
    assert outcome.one(Respond).plan == GenerateText(
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What time is it?"}]}
    )


def test_a_turn_that_was_not_understood_fails(opens: Opens) -> None:
    talk = opens(llm=True)
    item_id = talk.spoke().one(Commit).item_id
    outcome = talk.tell(NotTranscribed(item_id, BackendFailed("It broke.")))
    assert outcome.types == ["response.done"]
    assert outcome.done["status_details"]["error"]["code"] == "backend_failed"


def test_a_turn_that_was_only_noise_is_not_answered(opens: Opens) -> None:
    talk = opens(llm=True)
    outcome = talk.tell(Transcribed(talk.spoke().one(Commit).item_id, "", 1.0))
    assert outcome.types == ["response.done"]
    assert (outcome.done["status"], outcome.done["output"]) == ("completed", [])


def test_who_speaks_on_before_the_answer_begins_gets_one_answer_to_both(opens: Opens) -> None:
    talk = opens(llm=True)
    first = talk.spoke().one(Commit).item_id
    talk.append(500)
    outcome = talk.tell(SpeechStarted(talk.ms - 400))
    assert outcome.done["status"] == "cancelled"
    assert outcome.all(Stop) == []  # the model was not asked yet
    second = outcome.one(Begin).item_id
    talk.tell(SpeechStopped(talk.ms))
    assert talk.tell(Transcribed(second, "and tomorrow?", 1.0)).all(Respond) == []
    request = talk.tell(Transcribed(first, "What day is it,", 1.0)).one(Respond).plan.request
    assert [message["content"] for message in request["messages"]] == ["What day is it, and tomorrow?"]


def test_an_older_item_that_failed_is_left_out(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.hears(turn_detection=None)
    talk.append(500)
    item_id = talk.say("input_audio_buffer.commit").one(Commit).item_id
    talk.text("Hello.")
    assert talk.say("response.create").all(Respond) == []
    request = talk.tell(NotTranscribed(item_id, BackendFailed("x"))).one(Respond).plan.request
    assert request["messages"] == [{"role": "user", "content": "Hello."}]


def test_sound_in_the_input_of_one_response_is_heard_first(opens: Opens) -> None:
    talk = opens(llm=True)
    sound = base64.b64encode(bytes(480)).decode()
    inputs = [{"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}]
    outcome = talk.say("response.create", response={"conversation": "none", "input": inputs})
    hear = outcome.one(TranscribeItem)
    assert (hear.data, outcome.all(Respond)) == (bytes(480), [])
    outcome = talk.tell(Transcribed(hear.item_id, "Hello.", 0.1))
    assert outcome.types == []
    assert outcome.one(Respond).plan.request["messages"] == [{"role": "user", "content": "Hello."}]


def test_a_request_has_all_that_the_client_set(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.update(tools=[TOOL, {"type": "mcp", "server_label": "s"}], max_output_tokens=77, parallel_tool_calls=False)
    response = {"instructions": "Now.", "tool_choice": {"type": "function", "name": "weather"}}
    assert talk.asked(**response).plan == GenerateText(
        {
            "messages": [{"role": "system", "content": "Now."}, {"role": "user", "content": "Hello."}],
            "tools": [{"type": "function", "function": {name: TOOL[name] for name in ("name", "description", "parameters")}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
            "max_tokens": 77,
        }
    )


def test_no_input_is_no_context(opens: Opens) -> None:
    talk = opens(llm=True)
    respond = talk.asked(input=[], instructions="Greet the user.")
    assert respond.plan == GenerateText({"messages": [{"role": "system", "content": "Greet the user."}]})


def test_a_call_of_a_tool_is_an_item_of_its_own(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.update(tools=[TOOL])
    respond = talk.asked()
    first = talk.tell(ResponseTool(respond.response_id, 0, "call_9", "weather", '{"city":'))
    assert first.types == ["response.output_item.added", "conversation.item.added", "response.function_call_arguments.delta"]
    assert first.events[0]["item"]["name"] == "weather"
    assert talk.tell(ResponseTool(respond.response_id, 0, arguments='"Bern"}')).types == ["response.function_call_arguments.delta"]
    last = talk.tell(ResponseDone(respond.response_id))
    assert last.types == [
        "response.function_call_arguments.done", "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    assert (last.events[0]["arguments"], last.events[0]["call_id"], last.events[0]["name"]) == ('{"city":"Bern"}', "call_9", "weather")
    (item,) = last.done["output"]
    assert (item["type"], item["status"], item["arguments"]) == ("function_call", "completed", '{"city":"Bern"}')


def test_what_a_tool_gave_goes_to_the_model(opens: Opens) -> None:
    talk = opens(llm=True)
    respond = talk.asked()
    talk.tell(ResponseTool(respond.response_id, 0, "call_9", "weather", "{}"))
    talk.tell(ResponseTool(respond.response_id, 1, "call_10", "time", "{}"))
    talk.tell(ResponseDone(respond.response_id))
    for call_id in ("call_9", "call_10"):
        talk.say("conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": "fine"})
    user, assistant, *outputs = talk.say("response.create").one(Respond).plan.request["messages"]
    assert user == {"role": "user", "content": "Hello."}
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_9", "call_10"]
    assert outputs == [{"role": "tool", "tool_call_id": call_id, "content": "fine"} for call_id in ("call_9", "call_10")]


def test_text_and_tools_are_two_items_in_their_order(opens: Opens) -> None:
    talk = opens(llm=True)
    respond = talk.asked()
    talk.tell(ResponseText(respond.response_id, "One moment."))
    talk.tell(ResponseTool(respond.response_id, 0, "call_9", "weather", "{}"))
    talk.tell(ResponseAudio(respond.response_id, bytes(2), 0.1))
    output = talk.tell(ResponseDone(respond.response_id)).done["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]


def test_the_history_is_what_was_heard(opens: Opens) -> None:
    talk = opens(llm=True)
    respond = talk.asked()
    item_id = talk.tell(ResponseText(respond.response_id, "One two. ")).events[0]["item"]["id"]
    talk.tell(ResponseAudio(respond.response_id, bytes(2), 1.0))
    talk.tell(ResponseText(respond.response_id, "Three four.", 1.0))
    talk.tell(ResponseAudio(respond.response_id, bytes(2), 1.0))
    talk.tell(ResponseDone(respond.response_id))
    talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1000)
    messages = talk.asked("Go on.").plan.request["messages"]  # type: ignore[union-attr]
    assert [message["content"] for message in messages] == ["Hello.", "One two. ", "Go on."]


def test_a_response_that_waits_for_words_keeps_the_format_it_announced(opens: Opens) -> None:
    talk = opens(llm=True)
    outcome = talk.spoke()
    talk.update(audio={"output": {"format": {"type": "audio/pcmu"}, "voice": "bob"}})
    respond = talk.tell(Transcribed(outcome.one(Commit).item_id, "Hello.", 1.0)).one(Respond)
    assert (respond.format, respond.voice) == (AudioFormat(), "ann")


def test_a_request_is_json(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.update(tools=[TOOL])
    plan = talk.asked().plan
    assert isinstance(plan, GenerateText)
    assert json.loads(json.dumps(plan.request)) == plan.request


def tool_round(talk: Any, respond: Respond, number: int) -> Respond:
    """Let the model call a tool and nothing else, return its output, and ask for the next response."""
    talk.tell(ResponseTool(respond.response_id, 0, f"call_{number}", "weather", "{}"))
    talk.tell(ResponseDone(respond.response_id))
    item = {"type": "function_call_output", "call_id": f"call_{number}", "output": "warm"}
    talk.say("conversation.item.create", item=item)
    following: Respond = talk.say("response.create").one(Respond)
    return following


def offers_tools(respond: Respond) -> bool:
    assert isinstance(respond.plan, GenerateText)
    return "tools" in respond.plan.request


def test_a_loop_of_tool_calls_ends(opens: Opens) -> None:
    talk = opens(llm=True, limits=Limits(tool_rounds=2))
    talk.update(tools=[TOOL], tool_choice="required")
    respond = talk.asked("What is the weather?")
    offered = [offers_tools(respond)]
    for number in range(2):
        respond = tool_round(talk, respond, number)
        offered.append(offers_tools(respond))
    assert offered == [True, True, False]
    assert "tool_choice" not in respond.plan.request
    talk.tell(ResponseText(respond.response_id, "It is warm."))
    talk.tell(ResponseDone(respond.response_id))
    assert offers_tools(talk.say("response.create").one(Respond)), "an answer in words ends the loop"


def test_what_the_user_says_begins_the_count_of_tool_calls_anew(opens: Opens) -> None:
    talk = opens(llm=True, limits=Limits(tool_rounds=1))
    talk.update(tools=[TOOL])
    respond = tool_round(talk, talk.asked("What is the weather?"), 1)
    assert not offers_tools(respond)
    talk.tell(ResponseTool(respond.response_id, 0, "call_2", "weather", "{}"))
    talk.tell(ResponseDone(respond.response_id))
    assert offers_tools(talk.asked("And tomorrow?"))


@pytest.mark.parametrize(
    ("truncation", "may"), [("auto", True), ("disabled", False), ({"type": "retention_ratio", "retention_ratio": 0.5}, True)]
)
def test_truncation_is_that_of_the_session(opens: Opens, truncation: Any, may: bool) -> None:
    talk = opens(llm=True)
    talk.update(truncation=truncation)
    plan = talk.asked().plan
    assert isinstance(plan, GenerateText)
    assert plan.may_truncate is may
