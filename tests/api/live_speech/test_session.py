from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.live_speech.messages import Cancel, Config, End, Flush, Text
from open_speech.api.live_speech.session import (
    SESSION_CHARS,
    WAITING_MESSAGES,
    AudioChunk,
    CueReached,
    Effect,
    Failed,
    Feed,
    Finish,
    Finished,
    Prepare,
    Session,
    Start,
    Stop,
)
from open_speech.errors import BackendFailed, NothingToSpeak, UnknownVoice
from open_speech.http.ws_messages import Close, Send, SendAudio
from open_speech.synthesis.stream import Cue

CONFIG = Config(voice="ann")
FLUSHED = Send({"type": "flushed"})
CANCELLED = Send({"type": "cancelled"})


def ready_session(config: Config = CONFIG) -> Session:
    session = Session()
    assert session.receive(config) == [Prepare(config)]
    ready = session.prepared(config, model="mouth", voice="ann", sample_rate=24_000)
    assert sent(ready) == ["ready"]
    return session


def sent(effects: list[Effect]) -> list[str]:
    return [effect.message["type"] for effect in effects if isinstance(effect, Send)]


def error_in(effects: list[Effect]) -> dict[str, Any]:
    (error,) = [effect.message["error"] for effect in effects if isinstance(effect, Send) and effect.message["type"] == "error"]
    return dict(error)


def done(characters: int, seconds: float) -> list[Effect]:
    return [Send({"type": "done", "characters": characters, "seconds": seconds}), Close(1000)]


def test_ready_tells_what_the_names_stand_for() -> None:
    session = Session()
    session.receive(Config(response_format="mp3", encoding="base64"))
    (ready,) = session.prepared(Config(response_format="mp3", encoding="base64"), model="kokoro", voice="af_heart", sample_rate=None)
    assert ready == Send(
        {"type": "ready", "model": "kokoro", "voice": "af_heart", "response_format": "mp3", "sample_rate": None, "encoding": "base64"}
    )


def test_the_first_text_starts_an_utterance_and_the_next_ones_feed_it() -> None:
    session = ready_session()
    assert session.receive(Text(text="Hel")) == [Start(1, CONFIG), Feed("Hel")]
    assert session.receive(Text(text="lo. ")) == [Feed("lo. ")]
    assert session.receive(Text(text=" ")) == [Feed(" ")]


def test_space_alone_starts_nothing() -> None:
    assert ready_session().receive(Text(text=" \n")) == []


def test_text_before_any_config_is_an_error_that_names_it() -> None:
    assert error_in(Session().receive(Text(text="Hello.")))["code"] == "missing_required_parameter"


def test_sound_and_headings_go_out_in_order() -> None:
    session = ready_session()
    session.receive(Text(text="Hello."))
    assert session.report(CueReached(1, Cue(0.0, "Hello."))) == [Send({"type": "sentence", "text": "Hello.", "start": 0.0})]
    assert session.report(CueReached(1, Cue(0.5, "here", is_mark=True))) == [Send({"type": "mark", "name": "here", "start": 0.5})]
    assert session.report(AudioChunk(1, b"abc")) == [SendAudio(b"abc")]


def test_sound_goes_out_as_json_when_that_was_asked() -> None:
    session = ready_session(Config(encoding="base64"))
    session.receive(Text(text="Hello."))
    assert session.report(AudioChunk(1, b"abc")) == [Send({"type": "audio", "audio": "YWJj"})]


def test_a_flush_is_answered_when_all_of_the_text_was_sent() -> None:
    session = ready_session()
    session.receive(Text(text="Hello."))
    assert session.receive(Flush()) == [Finish()]
    assert session.report(AudioChunk(1, b"x")) == [SendAudio(b"x")]
    assert session.report(Finished(1, 1.5)) == [FLUSHED]


def test_a_flush_of_nothing_is_answered_at_once() -> None:
    assert ready_session().receive(Flush()) == [FLUSHED]


def test_what_comes_after_a_flush_waits_for_its_turn() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    session.receive(Flush())
    assert session.receive(Text(text="Two.")) == []
    assert session.receive(Text(text=" More.")) == []
    assert session.receive(Flush()) == []
    assert session.report(Finished(1, 1.0)) == [FLUSHED, Start(2, CONFIG), Feed("Two."), Feed(" More."), Finish()]
    assert session.report(Finished(2, 1.0)) == [FLUSHED]


def test_end_finishes_what_is_there_and_closes() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    session.receive(Flush())
    assert session.receive(End()) == []
    assert session.report(Finished(1, 1.25)) == [FLUSHED, *done(4, 1.25)]


def test_end_without_a_flush_speaks_the_text_before_it_closes() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    assert session.receive(End()) == [Finish()]
    assert session.report(Finished(1, 2.0)) == done(4, 2.0)


