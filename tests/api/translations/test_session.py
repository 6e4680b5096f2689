"""A translation session: events and reports in, effects out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from open_speech.api.translations.session import (
    AppendAudio,
    Begin,
    Delta,
    Done,
    Drain,
    Effect,
    Finish,
    OutputAudio,
    OutputText,
    Session,
    Translate,
    Translated,
)
from open_speech.api.translations.settings import Abilities
from open_speech.errors import BackendFailed
from open_speech.http.ws_messages import POLICY, Close, Send
from open_speech.recognition.live.turn_detection import Paused, Started, Stopped


def session(*, translates: bool = True, has_llm: bool = True, **audio: Any) -> Session:
    able = Abilities("ear", translates, has_llm, frozenset({"en", "es", "ja"}), {"whisper-1": "stt"}.get)
    return Session(id="sess_1", model="m", abilities=able, expires_at=5.0, configured={"audio": audio} if audio else None)


def say(one: Session, kind: str, **fields: Any) -> list[Effect]:
    return one.receive(json.dumps({"type": kind, **fields}))


def events(effects: list[Effect]) -> list[dict[str, Any]]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def error(effects: list[Effect]) -> dict[str, Any]:
    (event,) = events(effects)
    assert event["type"] == "error"
    return dict(event["error"])


def text(effects: list[Effect]) -> str:
    return "".join(event["delta"] for event in events(effects))


SPANISH = {"output": {"language": "es"}}
SHOWN = {"input": {"transcription": {"model": "whisper-1"}}}


def test_a_session_begins_with_its_whole_configuration() -> None:
    (created,) = events(session().begin())
    assert created["type"] == "session.created"
    assert created["session"]["audio"]["output"] == {"language": "en"}
    one = session()
    (updated,) = events(say(one, "session.update", session={"audio": SPANISH}))
    assert (updated["type"], updated["session"]["audio"]["output"]) == ("session.updated", {"language": "es"})


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": "response.create"}', "invalid_event", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        ('{"type": "session.close", "why": 1}', "unknown_parameter", "why"),
        ('{"type": "session.input_audio_buffer.append", "audio": "?"}', "invalid_value", "audio"),
        ('{"type": "session.input_audio_buffer.append", "audio": "AAAA"}', "invalid_value", "audio"),
        ('{"type": "session.update", "session": {"audio": {"output": {"language": "fr"}}}}', "unsupported_value",
         "session.audio.output.language"),
    ],
)  # fmt: skip
def test_an_invalid_event_is_answered_with_its_field_and_changes_nothing(message: str, code: str, param: str | None) -> None:
    one = session()
    problem = error(one.receive(message))
    assert (problem["code"], problem["param"]) == (code, param)
    assert not one.is_busy


def test_an_error_has_the_id_of_the_event() -> None:
    assert error(say(session(), "session.update", session={"x": 1}, event_id="mine"))["event_id"] == "mine"


def test_audio_is_passed_on() -> None:
    assert say(session(), "session.input_audio_buffer.append", audio=base64.b64encode(b"abcd").decode()) == [AppendAudio(b"abcd")]
    assert say(session(), "session.input_audio_buffer.append", audio="") == []


@pytest.mark.parametrize(
    ("translates", "audio", "models"),
    [
        (True, {}, {"english": "ear"}),
        (True, SHOWN, {"english": "ear", "source": "whisper-1"}),
        (False, {}, {"source": "ear"}),
        (True, SPANISH, {"source": "ear"}),
        (True, SPANISH | SHOWN, {"source": "whisper-1"}),
    ],
)
def test_only_the_recognitions_that_are_needed_are_made(*, translates: bool, audio: dict[str, Any], models: dict[str, str]) -> None:
    one = session(translates=translates, **audio)
    assert one.turn_events([Started(1.0), Paused(2.0)]) == [Begin(1, 1.0, models)]
    assert one.turn_events([Stopped(3.0)]) == [Finish(1, 3.3)]


def test_a_clause_is_translated_while_its_utterance_goes_on_and_the_source_is_not_shown_unasked() -> None:
    one = session(**SPANISH)
    one.turn_events([Started(0.0)])
    assert one.report(Delta(1, "source", "The train is late.", 2.0)) == []
    assert one.report(Delta(1, "source", " We", 3.0)) == [Translate("The train is late.", "es", 3.0)]
    assert (one.pending, one.is_busy) == (1, True)
    assert one.report(Done(1, "source", 4.0)) == [Translate("We", "es", 4.0)]
    one.report(Translated())
    assert one.report(Translated()) == []
    assert not one.is_busy


def test_the_source_is_shown_if_the_client_asks_and_english_is_only_spoken() -> None:
    one = session(**SHOWN)
    one.turn_events([Started(0.0), Stopped(1.0), Started(2.0)])
    assert text(one.report(Delta(1, "source", "Guten Tag.", 1.0))) == "Guten Tag."
    assert one.report(Delta(2, "source", "Wie geht es?", 3.0)) == []
    assert text(one.report(Done(1, "source", 3.0))) == " Wie geht es?"
    assert one.report(Done(2, "source", 3.0)) == []
    assert one.report(Delta(1, "english", "Good day.", 3.0)) == []
    assert one.report(Done(1, "english", 4.0)) == [Translate("Good day.", "en", 4.0, is_translated=True)]


@pytest.mark.parametrize(("texts", "joined"), [(["Hola.", "Adiós."], "Hola. Adiós."), (["今日は。", "明日。"], "今日は。明日。")])
def test_clauses_are_separated_where_the_script_uses_spaces(texts: list[str], joined: str) -> None:
    one = session(**SPANISH)
    assert "".join(text(one.report(OutputText(part, 1.0, begins=True))) for part in texts) == joined


def test_text_and_audio_name_the_time_of_their_source() -> None:
    one = session()
    (spoken,) = events(one.report(OutputAudio(b"ab", 1.25)))
    assert {name: spoken[name] for name in ("type", "delta", "sample_rate", "channels", "format", "elapsed_ms")} == {
        "type": "session.output_audio.delta", "delta": base64.b64encode(b"ab").decode(), "sample_rate": 24_000, "channels": 1,
        "format": "pcm16", "elapsed_ms": 1250,
    }  # fmt: skip
    (written,) = events(one.report(OutputText("Hi", 1.25, begins=True)))
    assert (written["type"], written["delta"], written["elapsed_ms"]) == ("session.output_transcript.delta", "Hi", 1250)


def test_a_change_of_the_language_applies_to_the_next_utterance() -> None:
    one = session(**SPANISH)
    one.turn_events([Started(0.0)])
    say(one, "session.update", session={"audio": {"output": {"language": "ja"}}})
    one.report(Delta(1, "source", "One", 1.0))
    (first,) = one.report(Done(1, "source", 1.0))
    one.turn_events([Stopped(1.0), Started(2.0)])
    one.report(Delta(2, "source", "Two", 3.0))
    (second,) = one.report(Done(2, "source", 3.0))
    assert isinstance(first, Translate) and isinstance(second, Translate)
    assert (first.language, second.language) == ("es", "ja")


def test_errors_are_events_and_the_session_goes_on() -> None:
    one = session(**SPANISH)
    one.turn_events([Started(0.0)])
    one.report(Delta(1, "source", "Heard", 1.0))
    failed, rest = one.report(Done(1, "source", 1.0, BackendFailed("The engine broke.")))
    assert error([failed])["code"] == "backend_failed"
    assert rest == Translate("Heard", "es", 1.0)
    assert error(one.report(Translated(BackendFailed("No voice."))))["message"] == "No voice."
    assert one.turn_events([Started(2.0)]) == [Begin(2, 2.0, {"source": "ear"})]


def test_close_waits_for_everything_that_was_said() -> None:
    one = session(**SPANISH)
    one.turn_events([Started(0.0)])
    assert say(one, "session.close") == [Drain()]
    assert say(one, "session.update", session={}) == []
    assert one.drained() == [Finish(1, None)]
    one.report(Delta(1, "source", "Bye", 1.0))
    assert one.report(Done(1, "source", 1.0)) == [Translate("Bye", "es", 1.0)]
    closed, close = one.report(Translated())
    assert events([closed])[0]["type"] == "session.closed"
    assert close == Close()
    assert one.report(OutputText("late", 1.0)) == []


def test_silence_closes_at_once() -> None:
    one = session()
    say(one, "session.close")
    assert [event["type"] for event in events(one.drained())] == ["session.closed"]


def test_an_idle_and_an_old_session_end_with_their_reason() -> None:
    idle, closed = session().idle()
    assert (error([idle])["code"], closed) == ("session_idle_timeout", Close(POLICY))
    one = session()
    expired, closed = one.expire()
    assert (error([expired])["code"], closed) == ("session_expired", Close())
    assert one.idle() == one.turn_events([Started(0.0)]) == []
