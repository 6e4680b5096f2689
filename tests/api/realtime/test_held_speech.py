"""Speech of the user while an answer is spoken: what clients learn of it, and what becomes of the answer."""

from __future__ import annotations

import pytest

from open_speech.api.realtime.effects import (
    Begin,
    Commit,
    Delta,
    GenerateText,
    NotTranscribed,
    PauseOutput,
    Played,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    ResumeOutput,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Stop,
    TextReady,
    Transcribed,
)
from open_speech.api.realtime.state import TurnTaking
from open_speech.dialogue.interruption import InterruptionRules
from open_speech.errors import BackendFailed
from tests.api.realtime.conftest import NOW, Opens, Outcome, Talk

BACKCHANNELS = TurnTaking(backchannels=("auto",))
HALF_A_SECOND = TurnTaking(interruption=InterruptionRules(after_s=0.5))
THREE_WORDS = TurnTaking(interruption=InterruptionRules(min_words=3))
GUARDED = TurnTaking(interruption=InterruptionRules(echo_guard_s=3.0))
PAUSABLE = TurnTaking(can_pause=True)

TURN = ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
INTERRUPTED = [
    "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done", "response.output_item.done",
    "conversation.item.done", "response.done",
]  # fmt: skip


def answering(opens: Opens, turn_taking: TurnTaking, *, seconds: float = 10.0) -> tuple[Talk, str]:
    """Open a session in which an answer is spoken: it began now, and its audio lasts some seconds."""
    talk = opens(llm=True, turn_taking=turn_taking)
    talk.hears(transcription={"model": "ears", "language": "en"})
    respond = talk.asked("Tell me a story.")
    talk.tell(ResponseText(respond.response_id, "Once upon a time, there was a king.", 0.0))
    talk.tell(ResponseAudio(respond.response_id, bytes(480), seconds))
    return talk, respond.response_id


def begins(talk: Talk, at_s: float) -> Outcome:
    """Have the user begin to speak some seconds after the answer began; the speech is noticed 100 ms later."""
    talk.now += at_s
    talk.append(1000)
    return talk.tell(SpeechStarted(talk.ms - 100 - 300))


def lasts(talk: Talk, seconds: float) -> Outcome:
    """Have the speech go on until it has lasted so long."""
    talk.append(round(seconds * 1000) - 100)
    return talk.wait(seconds - 0.1)


def stops(talk: Talk, item_id: str, text: str) -> Outcome:
    """End the turn after 500 ms of silence, of which the transcript is known a little later."""
    end = talk.ms
    talk.append(500)
    both = Outcome(talk.tell(SpeechPaused(end)))
    both += talk.wait(0.5)
    both += talk.tell(SpeechStopped(end))
    return Outcome([*both, *talk.tell(Transcribed(item_id, text, 0.5))])


def test_by_default_speech_interrupts_at_its_start(opens: Opens) -> None:
    talk, response_id = answering(opens, TurnTaking())
    outcome = begins(talk, 2.0)
    assert outcome.types == ["input_audio_buffer.speech_started", *INTERRUPTED]
    assert Stop(response_id) in outcome


def test_a_backchannel_is_never_shown_and_the_answer_goes_on(opens: Opens) -> None:
    talk, response_id = answering(opens, BACKCHANNELS)
    outcome = begins(talk, 2.0)
    assert outcome.events == []
    item_id = outcome.one(Begin).item_id
    assert lasts(talk, 0.5) == []
    assert talk.tell(Delta(item_id, "Mm")) == []
    ended = stops(talk, item_id, "Mm-hmm.")
    assert ended.events == []
    assert [type(effect) for effect in ended] == [Commit]
    assert talk.tell(ResponseDone(response_id)).done["status"] == "completed"
    assert item_id not in json_of(talk)
    asked = talk.asked("Go on.")
    assert isinstance(asked.plan, GenerateText)
    assert [message["content"] for message in asked.plan.request["messages"]] == [
        "Tell me a story.", "Once upon a time, there was a king.", "Go on.",
    ]  # fmt: skip


def json_of(talk: Talk) -> str:
    return str(talk.sent)