def test_end_at_once_closes_at_once() -> None:
    assert Session().receive(End()) == done(0, 0.0)


def test_after_the_end_nothing_is_answered() -> None:
    session = ready_session()
    session.receive(End())
    assert session.receive(Text(text="One.")) == []
    assert session.receive(Cancel()) == []
    assert session.report(AudioChunk(0, b"x")) == []


def test_a_cancel_stops_the_sound_and_forgets_what_waits() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    session.receive(Flush())
    session.receive(Text(text="Two."))
    assert session.receive(Cancel()) == [Stop(), CANCELLED]
    assert session.report(AudioChunk(1, b"late")) == []
    assert session.report(CueReached(1, Cue(9.0, "late"))) == []
    assert session.report(Finished(1, 9.0)) == []
    assert session.receive(Text(text="Three.")) == [Start(2, CONFIG), Feed("Three.")]


def test_a_cancel_of_nothing_is_answered() -> None:
    assert ready_session().receive(Cancel()) == [CANCELLED]


@pytest.mark.parametrize("flushed", [True, False])
def test_a_cancel_after_the_end_closes(flushed: bool) -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    if flushed:
        session.receive(Flush())
    session.receive(End())
    assert session.receive(Cancel()) == [Stop(), CANCELLED, *done(4, 0.0)]


def test_a_failure_is_told_and_the_rest_of_its_text_is_dropped() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    effects = session.report(Failed(1, BackendFailed("It broke.")))
    assert error_in(effects) == {"message": "It broke.", "type": "server_error", "param": None, "code": "backend_failed"}
    assert session.receive(Text(text=" and the rest of it")) == []
    assert session.receive(Flush()) == [FLUSHED]
    assert session.receive(Text(text="Two.")) == [Start(2, CONFIG), Feed("Two.")]


def test_a_failure_after_the_flush_still_answers_the_flush() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    session.receive(Flush())
    assert sent(session.report(Failed(1, BackendFailed("It broke.")))) == ["error", "flushed"]
    assert session.receive(Text(text="Two.")) == [Start(2, CONFIG), Feed("Two.")]


def test_text_that_holds_nothing_to_speak_is_no_failure() -> None:
    session = ready_session()
    session.receive(Text(text="🎉"))
    session.receive(Flush())
    assert session.report(Failed(1, NothingToSpeak("nothing"))) == [FLUSHED]


def test_a_config_that_cannot_be_spoken_leaves_the_one_before_it() -> None:
    session = ready_session()
    other = Config(voice="nobody")
    assert session.receive(other) == [Prepare(other)]
    assert session.receive(Text(text="One.")) == []
    effects = session.refused(UnknownVoice("no such voice", param="voice"))
    assert error_in(effects)["param"] == "voice"
    assert effects[1:] == [Start(1, CONFIG), Feed("One.")]


def test_a_config_in_the_midst_of_a_text_is_refused() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    assert error_in(session.receive(Config(voice="bob")))["param"] == "type"


def test_a_config_between_two_texts_counts_for_the_second() -> None:
    session, other = ready_session(), Config(voice="bob")
    for message in (Text(text="One."), Flush(), other, Text(text="Two.")):
        session.receive(message)
    assert session.report(Finished(1, 1.0)) == [FLUSHED, Prepare(other)]
    assert session.prepared(other, model="mouth", voice="bob", sample_rate=None)[1:] == [Start(2, other), Feed("Two.")]


def test_a_cancel_keeps_a_config_that_waits() -> None:
    session, other = ready_session(), Config(voice="bob")
    for message in (Text(text="One."), Flush(), Text(text="Two."), other):
        session.receive(message)
    assert session.receive(Cancel()) == [Stop(), CANCELLED, Prepare(other)]


def test_more_text_than_a_session_takes_ends_it() -> None:
    session = ready_session()
    session.receive(Text(text="a" * SESSION_CHARS))
    effects = session.receive(Text(text="b"))
    assert effects[0] == Stop()
    assert error_in(effects)["code"] == "string_above_max_length"
    assert effects[-1] == Close(1008)
    assert session.report(AudioChunk(1, b"late")) == []


def test_more_messages_than_may_wait_end_the_session() -> None:
    session = ready_session()
    session.receive(Text(text="One."))
    session.receive(Flush())
    for _ in range(WAITING_MESSAGES):
        assert session.receive(Flush()) == []
    effects = session.receive(Flush())
    assert error_in(effects)["code"] == "server_overloaded"
    assert effects[-1] == Close(1013)


def test_silence_for_too_long_ends_the_session() -> None:
    effects = ready_session().idle()
    assert sent(effects) == ["error"]
    assert effects[-1] == Close(1008)
