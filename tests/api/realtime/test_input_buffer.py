"""What comes in: the buffer, turns, commits, transcripts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    SILENCE_KEPT_MS,
    AppendAudio,
    Begin,
    Clear,
    Commit,
    ConfigureInput,
    Delta,
    NotTranscribed,
    Respond,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TranscriptionSettings,
)
from open_speech.api.realtime.session import Limits
from open_speech.errors import BackendFailed

Opens = Callable[..., Any]
TRANSCRIPTION = "conversation.item.input_audio_transcription"
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def turn(talk: Any, start_ms: int, end_ms: int) -> str:
    """Have somebody speak; give the id of what they said."""
    talk.append(end_ms + 500 - talk.ms)
    started = talk.tell(SpeechStarted(start_ms)).event("input_audio_buffer.speech_started")
    stopped = talk.tell(SpeechStopped(end_ms)).event("input_audio_buffer.speech_stopped")
    assert started["item_id"] == stopped["item_id"]
    return str(started["item_id"])


def manual(opens: Opens, kind: str = "transcription", **options: Any) -> Any:
    talk = opens(kind, **options)
    talk.hears(turn_detection=None)
    return talk


def test_sound_goes_to_the_driver_without_an_answer(opens: Opens) -> None:
    assert opens().say("input_audio_buffer.append", audio=base64.b64encode(b"abcd").decode()) == [AppendAudio(b"abcd")]


def test_no_sound_is_nothing(opens: Opens) -> None:
    assert opens().say("input_audio_buffer.append", audio="") == []


def test_g711_may_have_any_length(opens: Opens) -> None:
    talk = opens()
    talk.hears(format={"type": "audio/pcmu"})
    assert talk.say("input_audio_buffer.append", audio="AAAA") == [AppendAudio(bytes(3))]


def test_speech_begins_an_item_whose_text_comes_while_it_is_said(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    outcome = talk.tell(SpeechStarted(400))
    event = outcome.event("input_audio_buffer.speech_started")
    assert event["audio_start_ms"] == 400
    assert outcome.all(Begin) == [Begin(event["item_id"], 400, TranscriptionSettings("ears"))]
    delta = talk.tell(Delta(event["item_id"], "Hel")).event(f"{TRANSCRIPTION}.delta")
    assert (delta["item_id"], delta["content_index"], delta["delta"]) == (event["item_id"], 0, "Hel")


def test_a_turn_has_one_item_from_its_start_to_its_text(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(2000)
    item_id = talk.tell(SpeechStarted(400)).event("input_audio_buffer.speech_started")["item_id"]
    outcome = talk.tell(SpeechStopped(1400))
    assert outcome.types == ["input_audio_buffer.speech_stopped", *COMMITTED]
    assert outcome.event("input_audio_buffer.speech_stopped")["audio_end_ms"] == 1400
    assert {event.get("item_id", event.get("item", {}).get("id")) for event in outcome.events} == {item_id}
    assert outcome.event("conversation.item.added")["item"] == {
        "id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }  # fmt: skip
    assert outcome[-1] == Commit(item_id, 400, 1400, TranscriptionSettings("ears"))
    completed = talk.tell(Transcribed(item_id, "Hello.", 1.0)).event(f"{TRANSCRIPTION}.completed")
    assert (completed["item_id"], completed["transcript"], completed["usage"]) == (item_id, "Hello.", {"type": "duration", "seconds": 1.0})


def test_the_deltas_joined_are_the_text(opens: Opens) -> None:
    talk = opens("transcription")
    item_id = turn(talk, 100, 900)
    talk.tell(Delta(item_id, "Hello"))
    outcome = talk.tell(Transcribed(item_id, "Hello world.", 0.8))
    assert outcome.types == [f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed"]
    deltas = [event["delta"] for event in talk.sent if event["type"] == f"{TRANSCRIPTION}.delta"]
    assert deltas == ["Hello", " world."]


def test_a_text_is_told_once(opens: Opens) -> None:
    talk = opens("transcription")
    item_id = turn(talk, 100, 900)
    assert talk.tell(Transcribed(item_id, "Hello.", 0.8)).types
    assert talk.tell(Transcribed(item_id, "Hello.", 0.8)) == []
    assert talk.tell(NotTranscribed(item_id, BackendFailed("late"))) == []
    assert talk.tell(Delta(item_id, "more")) == []


def test_silence_has_an_empty_text(opens: Opens) -> None:
    talk = opens("transcription")
    outcome = talk.tell(Transcribed(turn(talk, 100, 900), "", 0.8))
    assert outcome.types == [f"{TRANSCRIPTION}.completed"]
    assert outcome.events[0]["transcript"] == ""


def test_a_failure_is_told_with_its_item(opens: Opens) -> None:
    talk = opens("transcription")
    item_id = turn(talk, 100, 900)
    event = talk.tell(NotTranscribed(item_id, BackendFailed("It broke."))).event(f"{TRANSCRIPTION}.failed")
    assert event["item_id"] == item_id
    assert event["error"] == {"type": "server_error", "code": "backend_failed", "message": "It broke.", "param": None}


@pytest.mark.parametrize("cut", [1, 3, 5, 7])
def test_audio_may_be_cut_within_a_sample(opens: Opens, cut: int) -> None:
    talk, data = opens(), bytes(range(16))
    heard = b""
    for start in range(0, len(data), cut):
        effects = talk.say("input_audio_buffer.append", audio=base64.b64encode(data[start : start + cut]).decode())
        heard += b"".join(effect.data for effect in effects if isinstance(effect, AppendAudio))
        assert len(heard) % 2 == 0
    assert heard == data


def test_half_a_sample_is_dropped_with_the_buffer(opens: Opens) -> None:
    talk = opens()
    assert talk.say("input_audio_buffer.append", audio=base64.b64encode(b"abc").decode()) == [AppendAudio(b"ab")]
    talk.say("input_audio_buffer.clear")
    assert talk.say("input_audio_buffer.append", audio=base64.b64encode(b"de").decode()) == [AppendAudio(b"de")]


def test_logprobs_come_if_they_were_asked_for(opens: Opens) -> None:
    talk = opens("transcription")
    talk.update(include=["item.input_audio_transcription.logprobs"])
    talk.append(1000)
    started = talk.tell(SpeechStarted(0))
    assert started.one(Begin).transcription.logprobs
    item_id = started.one(Begin).item_id
    talk.tell(SpeechStopped(900))
    logprobs = [{"token": "Hi", "bytes": [72, 105], "logprob": -0.1}]
    outcome = talk.tell(Transcribed(item_id, "Hi", 0.9, logprobs=logprobs))
    assert outcome.event(f"{TRANSCRIPTION}.completed")["logprobs"] == logprobs


def test_the_language_that_was_heard_is_told(opens: Opens) -> None:
    talk = opens("transcription")
    outcome = talk.tell(Transcribed(turn(talk, 100, 900), "Hallo.", 0.8, "de"))
    assert outcome.event(f"{TRANSCRIPTION}.completed")["languages"] == [{"code": "de"}]


def test_items_are_chained(opens: Opens) -> None:
    talk = opens("transcription")
    first, second = turn(talk, 100, 900), turn(talk, 1500, 2500)
    chained = [event["previous_item_id"] for event in talk.sent if event["type"] == "input_audio_buffer.committed"]
    assert chained == [None, first]
    added = [(event["previous_item_id"], event["item"]["id"]) for event in talk.sent if event["type"] == "conversation.item.added"]
    assert added == [(None, first), (first, second)]


def test_without_transcription_and_model_nothing_is_transcribed(opens: Opens) -> None:
    talk = opens()
    talk.hears(turn_detection={"type": "server_vad", "create_response": False}, transcription=None)
    talk.append(1000)
    assert talk.tell(SpeechStarted(100)).all(Begin) == []
    assert talk.tell(SpeechStopped(900)).one(Commit).transcription is None


def test_words_for_the_model_alone_are_not_told(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.append(1000)
    begin = talk.tell(SpeechStarted(100)).one(Begin)
    assert begin.transcription == TranscriptionSettings()
    assert talk.tell(SpeechStopped(900)).one(Commit).transcription == TranscriptionSettings()
    assert talk.tell(Delta(begin.item_id, "Hel")) == []
    assert [kind for kind in talk.tell(Transcribed(begin.item_id, "Hello.", 0.8)).types if kind.startswith("conversation")] == []


def test_a_retrieved_item_has_its_text(opens: Opens) -> None:
    talk = opens("transcription")
    item_id = turn(talk, 100, 900)
    assert talk.say("conversation.item.retrieve", item_id=item_id).event("conversation.item.retrieved")["item"]["content"] == [
        {"type": "input_audio", "transcript": None}
    ]
    talk.tell(Transcribed(item_id, "Hello.", 0.8))
    assert talk.say("conversation.item.retrieve", item_id=item_id).event("conversation.item.retrieved")["item"]["content"] == [
        {"type": "input_audio", "transcript": "Hello."}
    ]


def test_without_turns_the_item_begins_with_the_sound(opens: Opens) -> None:
    talk = manual(opens)
    outcome = talk.append(300)
    begin = outcome.one(Begin)
    assert outcome[0] == begin
    assert begin.start_ms == 0
    assert talk.append(300).all(Begin) == []
    assert talk.tell(Delta(begin.item_id, "Hel")).types == [f"{TRANSCRIPTION}.delta"]
    committed = talk.say("input_audio_buffer.commit")
    assert committed.types == COMMITTED
    assert committed[-1] == Commit(begin.item_id, 0, 600, TranscriptionSettings("ears"))
    assert talk.append(300).one(Begin).start_ms == 600


def test_without_turns_nobody_speaks(opens: Opens) -> None:
    talk = manual(opens)
    talk.append(500)
    assert talk.tell(SpeechStarted(100)) == []
    assert talk.tell(SpeechStopped(400)) == []


def test_a_commit_makes_no_response(opens: Opens) -> None:
    for llm in (True, False):
        talk = manual(opens, "realtime", llm=llm)
        talk.append(500)
        assert "response.created" not in talk.say("input_audio_buffer.commit").types


@pytest.mark.parametrize("ms", [0, 1, 99])
def test_a_commit_of_nothing_names_its_event(opens: Opens, ms: int) -> None:
    talk = manual(opens)
    talk.append(ms)
    error = talk.say("input_audio_buffer.commit", event_id="final").error
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "final")


def test_after_a_commit_that_was_refused_the_sound_is_still_there(opens: Opens) -> None:
    talk = manual(opens)
    talk.append(60)
    talk.say("input_audio_buffer.commit")
    talk.append(60)
    assert talk.say("input_audio_buffer.commit").one(Commit).end_ms == 120


def test_the_end_of_an_agent_is_committed_then_cleared_and_the_text_still_comes(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    item_id = talk.tell(SpeechStarted(100)).one(Begin).item_id
    committed = talk.say("input_audio_buffer.commit", event_id="final")
    assert committed.types == COMMITTED
    assert committed[-2:] == [Commit(item_id, 100, 1000, TranscriptionSettings("ears")), Clear()]
    assert talk.say("input_audio_buffer.clear").types == ["input_audio_buffer.cleared"]
    assert talk.tell(Transcribed(item_id, "Hello.", 0.9)).types[-1] == f"{TRANSCRIPTION}.completed"


def test_what_is_said_after_a_commit_is_another_turn(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    first = talk.tell(SpeechStarted(100)).one(Begin).item_id
    talk.say("input_audio_buffer.commit")
    assert talk.tell(SpeechStopped(900)) == []
    talk.append(1000)
    begin = talk.tell(SpeechStarted(800)).one(Begin)
    assert begin.item_id != first
    assert begin.start_ms == 1000  # no sound belongs to two items


def test_a_commit_in_silence_takes_no_more_than_is_kept(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(SILENCE_KEPT_MS + 5000)
    commit = talk.say("input_audio_buffer.commit").one(Commit)
    assert (commit.start_ms, commit.end_ms) == (5000, SILENCE_KEPT_MS + 5000)


def test_a_clear_forgets_the_item_that_was_being_said(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    first = talk.tell(SpeechStarted(100)).one(Begin).item_id
    cleared = talk.say("input_audio_buffer.clear")
    assert (cleared[0], cleared.types) == (Clear(), ["input_audio_buffer.cleared"])
    assert talk.tell(Delta(first, "late")) == []
    assert talk.tell(SpeechStopped(900)) == []
    assert talk.say("input_audio_buffer.commit").error["code"] == "input_audio_buffer_commit_empty"
    talk.append(1000)
    assert talk.tell(SpeechStarted(1200)).one(Begin).item_id != first


def test_a_buffer_that_is_full_takes_no_more(opens: Opens) -> None:
    talk = manual(opens, limits=Limits(buffer_bytes=48_000))
    talk.append(900)
    error = talk.append(200).error
    assert (error["code"], error["param"]) == ("input_audio_buffer_full", "audio")
    assert talk.append(100).all(AppendAudio)
    assert talk.say("input_audio_buffer.commit").one(Commit).end_ms == 1000
    assert talk.append(900).all(AppendAudio)


def test_silence_does_not_fill_the_buffer_while_turns_are_told(opens: Opens) -> None:
    talk = opens(limits=Limits(buffer_bytes=48_000))
    for _ in range(20):
        assert talk.append(900).all(AppendAudio)


def test_sound_that_is_more_than_the_buffer_at_once_is_refused(opens: Opens) -> None:
    talk = opens(limits=Limits(buffer_bytes=48_000))
    assert talk.append(1100).error["code"] == "input_audio_buffer_full"


def test_who_speaks_without_end_is_cut_and_nothing_is_lost(opens: Opens) -> None:
    talk = opens("transcription", limits=Limits(buffer_bytes=48_000))
    talk.append(600)
    first = talk.tell(SpeechStarted(100)).one(Begin).item_id
    outcome = talk.append(600)
    assert outcome.types == ["input_audio_buffer.speech_stopped", *COMMITTED]
    assert outcome[-3:] == [Commit(first, 100, 600, TranscriptionSettings("ears")), Clear(), AppendAudio(bytes(28_800))]
    begin = talk.tell(SpeechStarted(600)).one(Begin)
    assert (begin.start_ms, begin.item_id != first) == (600, True)


def test_turns_that_are_switched_off_in_the_middle_leave_the_item_to_the_client(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    item_id = talk.tell(SpeechStarted(100)).one(Begin).item_id
    assert talk.hears(turn_detection=None).one(ConfigureInput).turns is None
    assert talk.tell(SpeechStopped(900)) == []
    assert talk.append(500).all(Begin) == []
    assert talk.say("input_audio_buffer.commit").one(Commit) == Commit(item_id, 100, 1500, TranscriptionSettings("ears"))


def test_a_second_start_is_the_same_turn(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    talk.tell(SpeechStarted(100))
    talk.hears(turn_detection={"type": "server_vad", "silence_duration_ms": 200})
    assert talk.tell(SpeechStarted(500)) == []
    assert talk.tell(SpeechStopped(900)).one(Commit).start_ms == 100


def test_an_end_without_a_start_is_nothing(opens: Opens) -> None:
    assert opens().tell(SpeechStopped(100)) == []


def test_a_new_model_takes_effect_with_the_next_item(opens: Opens) -> None:
    talk = opens("transcription")
    talk.append(1000)
    talk.tell(SpeechStarted(100))
    talk.hears(transcription={"model": "other-ears"})
    assert talk.tell(SpeechStopped(900)).one(Commit).transcription == TranscriptionSettings("ears")
    talk.append(1000)
    assert talk.tell(SpeechStarted(1200)).one(Begin).transcription == TranscriptionSettings("other-ears")


def test_a_transcription_session_never_responds(opens: Opens) -> None:
    talk = opens("transcription", llm=True)
    item_id = turn(talk, 100, 900)
    talk.tell(Transcribed(item_id, "Hello.", 0.8))
    assert not [event for event in talk.sent if event["type"].startswith("response.")]
    assert talk.say("response.create", event_id="no").error["event_id"] == "no"


def test_the_id_of_an_item_that_is_being_said_cannot_be_taken(opens: Opens) -> None:
    talk = opens()
    talk.append(1000)
    item_id = talk.tell(SpeechStarted(100)).event("input_audio_buffer.speech_started")["item_id"]
    assert talk.text("Hello.", id=item_id).error["code"] == "item_create_duplicate_item_id"
    assert talk.tell(SpeechStopped(900)).types[1:4] == COMMITTED


def test_a_turn_that_is_not_to_be_answered_is_not(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.hears(turn_detection={"type": "server_vad", "create_response": False})
    item_id = turn(talk, 100, 900)
    assert talk.tell(Transcribed(item_id, "Hello.", 0.8)) == []
    assert talk.say("response.create").one(Respond)