def test_words_that_are_no_backchannel_interrupt_as_soon_as_they_are_known(opens: Opens) -> None:
    talk, response_id = answering(opens, BACKCHANNELS)
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 0.6)
    outcome = talk.tell(TextReady(item_id, "Yes, but"))
    assert outcome.types == ["input_audio_buffer.speech_started", *INTERRUPTED]
    assert outcome.event("input_audio_buffer.speech_started")["item_id"] == item_id
    assert outcome.done["status_details"]["reason"] == "turn_detected"
    stopped = talk.tell(SpeechStopped(talk.ms))
    assert stopped.types == [*TURN, "response.created"]
    assert talk.tell(Transcribed(item_id, "Yes, but", 0.5)).one(Respond)


def test_speech_of_more_than_a_second_is_no_backchannel(opens: Opens) -> None:
    talk, _ = answering(opens, BACKCHANNELS)
    begins(talk, 2.0)
    assert talk.session.deadline() == pytest.approx(talk.now + 0.901)
    assert lasts(talk, 1.0) == []
    assert talk.wait(0.002).types == ["input_audio_buffer.speech_started", *INTERRUPTED]


def test_a_short_stop_interrupts_when_its_words_are_known_and_its_events_keep_their_order(opens: Opens) -> None:
    talk, response_id = answering(opens, HALF_A_SECOND)
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 0.4)
    outcome = stops(talk, item_id, "Stop!")
    kind = "conversation.item.input_audio_transcription"
    assert outcome.types == [
        "input_audio_buffer.speech_started", *INTERRUPTED, *TURN, "response.created", f"{kind}.delta", f"{kind}.completed",
    ]  # fmt: skip
    committed, added = outcome.event("input_audio_buffer.committed"), outcome.event("conversation.item.added")
    assert committed["previous_item_id"] == added["previous_item_id"] == [item.id for item in talk.session._state.items][-2]
    assert outcome.one(Respond).response_id != response_id


def test_speech_interrupts_when_it_has_lasted_half_a_second(opens: Opens) -> None:
    talk, _ = answering(opens, HALF_A_SECOND)
    assert begins(talk, 2.0).events == []
    assert talk.session.deadline() == pytest.approx(talk.now + 0.4)
    assert lasts(talk, 0.45) == []
    assert talk.wait(0.05).types == ["input_audio_buffer.speech_started", *INTERRUPTED]


def test_a_pause_does_not_count_as_speech(opens: Opens) -> None:
    talk, _ = answering(opens, HALF_A_SECOND)
    begins(talk, 2.0)
    talk.append(200)
    talk.tell(SpeechPaused(talk.ms))
    talk.append(400)
    assert talk.wait(0.4) == []
    # With speech again, it has lasted from its start: the pause was part of it.
    assert talk.tell(SpeechResumed(talk.ms)).types == ["input_audio_buffer.speech_started", *INTERRUPTED]


def test_noise_without_a_word_is_forgotten(opens: Opens) -> None:
    talk, response_id = answering(opens, HALF_A_SECOND)
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 0.3)
    assert stops(talk, item_id, "").events == []
    assert talk.tell(ResponseDone(response_id)).done["status"] == "completed"


def test_the_third_word_interrupts(opens: Opens) -> None:
    talk, _ = answering(opens, THREE_WORDS)
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 1.5)
    assert talk.tell(Delta(item_id, "Stop it")) == []
    outcome = talk.tell(Delta(item_id, " now"))
    kind = "conversation.item.input_audio_transcription.delta"
    assert outcome.types == ["input_audio_buffer.speech_started", *INTERRUPTED, kind, kind]


def test_one_word_is_enough_after_the_answer_has_ended(opens: Opens) -> None:
    talk, response_id = answering(opens, THREE_WORDS, seconds=3.0)
    talk.tell(ResponseDone(response_id))
    item_id = begins(talk, 2.5).one(Begin).item_id
    lasts(talk, 0.5)
    assert stops(talk, item_id, "Why?").types[0] == "input_audio_buffer.speech_started"


def test_speech_after_the_answer_was_played_is_shown_at_once(opens: Opens) -> None:
    talk, response_id = answering(opens, THREE_WORDS, seconds=3.0)
    talk.tell(ResponseDone(response_id))
    assert begins(talk, 3.1).types == ["input_audio_buffer.speech_started"]


def test_an_answer_whose_audio_is_still_played_is_protected(opens: Opens) -> None:
    talk, response_id = answering(opens, BACKCHANNELS, seconds=10.0)
    talk.tell(ResponseDone(response_id))
    item_id = begins(talk, 5.0).one(Begin).item_id
    lasts(talk, 0.4)
    assert stops(talk, item_id, "Okay.").events == []


