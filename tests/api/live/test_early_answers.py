from __future__ import annotations

import numpy as np
import pytest

from open_speech.api.live.early_answers import MAX_HOLD_MS
from open_speech.api.live.effects import (
    AnswerAudio,
    AnswerDone,
    AnswerFailed,
    AnswerText,
    AnswerTool,
    Generate,
    Release,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    StopAnswer,
    TextReady,
    Transcribed,
    Words,
)
from open_speech.api.live.state import Limits
from open_speech.api.realtime.early_answers import MAX_TRIES
from open_speech.errors import BackendFailed
from tests.api.live.conftest import RATE, RESPONSES, Opens, Outcome, Talk

QUESTION = "What is the weather like?"
EARLY = Limits(early_answers=True)


def paused(opens: Opens, text: str = QUESTION, **config: object) -> tuple[Talk, Generate]:
    """A user who has asked something, and is silent for 200 ms; the answer is begun early."""
    talk = opens(limits=EARLY, **config)
    assert next(talk.turns) == 1
    talk.tell(SpeechStarted(0))
    talk.live(1200)
    generate = talk.tell(TextReady(1, text)).one(Generate)
    assert generate.is_held
    return talk, generate


def reports(talk: Talk, generate: Generate, *, done: bool = True) -> Outcome:
    sound = np.full(RATE, 0.5, np.float32)
    told = talk.tell(AnswerText(generate.answer_id, "It is warm.", 0.0), AnswerAudio(generate.answer_id, sound))
    return Outcome([*told, *(talk.tell(AnswerDone(generate.answer_id)) if done else [])])


def ends(talk: Talk, text: str = QUESTION) -> Outcome:
    """End the turn, with this text."""
    stopped = talk.tell(SpeechStopped(1000))
    return Outcome([*stopped, *talk.tell(*([Words(1, text)] if text else []), Transcribed(1, text))])


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("text", [QUESTION, "what is the weather like"])
def test_an_early_answer_is_silent_until_the_turn_ends_with_its_text(opens: Opens, done: bool, text: str) -> None:
    talk, generate = paused(opens)
    assert reports(talk, generate, done=done) == []
    waiting = talk.live(500)
    assert not waiting.played.any() and waiting.text("output") == ""
    ended = ends(talk, text)
    assert ended.one(Release).answer_id == generate.answer_id
    assert not ended.all(Generate) and not ended.all(StopAnswer)
    rest = talk.live(1500)
    assert (rest.played != 0).sum() == RATE
    if not done:
        rest += [*talk.tell(AnswerDone(generate.answer_id)), *talk.live(400)]
    assert Outcome(rest).text("output") == " It is warm."
    following = talk.turn("And now?").one(Generate)
    assert [message["content"] for message in following.request["messages"][1:]] == [text, "It is warm.", "And now?"]


def test_the_request_of_an_early_answer_is_that_of_the_answer(opens: Opens) -> None:
    _, generate = paused(opens)
    usual = opens().turn(QUESTION).one(Generate)
    assert generate.request == usual.request


def test_another_text_drops_the_answer_and_makes_another_one(opens: Opens) -> None:
    talk, generate = paused(opens)
    reports(talk, generate)
    ended = ends(talk, f"{QUESTION} In Paris?")
    assert ended.one(StopAnswer).answer_id == generate.answer_id
    again = ended.one(Generate)
    assert not again.is_held and again.request["messages"][-1]["content"] == f"{QUESTION} In Paris?"
    assert not talk.live(500).played.any()


def test_a_turn_without_a_text_drops_the_answer(opens: Opens) -> None:
    talk, generate = paused(opens)
    ended = ends(talk, "")
    assert ended.one(StopAnswer).answer_id == generate.answer_id
    assert not ended.all(Generate)


def test_a_user_who_goes_on_drops_the_answer_and_the_next_pause_begins_another(opens: Opens) -> None:
    talk, generate = paused(opens)
    assert talk.tell(SpeechResumed()).one(StopAnswer).answer_id == generate.answer_id
    assert reports(talk, generate) == []
    later = talk.tell(TextReady(1, f"{QUESTION} In Paris?")).one(Generate)
    assert later.answer_id != generate.answer_id
    assert ends(talk, f"{QUESTION} In Paris?").one(Release).answer_id == later.answer_id


def test_only_so_many_answers_are_begun_in_one_turn(opens: Opens) -> None:
    talk, _ = paused(opens)
    for number in range(1, MAX_TRIES):
        assert len(talk.tell(TextReady(1, f"{QUESTION} {number}")).all(Generate)) == 1
    assert talk.tell(TextReady(1, f"{QUESTION} more")) == []


@pytest.mark.parametrize("report", [AnswerTool(1, 0, "call_1", "delegate", "{}"), AnswerFailed(1, BackendFailed("x"))])
def test_an_answer_that_calls_a_tool_or_fails_is_made_again_at_the_end(opens: Opens, report: AnswerTool | AnswerFailed) -> None:
    talk, generate = paused(opens, delegation=RESPONSES)
    assert generate.answer_id == 1
    dropped = talk.tell(report)
    assert dropped.one(StopAnswer).answer_id == 1 and dropped.events == []
    assert talk.tell(TextReady(1, QUESTION)) == []
    assert not ends(talk).one(Generate).is_held


def test_what_the_application_adds_meanwhile_is_in_the_answer(opens: Opens) -> None:
    talk, generate = paused(opens)
    talk.say("session.thinking.append", content="It is raining.", delegation_id=None)
    ended = ends(talk)
    assert ended.one(StopAnswer).answer_id == generate.answer_id
    assert "raining" in str(ended.one(Generate).request)


def test_an_answer_is_not_held_for_ever(opens: Opens) -> None:
    talk, generate = paused(opens)
    assert talk.live(MAX_HOLD_MS).all(StopAnswer) == []
    assert talk.live(100).one(StopAnswer).answer_id == generate.answer_id


def test_nothing_is_begun_early_beside_an_answer_or_without_words_or_when_it_is_off(opens: Opens) -> None:
    talk = opens(limits=EARLY)
    talk.answered(talk.turn("Tell me.").one(Generate), "One two three four five six.", seconds=5)
    talk.live(1000)
    talk.tell(SpeechStarted(talk.ms))
    assert talk.tell(TextReady(2, QUESTION)) == []
    quiet = opens(limits=EARLY)
    quiet.tell(SpeechStarted(0))
    assert quiet.tell(TextReady(1, " ")) == []
    for off in (opens(), opens(limits=EARLY, llm=False)):
        off.tell(SpeechStarted(0))
        assert off.tell(TextReady(1, QUESTION)) == []
