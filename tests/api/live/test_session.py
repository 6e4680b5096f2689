from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from open_speech.api.live.effects import Generate, Hear, Play, Reflect, SendTo
from open_speech.api.live.state import Limits
from open_speech.http.ws_messages import Close
from tests.api.live.conftest import NOW, RATE, Opens


def test_output_is_one_delta_of_100_ms_for_each_100_ms_of_input(opens: Opens) -> None:
    plays = opens().live(3000).all(Play)
    assert [(play.start_ms, play.end_ms) for play in plays] == [(at, at + 100) for at in range(0, 3000, 100)]
    assert {len(play.samples) for play in plays} == {RATE // 10}
    assert not any(play.samples.any() for play in plays)


@pytest.mark.parametrize(("format", "width"), [({"type": "audio/pcm", "rate": 16_000}, 2), ({"type": "audio/pcmu"}, 1)])
def test_the_clock_counts_samples_of_the_format(opens: Opens, format: dict[str, object], width: int) -> None:
    assert len(opens(audio={"format": format}).live(1000, width=width).all(Play)) == 10


def test_input_of_any_length_keeps_its_bytes(opens: Opens) -> None:
    talk = opens()
    sent = bytes(range(256)) * 100
    effects = []
    for start in range(0, len(sent), 962):
        talk.now += 0.02
        piece = base64.b64encode(sent[start : start + 962]).decode()
        effects += [*talk.say("session.input_audio.append", audio=piece), *talk.advance()]
    heard = b"".join(effect.data for effect in effects if isinstance(effect, Hear))
    assert heard == sent
    assert heard == b"".join(effect.data for effect in effects if isinstance(effect, Reflect))


def test_nothing_is_played_while_the_client_sends_nothing(opens: Opens) -> None:
    talk = opens()
    talk.answered(talk.turn("Hello.").one(Generate), "Hi.", seconds=2)
    talk.now += 20
    assert talk.advance() == []
    assert talk.live(100).played.any()


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        ("", "invalid_audio"),
        ("AA==", "invalid_audio"),
        ("no base64!", "invalid_audio"),
        (base64.b64encode(b"abc").decode(), "invalid_audio"),
    ],
)
def test_wrong_audio_is_an_error_and_moves_no_clock(opens: Opens, audio: str, code: str) -> None:
    talk = opens()
    error = talk.say("session.input_audio.append", audio=audio, event_id="e1").error
    assert (error["code"], error["param"], error["client_event_id"]) == (code, "audio", "e1")
    assert talk.advance() == []


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": "conversation.item.create"}', "invalid_event", "type"),
        ('{"type": "decision.create", "event_id": "x"}', "unsupported_event", "type"),
        ('{"type": "session.start", "session": {}}', "session_already_started", "type"),
        ('{"type": "session.close", "now": 1}', "unknown_parameter", "now"),
        ('{"type": "session.close", "event_id": 7}', "invalid_value", "event_id"),
        ('{"type": "session.commentary.append", "content": "x"}', "missing_required_parameter", "delegation_id"),
        (json.dumps({"type": "session.thinking.append", "content": "x" * 2001, "delegation_id": None}), "invalid_value", "content"),
        ('{"type": "response.create"}', "invalid_event", "type"),
    ],
)
def test_an_invalid_event_is_an_error_and_the_session_goes_on(opens: Opens, text: str, code: str, param: str | None) -> None:
    talk = opens()
    error = talk.write(text).error
    assert (error["code"], error.get("param")) == (code, param)
    assert len(talk.live(100).all(Play)) == 1


def test_muted_input_is_silence_and_the_clock_goes_on(opens: Opens) -> None:
    talk = opens()
    assert talk.say("session.input_audio.mute", event_id="m").event("session.input_audio.muted")["client_event_id"] == "m"
    muted = talk.live(200)
    assert all(effect.muted for effect in muted.all(Hear)) and len(muted.all(Play)) == 2
    assert talk.say("session.input_audio.unmute").types == ["session.input_audio.unmuted"]
    assert not talk.live(100).one(Hear).muted


def test_an_append_is_acknowledged_by_its_clock(opens: Opens) -> None:
    talk = opens()
    talk.live(100)
    assert talk.say("session.thinking.append", content="It rains.", delegation_id=None, event_id="t").types == []
    assert talk.live(600).types == []
    event = talk.live(100).event("session.thinking.appended")
    assert (event["start_ms"], event["end_ms"], event["client_event_id"]) == (800, 800, "t")


