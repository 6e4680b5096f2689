from __future__ import annotations

import pytest

from open_speech.api.live.effects import (
    BeginTurn,
    ClearOutput,
    EndTurn,
    Generate,
    NotTranscribed,
    SpeechStarted,
    SpeechStopped,
    StopAnswer,
    Transcribed,
    Words,
)
from open_speech.api.live.state import Limits
from open_speech.dialogue.interruption import InterruptionRules, backchannels
from open_speech.errors import BackendFailed
from tests.api.live.conftest import RESPONSES, Opens, Talk


def speaking(opens: Opens, rules: InterruptionRules | None = None, **config: object) -> Talk:
    """A session whose answer of ten words and five seconds has been played for one second."""
    talk = opens(limits=Limits(interruption=rules or InterruptionRules()), **config)
    talk.answered(talk.turn("Tell me.").one(Generate), "One two three four five six seven eight nine ten.", seconds=5)
    assert talk.live(1000).played.all()
    return talk


def test_speech_pauses_the_answer_and_words_end_it(opens: Opens) -> None:
    talk = speaking(opens)
    started = talk.tell(SpeechStarted(talk.ms))
    assert started.one(BeginTurn).turn == 2
    assert not talk.live(500).played.any()
    assert talk.tell(Words(2, "Stop")).text("input") == " Stop"
    quiet = talk.live(1000)
    assert not quiet.played.any() and quiet.text("output") == ""
    talk.tell(SpeechStopped(talk.ms - 500))
    generate = talk.tell(Transcribed(2, "Stop")).one(Generate)
    assert [message["content"] for message in generate.request["messages"][1:]] == ["Tell me.", "One two three", "Stop"]


def test_a_noise_pauses_the_answer_which_goes_on(opens: Opens) -> None:
    talk = speaking(opens)
    talk.tell(SpeechStarted(talk.ms))
    assert not talk.live(300).played.any()
    assert talk.tell(SpeechStopped(talk.ms)).one(EndTurn).turn == 2
    assert not talk.live(300).played.any()
    assert talk.tell(Transcribed(2, "")).all(Generate) == []
    rest = talk.live(5000)
    assert (rest.played != 0).sum() == 4 * 24_000
    assert rest.text("output").endswith("nine ten.")


def test_the_answer_goes_on_two_seconds_after_speech_without_words(opens: Opens) -> None:
    talk = speaking(opens)
    talk.tell(SpeechStarted(talk.ms))
    talk.live(500)
    talk.tell(SpeechStopped(talk.ms))
    assert not talk.live(2000).played.any()
    assert talk.live(200).played.any()
    assert not talk.tell(Words(2, "Wait")).all(Generate) and not talk.live(200).played.any(), "late words still interrupt"


def test_a_backchannel_does_not_interrupt_and_is_not_answered(opens: Opens) -> None:
    talk = speaking(opens, InterruptionRules(backchannels=backchannels(["auto"], "en")))
    outcome = talk.turn("Mhm.", ms=400)
    assert outcome.played.all() and outcome.text("input") == " Mhm."
    assert outcome.all(Generate) == [] and outcome.all(StopAnswer) == []


def test_speech_in_the_guard_time_does_not_interrupt(opens: Opens) -> None:
    talk = speaking(opens, InterruptionRules(echo_guard_s=3))
    outcome = talk.turn("One two.", ms=500)
    assert outcome.played.all() and outcome.all(Generate) == []


def test_speech_before_the_answer_is_heard_continues_the_turn(opens: Opens) -> None:
    talk = opens(limits=Limits(interruption=InterruptionRules(echo_guard_s=3)))
    first = talk.turn("I would like").one(Generate)
    outcome = talk.turn("a ticket.")
    assert outcome.one(StopAnswer).answer_id == first.answer_id
    assert [message["content"] for message in outcome.one(Generate).request["messages"][1:]] == ["I would like a ticket."]


def test_an_interruption_keeps_delegated_work(opens: Opens) -> None:
    talk = opens(delegation={**RESPONSES, "acknowledgement_delay_ms": 60_000})
    generate = talk.turn("Switch it on.").one(Generate)
    from open_speech.api.live.effects import AnswerDone, AnswerTool

    talk.tell(AnswerTool(generate.answer_id, 0, "call_1", "light", "{"), SpeechStarted(talk.ms), Words(2, "please"))
    done = talk.tell(AnswerTool(generate.answer_id, 0, "", "", "}"), AnswerDone(generate.answer_id))
    assert [event["type"] for event in done.nested] == ["response.output_item.done", "response.completed"]


def test_a_turn_that_cannot_be_transcribed_is_an_error_and_the_answer_goes_on(opens: Opens) -> None:
    talk = speaking(opens)
    talk.tell(SpeechStarted(talk.ms), SpeechStopped(talk.ms))
    outcome = talk.tell(NotTranscribed(2, BackendFailed("The runner has died.")))
    assert (outcome.error["code"], outcome.error["message"]) == ("pipeline_error", "The runner has died.")
    assert talk.live(500).played.any()


def test_turns_are_answered_in_order(opens: Opens) -> None:
    talk = opens()
    talk.tell(SpeechStarted(0), SpeechStopped(500), SpeechStarted(1000), SpeechStopped(1500))
    assert talk.tell(Words(2, "second"), Transcribed(2, "second")).events == []
    outcome = talk.tell(Words(1, "First"), Transcribed(1, "First"))
    assert outcome.text("input") == " First second"
    assert outcome.one(Generate).request["messages"][-1]["content"] == "First second"


@pytest.mark.parametrize("words", ["", "Hello"])
def test_speech_after_the_answer_has_ended_is_a_turn(opens: Opens, words: str) -> None:
    talk = speaking(opens)
    talk.live(4000)
    assert len(talk.turn(words).all(Generate)) == bool(words)


def test_audio_that_is_not_heard_yet_is_held_in_a_pause_and_dropped_by_an_interruption(opens: Opens) -> None:
    talk = speaking(opens)
    assert not talk.session.is_output_held
    assert talk.tell(SpeechStarted(talk.ms)).all(ClearOutput) == []
    assert talk.session.is_output_held
    assert len(talk.tell(Words(2, "Wait a minute")).all(ClearOutput)) == 1
    assert not talk.session.is_output_held
