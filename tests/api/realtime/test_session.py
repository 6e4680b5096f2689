from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AudioFormat,
    ConfigureInput,
    Respond,
    ResponseAudio,
    ResponseDone,
    SpeakText,
    SpeechStarted,
    SpeechStopped,
)
from open_speech.api.realtime.effects import TurnRules as Rules
from open_speech.api.realtime.session import Limits
from open_speech.errors import InvalidRequest
from open_speech.http.ws_messages import Close


def test_the_first_event_is_the_whole_session(opens: Callable[..., Any]) -> None:
    talk = opens()
    (event,) = talk.sent
    assert event["type"] == "session.created"
    session = event["session"]
    assert session["object"] == "realtime.session"
    assert session["id"].startswith("sess_")
    assert session["model"] == "gpt-realtime"
    assert session["expires_at"] == 1_003_600
    assert session["output_modalities"] == ["audio"]
    assert (session["instructions"], session["tools"], session["tool_choice"]) == ("", [], "auto")
    assert (session["max_output_tokens"], session["tracing"], session["truncation"], session["prompt"]) == ("inf", None, "auto", None)
    assert session["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "ann", "speed": 1.0}
    heard = session["audio"]["input"]
    assert heard["transcription"] == {"model": "ears"}
    assert heard["noise_reduction"] is None
    assert heard["turn_detection"] == {
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None,
        "create_response": True, "interrupt_response": True,
    }  # fmt: skip


def test_the_driver_is_tuned_before_anything_is_heard(opens: Callable[..., Any]) -> None:
    talk = opens()
    assert talk.begin()[0] == ConfigureInput(AudioFormat(), Rules())


def test_a_transcription_session_shows_what_it_has(opens: Callable[..., Any]) -> None:
    (event,) = opens("transcription", model="other-ears").sent
    session = event["session"]
    assert session["type"] == "transcription"
    assert session["object"] == "realtime.transcription_session"
    assert session["audio"]["input"]["transcription"] == {"model": "other-ears"}
    assert set(session) == {"type", "object", "id", "expires_at", "audio", "include"}


@pytest.mark.parametrize(("llm", "expected"), [(False, {"model": "ears"}), (True, None)])
def test_input_is_transcribed_by_default_only_without_a_language_model(opens: Callable[..., Any], llm: bool, expected: object) -> None:
    talk = opens(llm=llm)
    assert talk.session.body()["audio"]["input"]["transcription"] == expected
    talk.hears(transcription=None)
    assert talk.session.body()["audio"]["input"]["transcription"] is None


def test_a_session_of_a_model_that_transcribes_speaks_too_until_the_client_names_its_kind(opens: Callable[..., Any]) -> None:
    talk = opens("transcription", model="other-ears", is_kind_open=True)
    assert talk.say("response.create", response={"instructions": "Hello."}).one(Respond).plan == SpeakText("Hello.")
    talk.update(type="transcription")
    assert talk.say("response.create", response={"instructions": "Hello."}).error["param"] == "type"


def test_a_configuration_that_was_made_before_is_there_from_the_start(opens: Callable[..., Any]) -> None:
    (event,) = opens(configured={"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "bob"}}}).sent
    assert event["session"]["instructions"] == "Be brief."
    assert event["session"]["audio"]["output"]["voice"] == "bob"


def test_a_configuration_that_cannot_be_opens_no_session(opens: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        opens(configured={"audio": {"output": {"voice": "nobody"}}})
    assert refused.value.param == "session.audio.output.voice"


def test_an_update_answers_with_the_whole_session(opens: Callable[..., Any]) -> None:
    talk = opens()
    outcome = talk.update(type="realtime", instructions="Be brief.")
    assert outcome.types == ["session.updated"]
    session = outcome.event("session.updated")["session"]
    assert session["instructions"] == "Be brief."
    assert session["audio"] == talk.sent[0]["session"]["audio"]


def test_an_update_of_turns_retunes_the_driver_first(opens: Callable[..., Any]) -> None:
    outcome = opens().hears(turn_detection={"type": "server_vad", "silence_duration_ms": 200})
    assert outcome[0] == ConfigureInput(AudioFormat(), Rules(silence_duration_ms=200))
    assert outcome.types == ["session.updated"]


def test_an_update_of_something_else_leaves_the_driver_alone(opens: Callable[..., Any]) -> None:
    assert opens().update(instructions="Be brief.").all(ConfigureInput) == []


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("", "invalid_json", None),
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("17", "invalid_json", None),
        ('{"type": "input_audio_buffer.commit", "x": NaN}', "invalid_json", None),
        ('{"type": "input_audio_buffer.commit", "x": 1e999}', "invalid_json", None),
        ('{"type": "input_audio_buffer.commit", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "invalid_json", None),
        ('{"type": "input_audio_buffer.commit", "x": ' + "[" * 100 + "]" * 100 + "}", "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": 3}', "invalid_event", "type"),
        ('{"type": ["session.update"]}', "invalid_event", "type"),
        ('{"type": "session.delete"}', "invalid_event", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        ('{"type": "session.update", "session": null}', "invalid_value", "session"),
        ('{"type": "session.update", "session": []}', "invalid_value", "session"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": 3}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "\\u00e9\\u00e9\\u00e9\\u00e9"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty", None),
        ('{"type": "conversation.item.create"}', "missing_required_parameter", "item"),
        ('{"type": "conversation.item.retrieve"}', "missing_required_parameter", "item_id"),
        ('{"type": "conversation.item.retrieve", "item_id": 4}', "invalid_value", "item_id"),
        ('{"type": "conversation.item.retrieve", "item_id": "x"}', "item_retrieve_invalid_item_id", "item_id"),
        ('{"type": "conversation.item.delete", "item_id": "x"}', "item_delete_invalid_item_id", "item_id"),
        ('{"type": "conversation.item.truncate", "item_id": "x"}', "missing_required_parameter", "audio_end_ms"),
        (
            '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0}',
            "item_truncate_invalid_item_id", "item_id",
        ),
        (
            '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": -1}', "invalid_value",
            "audio_end_ms",
        ),
        ('{"type": "response.cancel"}', "response_cancel_not_active", None),
        ('{"type": "response.cancel", "response_id": "resp_9"}', "response_cancel_not_active", "response_id"),
        ('{"type": "response.create", "response": 7}', "invalid_value", "response"),
    ],
)  # fmt: skip
def test_a_bad_event_is_an_error_that_names_the_field(opens: Callable[..., Any], text: str, code: str, param: str | None) -> None:
    talk = opens()
    error = talk.write(text).error
    assert (error["type"], error["code"], error["param"], error["event_id"]) == ("invalid_request_error", code, param, None)
    assert len(error["message"]) < 300
    assert talk.update(instructions="still here").types == ["session.updated"]


def test_an_error_names_the_event_of_the_client(opens: Callable[..., Any]) -> None:
    assert opens().say("input_audio_buffer.commit", event_id="mine").error["event_id"] == "mine"
    assert opens().say("no.such.event", event_id="mine").error["event_id"] == "mine"


@pytest.mark.parametrize("event_id", [3, ["x"], {"a": 1}, "x" * 513, True])
def test_an_event_id_that_is_none_is_an_error_itself(opens: Callable[..., Any], event_id: object) -> None:
    error = opens().say("input_audio_buffer.clear", event_id=event_id).error
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "event_id", None)


def test_an_event_id_of_null_is_none(opens: Callable[..., Any]) -> None:
    assert opens().say("input_audio_buffer.clear", event_id=None).types == ["input_audio_buffer.cleared"]


def test_a_message_over_the_bound_is_refused_and_the_session_goes_on(opens: Callable[..., Any]) -> None:
    talk = opens(limits=Limits(frame_bytes=1000))
    assert talk.append(1000).error["code"] == "input_audio_buffer_full"
    assert talk.update(instructions="short").types == ["session.updated"]


def test_what_a_client_writes_does_not_come_back_in_an_error(opens: Callable[..., Any]) -> None:
    key = "k" * 100_000
    error = opens().say("response.create", response={"metadata": {key: 3}}).error
    assert len(json.dumps(error)) < 1000


def test_a_session_that_has_begun_keeps_its_type(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.text("Hello.")
    assert talk.update(type="transcription").error["param"] == "session.type"


def test_a_fresh_session_may_become_one_for_transcription(opens: Callable[..., Any]) -> None:
    talk = opens()
    session = talk.update(type="transcription", audio={"input": {"turn_detection": None}}).event("session.updated")["session"]
    assert session["type"] == "transcription"
    assert session["audio"]["input"]["transcription"] == {"model": "ears"}
    assert talk.say("response.create").error["code"] == "invalid_event"


def test_an_update_of_an_unknown_type_is_an_error(opens: Callable[..., Any]) -> None:
    assert opens().update(type="translation").error["param"] == "session.type"


def test_an_update_without_a_type_is_taken(opens: Callable[..., Any]) -> None:
    assert opens("transcription").hears(turn_detection=None).types == ["session.updated"]


def test_the_format_cannot_change_under_sound(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.append(100)
    error = talk.hears(format={"type": "audio/pcmu"}).error
    assert (error["code"], error["param"]) == ("invalid_value", "session.audio.input.format")
    assert talk.session.config.format == AudioFormat()
    talk.say("input_audio_buffer.clear")
    assert talk.hears(format={"type": "audio/pcmu"})[0] == ConfigureInput(AudioFormat("audio/pcmu", 8000), Rules())


def test_the_same_format_may_be_said_again_at_any_time(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.append(100)
    assert talk.hears(format={"type": "audio/pcm", "rate": 24_000}).types == ["session.updated"]


def test_time_goes_on_over_a_change_of_format(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.append(1500)
    talk.say("input_audio_buffer.clear")
    talk.hears(format={"type": "audio/pcmu"}, turn_detection=None)
    talk.append(500, bytes_per_s=8000)
    assert talk.say("input_audio_buffer.commit")[-1].end_ms == 2000


def answered(talk: Any, seconds: float = 1.0) -> None:
    """Have something said that takes a while to be heard."""
    talk.text("Hello.")
    response_id = talk.say("response.create").one(Respond).response_id
    talk.tell(ResponseAudio(response_id, bytes(480), seconds))
    talk.tell(ResponseDone(response_id))


def test_the_voice_stays_once_it_was_heard(opens: Callable[..., Any]) -> None:
    talk = opens()
    assert talk.update(audio={"output": {"voice": "bob"}}).types == ["session.updated"]
    answered(talk)
    assert talk.update(audio={"output": {"voice": "ann"}}).error["code"] == "cannot_update_voice"
    assert talk.update(audio={"output": {"voice": "bob", "speed": 1.2}}).types == ["session.updated"]


def test_the_model_never_changes(opens: Callable[..., Any]) -> None:
    assert opens().update(model="another").event("session.updated")["session"]["model"] == "gpt-realtime"


def test_clearing_output_is_answered(opens: Callable[..., Any]) -> None:
    assert opens().say("output_audio_buffer.clear").types == ["output_audio_buffer.cleared"]


def test_a_session_ends_with_its_time(opens: Callable[..., Any]) -> None:
    talk = opens(limits=Limits(session_s=60))
    assert talk.session.deadline() == talk.now + 60
    assert talk.wait(59.9) == []
    outcome = talk.wait(0.2)
    assert outcome.event("error")["error"]["code"] == "session_expired"
    assert isinstance(outcome[-1], Close)
    assert talk.session.deadline() is None
    assert talk.update(instructions="too late") == []
    assert talk.wait(60) == []


def test_a_silent_client_is_let_go_but_not_while_it_listens(opens: Callable[..., Any]) -> None:
    talk = opens(limits=Limits(idle_s=30))
    assert talk.session.deadline() == talk.now + 30
    talk.text("Hello.")
    response_id = talk.say("response.create").one(Respond).response_id
    assert talk.wait(100) == []
    talk.tell(ResponseAudio(response_id, bytes(480), 1))
    talk.tell(ResponseDone(response_id))
    assert talk.wait(29) == []
    outcome = talk.wait(2)
    assert outcome.event("error")["error"]["code"] == "session_idle_timeout"
    assert isinstance(outcome[-1], Close)


def test_who_is_silent_after_an_answer_is_spoken_to_again(opens: Callable[..., Any]) -> None:
    talk = opens(llm=True)
    talk.hears(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000}, transcription={})
    assert talk.session.deadline() == talk.now + 3600
    talk.text("Hello.")
    response_id = talk.say("response.create").one(Respond).response_id
    talk.tell(ResponseAudio(response_id, bytes(480), 3.0))
    talk.tell(ResponseDone(response_id))
    talk.append(2000)
    assert talk.session.deadline() == talk.now + 8  # what was said takes three seconds to be heard
    assert talk.wait(7.9) == []
    outcome = talk.wait(0.2)
    assert outcome.types == [
        "input_audio_buffer.timeout_triggered", "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done",
        "conversation.item.input_audio_transcription.completed", "response.created",
    ]  # fmt: skip
    triggered = outcome.event("input_audio_buffer.timeout_triggered")
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (0, 2000)
    assert triggered["item_id"] == outcome.event("input_audio_buffer.committed")["item_id"]
    assert outcome.event("conversation.item.input_audio_transcription.completed")["transcript"] == ""
    assert outcome.one(Respond)
    assert talk.wait(100) == []


def test_who_speaks_in_time_is_not_reminded(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.hears(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000, "create_response": False})
    answered(talk)
    talk.append(1000)
    talk.tell(SpeechStarted(500))
    assert talk.wait(100) == []
    talk.tell(SpeechStopped(900))
    assert talk.wait(100) == []


def test_who_speaks_while_an_answer_ends_is_not_reminded(opens: Callable[..., Any]) -> None:
    talk = opens()
    talk.hears(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000, "create_response": False, "interrupt_response": False})
    talk.text("Hello.")
    response_id = talk.say("response.create").one(Respond).response_id
    talk.append(1000)
    talk.tell(SpeechStarted(500))
    talk.tell(ResponseAudio(response_id, bytes(480), 1.0))
    talk.tell(ResponseDone(response_id))
    assert talk.wait(100) == []
    talk.tell(SpeechStopped(900))
    assert talk.wait(100) == []


def test_nobody_is_reminded_where_nobody_asked_for_it(opens: Callable[..., Any]) -> None:
    talk = opens()
    answered(talk)
    assert talk.wait(100) == []