def test_closing_reports_appends_without_a_place_then_closes(opens: Opens) -> None:
    talk = opens()
    talk.live(1500)
    talk.say("session.thinking.append", content="It rains.", delegation_id=None, event_id="t")
    outcome = talk.say("session.close", event_id="c")
    assert outcome.types == ["error", "session.closed"]
    assert outcome.events[0]["error"]["code"] == "context_injection_incomplete"
    closed = outcome.event("session.closed")
    assert (closed["reason"], closed["usage"], closed["client_event_id"]) == ("close_requested", {"seconds": 1.5}, "c")
    assert outcome[-1] == Close(1000)
    assert talk.say("session.close") == [] and talk.live(200) == []


def test_a_session_without_audio_expires(opens: Opens) -> None:
    talk = opens(limits=Limits(idle_s=30))
    assert talk.session.deadline() == NOW + 30
    assert talk.session.expire(NOW + 29.9) == []
    closed, close = talk.session.expire(NOW + 30)
    assert closed.message["reason"] == "expired" and isinstance(close, Close)  # type: ignore[union-attr]
    assert talk.session.deadline() is None


def test_audio_keeps_a_session_alive_up_to_its_maximum_duration(opens: Opens) -> None:
    talk = opens(limits=Limits(session_s=2, idle_s=1))
    talk.live(1500)
    assert talk.session.expire(talk.now) == []
    talk.live(600)
    assert talk.session.expire(talk.now) != []


def test_the_usage_is_reported_every_15_s(opens: Opens) -> None:
    usages = opens().live(31_000).all_events("session.usage.updated")
    assert [event["usage"]["seconds"] for event in usages] == [15.0, 30.0]


def test_a_fixture_is_played_while_appends_are_refused(opens: Opens) -> None:
    talk = opens()
    pcm = np.full(round(0.25 * RATE), 1000, "<i2").tobytes()
    outcome = talk.say("session.output_audio.fixture.play", audio=base64.b64encode(pcm).decode(), event_id="f")
    assert outcome.event("session.output_audio.fixture.playing")["client_event_id"] == "f"
    assert talk.say("session.thinking.append", content="x", delegation_id=None).error["code"] == "invalid_event"
    outcome = talk.live(300)
    assert np.count_nonzero(outcome.played) == round(0.25 * RATE)
    assert outcome.event("session.output_audio.fixture.played")["client_event_id"] == "f"
    assert talk.say("session.thinking.append", content="x", delegation_id=None) == []


def test_an_attached_connection_may_send_all_but_audio_and_the_start(opens: Opens) -> None:
    talk = opens()
    (greeting,) = talk.session.attached(3)
    assert isinstance(greeting, SendTo) and greeting.connection == 3
    for kind, fields in (("session.input_audio.append", {"audio": "AAAA"}), ("session.start", {"session": {}})):
        (effect,) = talk.say(kind, connection=3, **fields)
        assert isinstance(effect, SendTo) and (effect.connection, effect.message["error"]["code"]) == (3, "permission_denied")
    assert talk.say("session.input_audio.mute", connection=3).types == ["session.input_audio.muted"]
    assert talk.say("session.close", connection=3).types == ["session.closed"]


def test_the_delegation_can_be_updated(opens: Opens) -> None:
    talk = opens()
    outcome = talk.say("session.update", session={"delegation": {"type": "client", "acknowledgement_delay_ms": 300}})
    assert outcome.event("session.updated")["session"]["delegation"]["acknowledgement_delay_ms"] == 300
    assert talk.say("session.update", session={"instructions": "x"}).error["code"] == "immutable_field_update"


def test_over_webrtc_audio_is_not_in_events(opens: Opens) -> None:
    talk = opens(is_call=True)
    error = talk.say("session.input_audio.append", audio=base64.b64encode(bytes(960)).decode()).error
    assert (error["code"], error["param"]) == ("invalid_event", "type")
    assert len(talk.hear(500).all(Play)) == 5
    assert {len(play.samples) for play in talk.hear(200).all(Play)} == {4800}


def test_over_webrtc_audio_that_was_held_back_is_processed_at_once(opens: Opens) -> None:
    assert len(opens(is_call=True).hear(3000).all(Play)) == 30


def test_audio_of_a_track_keeps_the_session_open(opens: Opens) -> None:
    talk = opens(is_call=True, limits=Limits(idle_s=5))
    talk.now += 4
    talk.hear(100)
    assert talk.session.deadline() == talk.now + 5
    talk.now += 5
    assert talk.session.expire(talk.now)[-1] == Close()


def test_an_event_that_the_data_channel_may_not_send_is_an_error_there_and_not_elsewhere(opens: Opens) -> None:
    talk = opens(is_call=True, client={"data_channel": {"allowed_client_events": ["session.close"]}})
    error = talk.say("session.input_audio.mute", event_id="e").error
    assert (error["code"], error["client_event_id"]) == ("data_channel_permissions", "e")
    assert talk.say("session.input_audio.mute", connection=1).types == ["session.input_audio.muted"]
    assert talk.say("session.close").types == ["session.closed"]
