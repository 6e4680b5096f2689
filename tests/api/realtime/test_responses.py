"""What goes out: responses, in the documented order, from the first event to the last."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AudioFormat,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeakText,
    SpeechStarted,
    Stop,
)
from open_speech.api.realtime.response_policy import MOST_AT_ONCE
from open_speech.api.realtime.responses import ANSWER_CHARS
from open_speech.errors import BackendFailed, BackendTimeout

Opens = Callable[..., Any]
TEXT_TURN = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}


def test_a_spoken_response_comes_in_the_documented_order(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.")
    created = talk.say("response.create")
    assert created.types == ["response.created"]
    response = created.events[0]["response"]
    assert (response["status"], response["output"], response["object"]) == ("in_progress", [], "realtime.response")
    assert response["conversation_id"].startswith("conv_")
    respond = created.one(Respond)
    assert respond == Respond(response["id"], SpeakText("Hello."), True, AudioFormat(), "ann", None, 1.0)
    first = talk.tell(ResponseText(respond.response_id, "Hel"))
    assert first.types == [
        "response.output_item.added", "conversation.item.added", "response.content_part.added", "response.output_audio_transcript.delta",
    ]  # fmt: skip
    assert first.events[0]["item"]["content"] == []
    assert first.events[0]["item"]["status"] == "in_progress"
    assert first.events[2]["part"] == {"type": "audio", "transcript": ""}
    assert talk.tell(ResponseAudio(respond.response_id, b"\1\2", 0.5)).events[0]["delta"] == base64.b64encode(b"\1\2").decode()
    assert talk.tell(ResponseText(respond.response_id, "lo.", 0.5)).types == ["response.output_audio_transcript.delta"]
    assert talk.tell(ResponseAudio(respond.response_id, b"\1\2", 0.5)).types == ["response.output_audio.delta"]
    last = talk.tell(ResponseDone(respond.response_id))
    assert last.types == [
        "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done", "response.output_item.done",
        "conversation.item.done", "response.done",
    ]  # fmt: skip
    assert last.events[1]["transcript"] == "Hello."
    assert last.events[2]["part"] == {"type": "audio", "transcript": "Hello."}
    assert last.events[3]["item"]["content"] == [{"type": "output_audio", "transcript": "Hello."}]
    response = last.done
    assert (response["status"], response["status_details"]) == ("completed", None)
    assert response["output"] == [last.events[3]["item"]] == [last.events[4]["item"]]
    assert response["usage"]["total_tokens"] == 0


def test_a_written_response_has_no_sound(opens: Opens) -> None:
    talk = opens()
    talk.update(output_modalities=["text"])
    respond = talk.asked()
    assert not respond.has_audio
    first = talk.tell(ResponseText(respond.response_id, "Hello."))
    assert first.types == [
        "response.output_item.added", "conversation.item.added", "response.content_part.added", "response.output_text.delta",
    ]  # fmt: skip
    last = talk.tell(ResponseDone(respond.response_id))
    assert last.types == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "conversation.item.done", "response.done",
    ]  # fmt: skip
    assert last.done["output"][0]["content"] == [{"type": "output_text", "text": "Hello."}]
    assert last.done["output_modalities"] == ["text"]


def test_an_answer_follows_the_item_it_answers(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    respond = talk.say("response.create").one(Respond)
    assert talk.tell(ResponseText(respond.response_id, "Hi")).event("conversation.item.added")["previous_item_id"] == "a"
    assert talk.tell(ResponseDone(respond.response_id)).event("conversation.item.done")["previous_item_id"] == "a"


def test_a_response_of_nothing_is_complete(opens: Opens) -> None:
    talk = opens()
    outcome = talk.tell(ResponseDone(talk.asked().response_id))
    assert outcome.types == ["response.done"]
    assert outcome.done["output"] == []


def test_a_response_overrides_the_session_once(opens: Opens) -> None:
    talk = opens()
    talk.update(audio={"output": {"speed": 1.25}})
    audio = {"output": {"voice": "bob", "format": {"type": "audio/pcmu"}}}
    respond = talk.asked(audio=audio, max_output_tokens=50, metadata={"topic": "x"})
    assert (respond.voice, respond.format, respond.speed) == ("bob", AudioFormat("audio/pcmu", 8000), 1.25)
    ended = talk.tell(ResponseDone(respond.response_id))
    assert ended.done["audio"]["output"] == {"voice": "bob", "format": {"type": "audio/pcmu"}}
    assert (ended.done["metadata"], ended.done["max_output_tokens"]) == ({"topic": "x"}, 50)
    assert talk.asked().voice == "ann"


def test_metadata_comes_back_at_the_start_and_at_the_end(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.")
    created = talk.say("response.create", response={"metadata": {"id": "7"}})
    assert created.event("response.created")["response"]["metadata"] == {"id": "7"}
    assert talk.tell(ResponseDone(created.one(Respond).response_id)).done["metadata"] == {"id": "7"}


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"metadata": {str(number): "x" for number in range(17)}}, "response.metadata"),
        ({"metadata": {"a": "x" * 513}}, "response.metadata.a"),
        ({"metadata": {"a": 1}}, "response.metadata.a"),
        ({"output_modalities": ["smell"]}, "response.output_modalities[0]"),
        ({"instructions": 3}, "response.instructions"),
        ({"audio": {"output": {"voice": "nobody"}}}, "response.audio.output.voice"),
        ({"audio": {"output": {"format": {"type": "audio/mp3"}}}}, "response.audio.output.format.type"),
        ({"input": "Hello."}, "response.input"),
        ({"input": [{"type": "message", "role": "user"}]}, "response.input[0].content"),
        ({"input": [TEXT_TURN, {"type": "item_reference", "id": "nobody"}]}, "response.input[1].id"),
        ({"input": [{"type": "item_reference"}]}, "response.input[0].id"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"tools": ["f"]}, "response.tools[0]"),
    ],
)
def test_a_response_that_cannot_be_is_refused_by_its_field(opens: Opens, response: dict[str, Any], param: str) -> None:
    talk = opens()
    assert talk.say("response.create", response=response).error["param"] == param
    assert talk.asked()


def test_two_at_once_in_one_conversation_are_an_error(opens: Opens) -> None:
    talk = opens()
    first = talk.asked()
    talk.text("More.")
    error = talk.say("response.create", event_id="second").error
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    talk.tell(ResponseDone(first.response_id))
    assert talk.say("response.create").one(Respond).plan == SpeakText("More.")


def test_a_response_outside_of_the_conversation_leaves_no_trace_in_it(opens: Opens) -> None:
    talk = opens()
    outcome = talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]})
    assert outcome.event("response.created")["response"]["conversation_id"] is None
    response_id = outcome.one(Respond).response_id
    talk.tell(ResponseText(response_id, "Hello."))
    talk.tell(ResponseDone(response_id))
    assert not [event for event in talk.sent if event["type"].startswith("conversation.")]


def test_responses_outside_of_the_conversation_run_beside_the_one_in_it(opens: Opens) -> None:
    talk = opens()
    inside = talk.asked()
    outside = [talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]}).one(Respond) for _ in range(3)]
    assert len({respond.response_id for respond in (inside, *outside)}) == 4
    for respond in (*outside, inside):
        assert talk.tell(ResponseDone(respond.response_id)).done["id"] == respond.response_id


def test_responses_at_once_have_a_bound(opens: Opens) -> None:
    talk = opens()
    for _ in range(MOST_AT_ONCE):
        assert talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]}).one(Respond)
    assert talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]}).error["code"] == "server_overloaded"


def test_a_cancel_ends_the_response_and_what_is_open_of_it(opens: Opens) -> None:
    talk = opens()
    respond = talk.asked()
    talk.tell(ResponseText(respond.response_id, "Hel"))
    outcome = talk.say("response.cancel")
    assert outcome[0] == Stop(respond.response_id)
    assert outcome.types == [
        "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done", "response.output_item.done",
        "conversation.item.done", "response.done",
    ]  # fmt: skip
    response = outcome.done
    assert (response["status"], response["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
    assert response["output"][0]["status"] == "incomplete"
    assert talk.say("response.cancel").error["code"] == "response_cancel_not_active"


def test_what_comes_of_a_cancelled_response_is_dropped(opens: Opens) -> None:
    talk = opens()
    response_id = talk.asked().response_id
    talk.say("response.cancel", response_id=response_id)
    late = ResponseText(response_id, "x"), ResponseAudio(response_id, b"xx", 1), ResponseTool(response_id, 0), ResponseDone(response_id)
    assert [talk.tell(report) for report in (*late, ResponseFailed(response_id, BackendFailed("x")))] == [[]] * 5


def test_a_cancel_by_id_takes_only_that_one(opens: Opens) -> None:
    talk = opens()
    inside = talk.asked()
    outside = talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]}).one(Respond)
    assert talk.say("response.cancel", response_id=outside.response_id).done["id"] == outside.response_id
    assert talk.tell(ResponseDone(inside.response_id)).done["status"] == "completed"


def test_who_speaks_interrupts(opens: Opens) -> None:
    talk = opens()
    respond = talk.asked()
    talk.tell(ResponseText(respond.response_id, "Hel"))
    talk.append(1000)
    outcome = talk.tell(SpeechStarted(300))
    assert outcome.types[0] == "input_audio_buffer.speech_started"
    assert outcome.one(Stop) == Stop(respond.response_id)
    assert outcome.done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert outcome.done["output"][0]["status"] == "incomplete"


def test_who_speaks_does_not_interrupt_where_that_is_off(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.hears(turn_detection={"type": "server_vad", "interrupt_response": False})
    first = talk.asked()
    assert talk.spoke().types[-1] == "conversation.item.done"
    outcome = talk.tell(ResponseDone(first.response_id))
    assert outcome.types == ["response.done", "response.created"]  # what was said meanwhile is answered afterwards


def test_a_response_that_is_not_of_the_conversation_is_not_interrupted(opens: Opens) -> None:
    talk = opens()
    respond = talk.say("response.create", response={"conversation": "none", "input": [TEXT_TURN]}).one(Respond)
    talk.append(1000)
    assert talk.tell(SpeechStarted(300)).all(Stop) == []
    assert talk.tell(ResponseDone(respond.response_id)).done["status"] == "completed"


def test_a_failure_ends_the_response(opens: Opens) -> None:
    talk = opens()
    respond = talk.asked()
    talk.tell(ResponseText(respond.response_id, "Hel"))
    response = talk.tell(ResponseFailed(respond.response_id, BackendTimeout("It took too long."))).done
    assert response["status"] == "failed"
    error = {"type": "server_error", "code": "backend_timeout", "message": "It took too long."}
    assert response["status_details"] == {"type": "failed", "error": error}
    assert talk.asked()


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_a_response_that_was_cut_short_says_why(opens: Opens, reason: Any) -> None:
    talk = opens()
    respond = talk.asked()
    talk.tell(ResponseText(respond.response_id, "Hel"))
    response = talk.tell(ResponseDone(respond.response_id, reason)).done
    assert (response["status"], response["status_details"]) == ("incomplete", {"type": "incomplete", "reason": reason})
    assert response["output"][0]["status"] == "incomplete"


def test_an_answer_without_end_is_cut(opens: Opens) -> None:
    talk = opens(llm=True)
    respond = talk.asked()
    pieces = (talk.tell(ResponseText(respond.response_id, "\N{SNOWMAN}" * 1700)) for _ in range(ANSWER_CHARS // 10_000 + 1))
    outcome = next(outcome for outcome in pieces if outcome.all(Stop))  # a snowman takes six characters as JSON
    assert outcome.done["status_details"]["reason"] == "max_output_tokens"
    assert talk.asked()


def test_usage_is_what_the_model_counted(opens: Opens) -> None:
    talk = opens(llm=True)
    usage = talk.tell(ResponseDone(talk.asked().response_id, usage={"prompt_tokens": 30, "completion_tokens": 12})).done["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (30, 12, 42)


def test_what_was_not_spoken_before_somebody_interrupted_was_not_said(opens: Opens) -> None:
    talk = opens()
    respond = talk.asked("One sentence. And another.")
    talk.tell(ResponseText(respond.response_id, "One sentence. ", 0.0))
    talk.tell(ResponseAudio(respond.response_id, bytes(48_000), 1.0))
    item_id = talk.tell(ResponseText(respond.response_id, "And another.", 1.0)).event("response.output_audio_transcript.delta")["item_id"]
    outcome = talk.tell(SpeechStarted(100))
    assert outcome.event("response.output_audio_transcript.done")["transcript"] == "One sentence. "
    assert outcome.done["output"][0]["content"][0]["transcript"] == "One sentence. "
    talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1000)
    item = talk.say("conversation.item.retrieve", item_id=item_id).event("conversation.item.retrieved")["item"]
    assert item["content"][0]["transcript"] == "One sentence. "


def test_the_language_of_the_voice_can_be_named(opens: Opens) -> None:
    talk = opens()
    assert "language" not in talk.update(instructions="x").event("session.updated")["session"]["audio"]["output"]
    assert talk.asked().language is None
    other = opens()
    assert other.session.receive('{"type":"session.update","session":{"audio":{"output":{"language":"fr"}}}}', other.now)
    assert other.asked().language == "fr"