def test_an_echo_in_the_first_seconds_does_not_interrupt(opens: Opens) -> None:
    talk, _ = answering(opens, GUARDED)
    item_id = begins(talk, 0.5).one(Begin).item_id
    lasts(talk, 1.5)
    assert stops(talk, item_id, "Once upon a time.").events == []
    assert begins(talk, 2.0).types == ["input_audio_buffer.speech_started", *INTERRUPTED]


def test_an_answer_without_audio_so_far_is_interrupted_at_once_and_leaves_no_empty_message(opens: Opens) -> None:
    talk = opens(llm=True, turn_taking=BACKCHANNELS)
    talk.hears(transcription={"model": "ears"})
    talk.spoke()
    first = [item.id for item in talk.session._state.items][-1]
    respond = talk.tell(Transcribed(first, "What time is it", 1.0)).one(Respond)
    talk.tell(ResponseText(respond.response_id, "It is noon.", 0.0))
    outcome = begins(talk, 0.2)
    assert outcome.types == ["input_audio_buffer.speech_started", *INTERRUPTED, "conversation.item.deleted"]
    (output,) = outcome.done["output"]
    assert outcome.event("conversation.item.deleted")["item_id"] == output["id"]
    second = outcome.one(Begin).item_id
    plan = stops(talk, second, "in Rome?").one(Respond).plan
    assert isinstance(plan, GenerateText)
    assert plan.request["messages"] == [{"role": "user", "content": "What time is it in Rome?"}]
    assert [item.role for item in talk.session._state.items] == ["user", "user"]


@pytest.mark.parametrize(("kind", "shown"), [("input_audio_buffer.commit", True), ("input_audio_buffer.clear", False)])
def test_what_the_client_does_with_the_audio_decides_as_well(opens: Opens, kind: str, shown: bool) -> None:
    talk, response_id = answering(opens, THREE_WORDS)
    begins(talk, 2.0)
    outcome = talk.say(kind)
    expected = ["input_audio_buffer.speech_started", *INTERRUPTED, *TURN[1:]] if shown else ["input_audio_buffer.cleared"]
    assert outcome.types == expected
    assert (Stop(response_id) in outcome) == shown


def test_turning_detection_off_shows_the_speech(opens: Opens) -> None:
    talk, _ = answering(opens, THREE_WORDS)
    begins(talk, 2.0)
    assert talk.hears(turn_detection=None).types == ["input_audio_buffer.speech_started", *INTERRUPTED, "session.updated"]


def test_speech_that_cannot_be_transcribed_is_shown(opens: Opens) -> None:
    talk, _ = answering(opens, THREE_WORDS)
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 0.5)
    talk.tell(SpeechStopped(talk.ms))
    outcome = talk.tell(NotTranscribed(item_id, BackendFailed("The audio could not be transcribed.")))
    assert outcome.types[0] == "input_audio_buffer.speech_started"
    assert "conversation.item.input_audio_transcription.failed" in outcome.types


def test_speech_again_before_the_words_are_known_interrupts(opens: Opens) -> None:
    talk, _ = answering(opens, BACKCHANNELS)
    begins(talk, 2.0)
    lasts(talk, 0.4)
    assert talk.tell(SpeechStopped(talk.ms)).events == []
    outcome = begins(talk, 0.5)
    assert outcome.types[0] == "input_audio_buffer.speech_started"
    assert outcome.types.count("input_audio_buffer.speech_started") == 2


def test_a_session_that_does_not_interrupt_shows_speech_at_once(opens: Opens) -> None:
    talk, _ = answering(opens, BACKCHANNELS)
    talk.hears(turn_detection={"interrupt_response": False})
    assert begins(talk, 2.0).types == ["input_audio_buffer.speech_started"]


def test_without_transcripts_the_length_alone_decides(opens: Opens) -> None:
    talk = opens(turn_taking=TurnTaking(interruption=InterruptionRules(after_s=0.5, min_words=3)))
    talk.hears(transcription=None)
    respond = talk.asked("Read this aloud.")
    talk.tell(ResponseAudio(respond.response_id, bytes(480), 10.0))
    assert begins(talk, 2.0).events == []
    assert lasts(talk, 0.5).types[0] == "input_audio_buffer.speech_started"


