"""The old dialect: the same machine, other words. Each event is checked against the SDK's beta types by the fixture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime import beta
from open_speech.api.realtime.effects import (
    AudioFormat,
    Begin,
    ConfigureInput,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    ResponseTool,
    SpeakText,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnRules,
)

Opens = Callable[..., Any]


def test_the_session_is_flat_and_the_conversation_follows_it(opens: Opens) -> None:
    created, conversation = opens(beta=True).sent
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["modalities"] == ["text", "audio"]
    assert (session["voice"], session["input_audio_format"], session["output_audio_format"]) == ("ann", "pcm16", "pcm16")
    assert session["turn_detection"]["type"] == "server_vad"
    assert session["input_audio_transcription"] == {"model": "ears"}
    assert (session["temperature"], session["max_response_output_tokens"], session["speed"]) == (0.8, "inf", 1.0)
    assert conversation["type"] == "conversation.created"
    assert conversation["conversation"]["object"] == "realtime.conversation"


def test_a_flat_update_changes_what_it_names(opens: Opens) -> None:
    talk = opens(beta=True)
    outcome = talk.update(
        modalities=["text"], instructions="Be brief.", voice="bob", speed=1.2, temperature=0.7, max_response_output_tokens=9,
        input_audio_format="g711_ulaw", output_audio_format="g711_alaw", input_audio_transcription={"model": "ears", "language": "de"},
        input_audio_noise_reduction={"type": "near_field"}, turn_detection={"type": "server_vad", "threshold": 0.9},
        tools=[{"type": "function", "name": "f"}], tool_choice="none",
    )  # fmt: skip
    assert outcome[0] == ConfigureInput(AudioFormat("audio/pcmu", 8000), TurnRules(threshold=0.9))
    session = outcome.event("session.updated")["session"]
    assert (session["modalities"], session["instructions"], session["voice"]) == (["text"], "Be brief.", "bob")
    assert (session["speed"], session["temperature"], session["max_response_output_tokens"]) == (1.2, 0.7, 9)
    assert (session["input_audio_format"], session["output_audio_format"]) == ("g711_ulaw", "g711_alaw")
    assert session["input_audio_transcription"] == {"model": "ears", "language": "de"}
    assert session["input_audio_noise_reduction"] == {"type": "near_field"}
    assert session["turn_detection"]["threshold"] == 0.9
    assert (session["tools"], session["tool_choice"]) == ([{"type": "function", "name": "f"}], "none")


@pytest.mark.parametrize("change", [{"input_audio_format": "g711_ulaw"}, {"voice": "bob"}, {"turn_detection": None}])
def test_a_flat_update_without_the_header_changes_to_the_beta_protocol(opens: Opens, change: dict[str, Any]) -> None:
    talk = opens()
    talk.use_beta()
    session = talk.update(**change).event("session.updated")["session"]
    assert {name: session[name] for name in change} == change


def test_a_flat_response_without_the_header_is_answered_in_the_beta_protocol(opens: Opens) -> None:
    talk = opens()
    talk.use_beta()
    response = {"instructions": "Hello from Open Speech", "voice": "bob", "modalities": ["audio", "text"]}
    respond = talk.say("response.create", response=response).one(Respond)
    assert (respond.plan, respond.voice, respond.has_audio) == (SpeakText("Hello from Open Speech"), "bob", True)
    assert "response.audio.delta" in talk.tell(ResponseAudio(respond.response_id, b"\0\0", 0.1)).types


@pytest.mark.parametrize("session", [{"voice": "bob", "audio": {}}, {"voice": "bob", "type": "realtime"}, {"instructions": "x"}, "x"])
def test_an_update_in_the_current_protocol_stays_in_it(session: object) -> None:
    assert not beta.has_only_beta_fields({"type": "session.update", "session": session})


def test_beside_a_language_model_only_the_header_selects_the_beta_protocol(opens: Opens) -> None:
    assert opens(llm=True).update(input_audio_format="g711_ulaw").error["code"] == "unknown_parameter"


def test_null_switches_turns_off(opens: Opens) -> None:
    outcome = opens(beta=True).update(turn_detection=None)
    assert outcome.one(ConfigureInput).turns is None
    assert outcome.event("session.updated")["session"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"voice": "nobody"}, "session.voice"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
        ({"output_audio_format": 3}, "session.output_audio_format"),
        ({"turn_detection": {"type": "server_vad", "threshold": 7}}, "session.turn_detection.threshold"),
        ({"input_audio_transcription": {"model": "nothing"}}, "session.input_audio_transcription.model"),
        ({"modalities": []}, "session.modalities"),
        ({"max_response_output_tokens": 0}, "session.max_response_output_tokens"),
        ({"instructions": 7}, "session.instructions"),
        ({"speed": 9}, "session.speed"),
        ({"temperature": 9}, "session.temperature"),
    ],
)
def test_an_error_names_the_field_as_the_client_does(opens: Opens, change: dict[str, Any], param: str) -> None:
    error = opens(beta=True).say("session.update", session=change, event_id="e").error
    assert (error["param"], error["event_id"]) == (param, "e")


def test_a_spoken_turn_comes_in_the_words_of_that_time(opens: Opens) -> None:
    talk = opens(beta=True, llm=True)
    talk.update(input_audio_transcription={"model": "ears"})
    talk.append(1500)
    begin = talk.tell(SpeechStarted(100)).one(Begin)
    stopped = talk.tell(SpeechStopped(1100))
    assert stopped.types == [
        "input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.created", "response.created",
    ]  # fmt: skip
    heard = talk.tell(Transcribed(begin.item_id, "Hello.", 1.0, "en"))
    assert "languages" not in heard.event("conversation.item.input_audio_transcription.completed")
    response_id = heard.one(Respond).response_id
    first = talk.tell(ResponseText(response_id, "Hi."))
    assert first.types == [
        "response.output_item.added", "conversation.item.created", "response.content_part.added", "response.audio_transcript.delta",
    ]  # fmt: skip
    assert talk.tell(ResponseAudio(response_id, b"ab", 0.1)).types == ["response.audio.delta"]
    last = talk.tell(ResponseDone(response_id))
    assert last.types == [
        "response.audio.done", "response.audio_transcript.done", "response.content_part.done", "response.output_item.done", "response.done",
    ]  # fmt: skip
    response = last.event("response.done")["response"]
    assert response["output"][0]["content"] == [{"type": "audio", "transcript": "Hi."}]
    assert (response["modalities"], response["voice"], response["output_audio_format"]) == (["text", "audio"], "ann", "pcm16")


def test_a_written_response_in_the_words_of_that_time(opens: Opens) -> None:
    talk = opens(beta=True)
    talk.text("Hello.")
    respond = talk.say("response.create", response={"modalities": ["text"], "metadata": {"a": "b"}}).one(Respond)
    assert not respond.has_audio
    assert talk.tell(ResponseText(respond.response_id, "Hi.")).types[-1] == "response.text.delta"
    last = talk.tell(ResponseDone(respond.response_id))
    assert last.types == ["response.text.done", "response.content_part.done", "response.output_item.done", "response.done"]
    response = last.event("response.done")["response"]
    assert response["output"][0]["content"] == [{"type": "text", "text": "Hi."}]
    assert (response["modalities"], response["metadata"]) == (["text"], {"a": "b"})


def test_a_response_may_choose_voice_and_format(opens: Opens) -> None:
    talk = opens(beta=True)
    talk.text("Hello.")
    response = {"voice": "bob", "output_audio_format": "g711_ulaw", "max_response_output_tokens": 5}
    outcome = talk.say("response.create", response=response)
    assert (outcome.one(Respond).voice, outcome.one(Respond).format) == ("bob", AudioFormat("audio/pcmu", 8000))
    assert outcome.event("response.created")["response"]["output_audio_format"] == "g711_ulaw"
    talk.say("response.cancel")
    talk.text("Again.")
    assert talk.say("response.create", response={"voice": "nobody"}).error["param"] == "response.voice"


def test_a_call_of_a_tool_in_the_words_of_that_time(opens: Opens) -> None:
    talk = opens(beta=True, llm=True)
    talk.text("Hello.")
    respond = talk.say("response.create").one(Respond)
    talk.tell(ResponseTool(respond.response_id, 0, "call_1", "f", "{}"))
    assert "name" not in talk.tell(ResponseDone(respond.response_id)).event("response.function_call_arguments.done")


def test_old_names_of_content_are_understood(opens: Opens) -> None:
    talk = opens(beta=True)
    outcome = talk.say(
        "conversation.item.create", item={"role": "assistant", "content": [{"type": "text", "text": "Hi."}], "type": "message"}
    )
    assert outcome.types == ["conversation.item.created"]
    assert outcome.events[0]["item"]["content"] == [{"type": "text", "text": "Hi."}]


def test_items_of_one_response_are_understood(opens: Opens) -> None:
    inputs = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say this."}]}]
    talk = opens(beta=True)
    assert talk.say("response.create", response={"conversation": "none", "input": inputs}).one(Respond)
    assert talk.say("response.create", response={"input": "x"}).error["param"] == "response.input"


def test_a_transcription_session_has_its_own_events(opens: Opens) -> None:
    talk = opens("transcription", model="whisper-1", beta=True)
    (created,) = talk.sent
    assert created["type"] == "transcription_session.created"
    session = {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}
    updated = talk.say("transcription_session.update", session=session).event("transcription_session.updated")["session"]
    assert updated["input_audio_transcription"] == {"model": "whisper-1"}
    assert updated["turn_detection"]["silence_duration_ms"] == 200
    assert updated["input_audio_format"] == "pcm16"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.update", "session": 3},
        {"type": "session.update"},
        {"type": "session.update", "session": {"turn_detection": 3, "input_audio_format": [], "modalities": {}, "voice": {}}},
        {"type": "transcription_session.update", "session": None},
        {"type": "response.create", "response": {"input": [3, {"content": [4, {"type": []}]}], "modalities": 1, "output_audio_format": {}}},
        {"type": "conversation.item.create", "item": {"content": [{"type": {}}], "role": []}},
        {"type": "conversation.item.create"},
    ],
)
def test_what_is_no_event_is_left_for_the_check(opens: Opens, event: dict[str, Any]) -> None:
    talk = opens(beta=True)
    kind = event.pop("type")
    assert talk.say(kind, **event).error["type"] == "invalid_request_error"


def test_an_event_that_means_the_same_stays_as_it_is() -> None:
    event = {"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e"}
    assert beta.to_ga(event) == event
    committed = {"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None}
    assert beta.to_beta(committed, "realtime") == [committed]
