"""Answers that are begun before the turn ends: a session on plain values, and the races between the turn and the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from open_speech.api.realtime.early_answers import MAX_HOLD_S, MAX_TRIES, EarlyAnswer
from open_speech.api.realtime.effects import (
    AudioFormat,
    Begin,
    GenerateText,
    NotTranscribed,
    Release,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseFailed,
    ResponseText,
    ResponseTool,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Stop,
    TextReady,
    Transcribed,
)
from open_speech.api.realtime.state import TurnTaking
from open_speech.errors import LanguageModelTimeout
from tests.api.realtime.conftest import Opens, Outcome, Talk

TEXT = "What time is it?"


def start(text: str = TEXT, response_id: str = "r", **options: Any) -> Respond:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return Respond(response_id, GenerateText({"messages": messages, **options}), True, AudioFormat(), "ann", None, 1.0)


def test_an_answer_is_held_and_then_taken_with_all_that_was_reported() -> None:
    early = EarlyAnswer()
    (effect,) = early.begin("item", TEXT, start(), 10.0)
    assert effect == Respond("r", start().plan, True, AudioFormat(), "ann", None, 1.0, is_held=True)
    assert (early.item_id, early.response_id, early.text, early.deadline) == ("item", "r", TEXT, 10.0 + MAX_HOLD_S)
    first, second = ResponseText("r", "It is", 0.0), ResponseAudio("r", b"1234", 0.1)
    assert early.hold(first) == early.hold(second) == []
    assert early.hold(ResponseText("other", "no", 0.0)) is None
    assert early.take(start("what time is it", "another response")) is None
    assert early.take(start("what time is it")) == [first, second]
    assert (early.item_id, early.deadline, early.take(start()), early.drop()) == (None, None, None, [])


@pytest.mark.parametrize(
    "other",
    [
        start("What time was it?"),
        start(tools=[{"type": "function"}]),
        start(max_tokens=5),
        Respond("r", start().plan, False, AudioFormat(), "ann", None, 1.0),
        Respond("r", start().plan, True, AudioFormat(rate=16_000), "ann", None, 1.0),
        Respond("r", start().plan, True, AudioFormat(), "bob", None, 1.0),
        Respond("r", start().plan, True, AudioFormat(), "ann", None, 1.5),
        Respond("r", GenerateText(start().plan.request, False), True, AudioFormat(), "ann", None, 1.0),  # type: ignore[union-attr]
    ],
)
def test_an_answer_to_something_else_is_not_taken(other: Respond) -> None:
    early = EarlyAnswer()
    early.begin("item", TEXT, start(), 0.0)
    assert early.take(other) is None
    assert early.drop("someone else") == []
    assert early.drop("r") == [Stop("r")]
    assert early.hold(ResponseText("r", "late", 0.0)) is None


def test_only_a_few_answers_are_begun_in_one_turn() -> None:
    early = EarlyAnswer()
    for number in range(MAX_TRIES):
        assert early.may_begin("item")
        early.begin("item", TEXT, start(response_id=str(number)), 0.0)
    assert not early.may_begin("item")
    assert early.may_begin("next")
    assert early.begin("next", TEXT, start(response_id="n"), 0.0)[0] == Stop(str(MAX_TRIES - 1))


def test_a_tool_call_drops_the_answer_for_the_whole_turn() -> None:
    early = EarlyAnswer()
    early.begin("item", TEXT, start(), 0.0)
    assert early.hold(ResponseTool("r", 0, "call", "light")) == [Stop("r")]
    assert not early.may_begin("item")


@pytest.fixture
def talk(opens: Opens) -> Talk:
    """A session with a language model that answers early and shows transcripts."""
    return opened(opens)


def opened(opens: Opens, **options: Any) -> Talk:
    talk = opens(llm=True, turn_taking=TurnTaking(answers_early=True), **options)
    talk.hears(transcription={"model": "ears"})
    return talk


def speaks(talk: Talk) -> str:
    """Have somebody begin to speak; give the item."""
    talk.append(1500)
    return talk.tell(SpeechStarted(talk.ms - 1400)).one(Begin).item_id


def pauses(talk: Talk, item_id: str, text: str = TEXT) -> Outcome:
    talk.tell(SpeechPaused(talk.ms - 300))
    return talk.tell(TextReady(item_id, text))


def held(talk: Talk, text: str = TEXT) -> tuple[str, Respond]:
    """Have somebody speak and pause; give the item and the answer that is held."""
    item_id = speaks(talk)
    outcome = pauses(talk, item_id, text)
    assert outcome.events == []
    respond = outcome.one(Respond)
    assert respond.is_held
    return item_id, respond


def ends(talk: Talk, item_id: str, text: str = TEXT) -> tuple[Outcome, Outcome]:
    stopped = talk.tell(SpeechStopped(talk.ms - 300))
    return stopped, talk.tell(Transcribed(item_id, text, 1.0))


ANSWERED = ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
ANSWERED += ["response.output_audio_transcript.delta", "response.output_audio.delta"]


def test_a_turn_that_ends_with_the_same_text_releases_its_answer_in_the_usual_order(talk: Talk) -> None:
    item_id, respond = held(talk)
    for report in (ResponseText(respond.response_id, "Noon."), ResponseAudio(respond.response_id, bytes(480), 0.01)):
        assert talk.tell(report) == []
    stopped, ended = ends(talk, item_id, "what time is it")
    assert stopped.types == [
        "input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done",
        "response.created",
    ]  # fmt: skip
    assert stopped.event("response.created")["response"]["id"] == respond.response_id
    kind = "conversation.item.input_audio_transcription"
    assert ended.types == [f"{kind}.delta", f"{kind}.completed", *ANSWERED]
    assert ended.one(Release) == Release(respond.response_id)
    assert [*ended.all(Respond), *ended.all(Stop)] == []
    assert talk.tell(ResponseAudio(respond.response_id, bytes(480), 0.01)).types == ["response.output_audio.delta"]
    assert talk.tell(ResponseDone(respond.response_id)).done["status"] == "completed"


def test_an_answer_that_is_complete_before_the_turn_ends_is_sent_at_its_end(talk: Talk) -> None:
    item_id, respond = held(talk)
    for report in (ResponseText(respond.response_id, "Noon."), ResponseDone(respond.response_id)):
        assert talk.tell(report) == []
    _, ended = ends(talk, item_id)
    assert ended.done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Noon."}]
    assert talk.session.deadline() != talk.now + MAX_HOLD_S


def test_an_answer_to_another_text_is_dropped_and_made_anew(talk: Talk) -> None:
    item_id, respond = held(talk)
    talk.tell(ResponseText(respond.response_id, "Noon."))
    _, ended = ends(talk, item_id, "What time is it in Rome?")
    assert ended.one(Stop) == Stop(respond.response_id)
    again = ended.one(Respond)
    assert not again.is_held
    assert isinstance(again.plan, GenerateText)
    assert again.plan.request["messages"][-1]["content"] == "What time is it in Rome?"
    assert "response.output_item.added" not in ended.types
    assert [effect for effect in ended if isinstance(effect, (Stop, Respond))] == [ended.one(Stop), again]


def test_speech_that_goes_on_drops_the_answer_and_the_item_stays_one(talk: Talk) -> None:
    item_id, respond = held(talk)
    assert talk.tell(SpeechResumed(talk.ms)) == [Stop(respond.response_id)]
    assert talk.tell(ResponseText(respond.response_id, "Noon.")) == []
    assert talk.tell(ResponseFailed(respond.response_id, LanguageModelTimeout("Late."))) == []
    second = pauses(talk, item_id, "What time is it in Rome?").one(Respond)
    assert second.response_id != respond.response_id
    _, ended = ends(talk, item_id, "What time is it in Rome?")
    assert ended.one(Release) == Release(second.response_id)
    users = [item for item in talk.session._state.items if item.role == "user"]
    assert [item.text for item in users] == ["What time is it in Rome?"]


def test_an_answer_that_fails_while_it_is_held_is_tried_again_when_the_turn_ends(talk: Talk) -> None:
    item_id, respond = held(talk)
    error = LanguageModelTimeout("The language model server sent nothing.")
    assert talk.tell(ResponseFailed(respond.response_id, error)) == [Stop(respond.response_id)]
    assert pauses(talk, item_id) == []
    _, ended = ends(talk, item_id)
    again = ended.one(Respond)
    assert not again.is_held
    failed = talk.tell(ResponseFailed(again.response_id, error))
    assert failed.done["status_details"]["error"]["code"] == "llm_timeout"


def test_an_answer_that_fails_between_the_end_and_the_transcript_is_tried_again(talk: Talk) -> None:
    item_id, respond = held(talk)
    talk.tell(SpeechStopped(talk.ms - 300))
    assert talk.tell(ResponseFailed(respond.response_id, LanguageModelTimeout("Late."))) == [Stop(respond.response_id)]
    again = talk.tell(Transcribed(item_id, TEXT, 1.0)).one(Respond)
    assert (again.response_id, again.is_held) == (respond.response_id, False)


def test_an_error_of_a_dropped_answer_never_appears(talk: Talk) -> None:
    item_id, respond = held(talk)
    talk.tell(SpeechResumed(talk.ms))
    talk.tell(ResponseFailed(respond.response_id, LanguageModelTimeout("The language model server sent nothing.")))
    _, ended = ends(talk, item_id)
    assert ended.one(Respond).response_id != respond.response_id
    assert "response.done" not in ended.types


def test_a_tool_call_is_neither_shown_nor_executed_before_the_turn_ends(talk: Talk) -> None:
    talk.update(tools=[{"type": "function", "name": "light", "parameters": {}}])
    item_id, respond = held(talk)
    assert talk.tell(ResponseTool(respond.response_id, 0, "call_1", "light", "{}")) == [Stop(respond.response_id)]
    assert pauses(talk, item_id) == []
    _, ended = ends(talk, item_id)
    assert not ended.one(Respond).is_held
    assert "response.function_call_arguments.delta" not in ended.types


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("session.update", {"session": {"instructions": "Speak Dutch."}}),
        ("session.update", {"session": {"audio": {"output": {"voice": "bob"}}}}),
        ("session.update", {"session": {"audio": {"input": {"turn_detection": {"create_response": False}}}}}),
        ("session.update", {"session": {"audio": {"input": {"turn_detection": None}}}}),
        ("conversation.item.create", {"item": {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Rome"}]}}),
        ("conversation.item.delete", {"item_id": "first"}),
        ("input_audio_buffer.commit", {}),
        ("input_audio_buffer.clear", {}),
        ("response.cancel", {}),
        ("response.create", {}),
    ],
)
def test_an_event_that_changes_the_answer_drops_it(talk: Talk, kind: str, fields: dict[str, Any]) -> None:
    talk.text("My name is Ann.", id="first")
    _, respond = held(talk)
    outcome = talk.say(kind, **fields)
    assert Stop(respond.response_id) in outcome
    assert talk.tell(ResponseText(respond.response_id, "late")) == []


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("session.update", {"session": {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}}}),
        ("conversation.item.retrieve", {"item_id": "first"}),
        ("response.create", {"response": {"conversation": "none", "input": []}}),
        ("input_audio_buffer.append", {"audio": "AAAA"}),
        ("nothing", {}),
    ],
)
def test_an_event_that_changes_nothing_of_the_answer_keeps_it(talk: Talk, kind: str, fields: dict[str, Any]) -> None:
    talk.text("My name is Ann.", id="first")
    item_id, respond = held(talk)
    assert Stop(respond.response_id) not in talk.say(kind, **fields)
    _, ended = ends(talk, item_id)
    assert Release(respond.response_id) in ended


def test_a_cancel_after_the_end_of_the_turn_stops_the_answer(talk: Talk) -> None:
    _, respond = held(talk)
    stopped = talk.tell(SpeechStopped(talk.ms - 300))
    assert "response.created" in stopped.types
    outcome = talk.say("response.cancel")
    assert outcome.one(Stop) == Stop(respond.response_id)
    assert outcome.done["status"] == "cancelled"
    assert talk.tell(ResponseText(respond.response_id, "late")) == []


def test_speech_before_the_transcript_stops_the_answer_and_its_turn_goes_on(talk: Talk) -> None:
    first, respond = held(talk)
    talk.tell(SpeechStopped(talk.ms - 300))
    talk.append(500)
    outcome = talk.tell(SpeechStarted(talk.ms - 200))
    assert outcome.one(Stop) == Stop(respond.response_id)
    second = outcome.one(Begin).item_id
    talk.tell(Transcribed(first, "What time is it", 1.0))
    _, ended = ends(talk, second, "in Rome?")
    plan = ended.one(Respond).plan
    assert isinstance(plan, GenerateText)
    assert plan.request["messages"] == [{"role": "user", "content": "What time is it in Rome?"}]


def test_an_item_without_a_transcript_stops_the_answer(talk: Talk) -> None:
    item_id, respond = held(talk)
    talk.tell(SpeechStopped(talk.ms - 300))
    outcome = talk.tell(NotTranscribed(item_id, LanguageModelTimeout("The recognizer failed.")))
    assert outcome.one(Stop) == Stop(respond.response_id)
    assert outcome.done["status"] == "failed"


def test_an_answer_is_held_for_a_limited_time(talk: Talk) -> None:
    item_id, respond = held(talk)
    assert talk.session.deadline() == talk.now + MAX_HOLD_S
    assert talk.wait(MAX_HOLD_S - 0.1) == []
    assert talk.wait(0.1) == [Stop(respond.response_id)]
    _, ended = ends(talk, item_id)
    assert not ended.one(Respond).is_held


def test_a_response_in_progress_keeps_others_from_being_begun(talk: Talk) -> None:
    talk.hears(turn_detection={"interrupt_response": False})
    talk.asked()
    assert pauses(talk, speaks(talk)) == []


def test_an_item_that_is_still_transcribed_keeps_an_answer_from_being_begun(talk: Talk) -> None:
    talk.hears(turn_detection={"create_response": False})
    talk.spoke()
    talk.hears(turn_detection={"create_response": True})
    assert pauses(talk, speaks(talk)) == []


@pytest.mark.parametrize("text", ["", " … "])
def test_a_pause_without_words_begins_nothing(talk: Talk, text: str) -> None:
    assert pauses(talk, speaks(talk), text) == []


def test_sessions_whose_turns_are_not_answered_begin_nothing(opens: Opens) -> None:
    silent = opened(opens)
    silent.hears(turn_detection={"create_response": False})
    assert pauses(silent, speaks(silent)) == []
    transcribing = opens("transcription", turn_taking=TurnTaking(answers_early=True))
    assert pauses(transcribing, speaks(transcribing)) == []
    without_model = opens(turn_taking=TurnTaking(answers_early=True))
    assert pauses(without_model, speaks(without_model)) == []
    as_before = opens(llm=True)
    assert pauses(as_before, speaks(as_before)) == []


def test_the_end_of_the_session_stops_the_answer(opens: Opens) -> None:
    talk = opened(opens)
    _, respond = held(talk)
    talk.now += 3600
    assert Stop(respond.response_id) in talk.wait(0)


def test_the_request_of_a_held_answer_has_the_whole_conversation(talk: Talk) -> None:
    talk.update(instructions="Be brief.", max_output_tokens=50)
    talk.text("My name is Ann.")
    _, respond = held(talk)
    assert isinstance(respond.plan, GenerateText)
    assert json.loads(json.dumps(respond.plan.request)) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "My name is Ann."},
            {"role": "user", "content": TEXT},
        ],
        "max_tokens": 50,
    }