def test_where_the_server_plays_the_audio_a_noise_pauses_it_and_words_interrupt(opens: Opens) -> None:
    talk, response_id = answering(opens, PAUSABLE)
    talk.tell(Played(response_id, 2000))
    outcome = begins(talk, 2.0)
    assert outcome.events == []
    assert outcome.one(PauseOutput) == PauseOutput(response_id)
    item_id = outcome.one(Begin).item_id
    lasts(talk, 0.4)
    interrupted = talk.tell(TextReady(item_id, "Wait"))
    assert interrupted.types == ["input_audio_buffer.speech_started", *INTERRUPTED, "conversation.item.truncated"]
    assert interrupted.event("conversation.item.truncated")["audio_end_ms"] == 2000
    assert Stop(response_id) in interrupted


def test_where_the_server_plays_the_audio_a_false_interruption_resumes(opens: Opens) -> None:
    talk, response_id = answering(opens, PAUSABLE)
    talk.tell(Played(response_id, 2000))
    begins(talk, 2.0)
    lasts(talk, 0.3)
    assert [type(effect) for effect in talk.tell(SpeechStopped(talk.ms))] == [Commit]
    assert talk.wait(1.9) == []
    assert talk.wait(0.1) == [ResumeOutput(response_id)]
    assert talk.session.deadline() == NOW + 3600


def test_a_late_transcript_of_a_false_interruption_changes_nothing(opens: Opens) -> None:
    talk, response_id = answering(opens, PAUSABLE)
    talk.tell(Played(response_id, 2000))
    item_id = begins(talk, 2.0).one(Begin).item_id
    lasts(talk, 0.3)
    talk.tell(SpeechStopped(talk.ms))
    talk.wait(2.0)
    assert talk.tell(Delta(item_id, "Late")) == []
    assert talk.tell(Transcribed(item_id, "Late", 0.3)) == []


def test_the_history_of_an_interrupted_answer_ends_where_its_playback_did(opens: Opens) -> None:
    talk, response_id = answering(opens, TurnTaking(interruption=InterruptionRules()))
    talk.tell(ResponseText(response_id, " He had three daughters.", 10.0))
    talk.tell(ResponseAudio(response_id, bytes(480), 5.0))
    talk.tell(ResponseDone(response_id))
    talk.tell(Played(response_id, 10_000))
    outcome = begins(talk, 10.0)
    assert outcome.types == ["input_audio_buffer.speech_started", "conversation.item.truncated"]
    assert Stop(response_id) in outcome
    asked = talk.asked("Go on.")
    assert isinstance(asked.plan, GenerateText)
    assert asked.plan.request["messages"][1]["content"] == "Once upon a time, there was a king."


def test_an_answer_of_which_nothing_was_played_leaves_the_history(opens: Opens) -> None:
    talk, response_id = answering(opens, TurnTaking())
    talk.tell(Played(response_id, 0))
    outcome = begins(talk, 0.1)
    assert outcome.types[-2:] == ["conversation.item.truncated", "conversation.item.deleted"]


def test_an_answer_that_was_played_to_its_end_stays_whole(opens: Opens) -> None:
    talk, response_id = answering(opens, TurnTaking(), seconds=2.0)
    talk.tell(ResponseDone(response_id))
    talk.tell(Played(response_id, 2000))
    assert begins(talk, 2.0).types == ["input_audio_buffer.speech_started"]


def test_a_noise_before_the_answer_does_not_lose_the_question(opens: Opens) -> None:
    talk = opens(llm=True)
    talk.hears(transcription={"model": "ears"})
    talk.spoke()
    first = [item.id for item in talk.session._state.items][-1]
    talk.tell(Transcribed(first, "What time is it?", 1.0))
    noise = begins(talk, 0.2).one(Begin).item_id
    plan = stops(talk, noise, "").one(Respond).plan
    assert isinstance(plan, GenerateText)
    assert plan.request["messages"] == [{"role": "user", "content": "What time is it?"}]


def test_a_noise_after_the_answer_is_not_answered(opens: Opens) -> None:
    talk, response_id = answering(opens, TurnTaking(), seconds=1.0)
    talk.tell(ResponseDone(response_id))
    noise = begins(talk, 2.0).one(Begin).item_id
    assert stops(talk, noise, "").all(Respond) == []


def test_a_cancelled_answer_ends_where_its_playback_did(opens: Opens) -> None:
    talk, response_id = answering(opens, PAUSABLE)
    talk.tell(Played(response_id, 2000))
    outcome = talk.say("response.cancel")
    assert outcome.types == [*INTERRUPTED, "conversation.item.truncated"]
