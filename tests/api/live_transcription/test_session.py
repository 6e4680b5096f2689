from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.api.live_transcription.messages import Command
from open_speech.api.live_transcription.session import (
    TAIL_S,
    AppendAudio,
    Begin,
    Draft,
    Drain,
    Effect,
    Failed,
    Finish,
    Finished,
    Part,
    Session,
)
from open_speech.errors import BackendFailed, InvalidRequest
from open_speech.http.ws_messages import Close, Send
from open_speech.recognition.live.turn_detection import Paused, Resumed, Started, Stopped
from open_speech.transcript import Segment, Transcript, TranscriptInfo

INFO = TranscriptInfo("en", 1.0, 1.0)


def part(text: str, start: float = 0.1, end: float = 0.9) -> Transcript:
    return Transcript(INFO, (Segment(start, end, text),) if text else ())


def listening(*, vad: bool = True, interim_results: bool = True) -> Session:
    return Session(vad=vad, interim_results=interim_results)


def sent(effects: list[Effect]) -> list[dict[str, Any]]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def texts(effects: list[Effect]) -> list[tuple[str, bool, bool]]:
    return [(m["text"], m["is_final"], m["speech_final"]) for m in sent(effects) if m["type"] == "transcript"]


@given(st.lists(st.binary(max_size=7), max_size=20))
def test_sound_that_is_cut_anywhere_arrives_in_whole_samples(pieces: list[bytes]) -> None:
    session = listening()
    heard = [effect.data for piece in pieces for effect in session.append(piece) if isinstance(effect, AppendAudio)]
    assert all(data and len(data) % 2 == 0 for data in heard)
    whole = b"".join(pieces)
    assert b"".join(heard) == whole[: len(whole) - len(whole) % 2]


def test_a_turn_begins_and_ends_an_utterance_and_is_told() -> None:
    session = listening()
    begun = session.turn_events([Started(0.5)], 1.0)
    assert sent(begun) == [{"type": "vad", "state": "speech_start", "at": 0.5}]
    assert begun[1:] == [Begin(1, 0.5)]
    ended = session.turn_events([Paused(1.5), Stopped(1.5)], 2.0)
    assert sent(ended) == [{"type": "vad", "state": "speech_end", "at": 1.5}]
    assert ended[1:] == [Finish(1, 1.5 + TAIL_S)]


def test_a_pause_within_an_utterance_changes_nothing_for_the_client() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    assert session.turn_events([Paused(1), Resumed(1.3), Paused(2)], 3) == []


def test_drafts_and_final_texts_are_told_with_their_times() -> None:
    session = listening()
    session.turn_events([Started(2)], 3)
    assert sent(session.report(Draft(1, "one", 3.5)))[0] | {"confidence": 0} == {
        "type": "transcript", "is_final": False, "speech_final": False, "text": "one", "start": 2, "end": 3.5, "confidence": 0,
    }  # fmt: skip
    (final,) = sent(session.report(Part(1, part("one two"), is_last=True)))
    assert (final["text"], final["start"], final["end"], final["is_final"], final["speech_final"]) == ("one two", 2.1, 2.9, True, True)
    assert session.report(Finished(1)) == []


def test_a_long_utterance_is_told_part_by_part() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    assert texts(session.report(Part(1, part("one", 0, 9), is_last=False))) == [("one", True, False)]
    assert sent(session.report(Draft(1, "two", 12)))[0]["start"] == 9
    assert texts(session.report(Part(1, part("two", 9, 13), is_last=True))) == [("two", True, True)]


def test_an_utterance_whose_last_part_came_before_its_end_is_closed_by_an_empty_one() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    session.report(Part(1, part("one", 0, 9), is_last=False))
    (end,) = sent(session.report(Finished(1)))
    assert (end["text"], end["is_final"], end["speech_final"], end["start"], end["end"]) == ("", True, True, 9, 9)


def test_a_cough_is_no_text() -> None:
    session = listening()
    session.turn_events([Started(0), Stopped(0.5)], 1)
    assert session.report(Part(1, part(""), is_last=True)) == []
    assert session.report(Finished(1)) == []


def test_a_draft_that_came_to_nothing_is_taken_back() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    session.report(Draft(1, "you", 1))
    assert texts(session.report(Finished(1))) == [("", True, True)]


def test_who_wants_no_drafts_gets_none() -> None:
    session = listening(interim_results=False)
    session.turn_events([Started(0)], 1)
    assert session.report(Draft(1, "one", 1)) == []


def test_text_comes_in_the_order_in_which_it_was_said() -> None:
    session = listening()
    session.turn_events([Started(0), Stopped(1), Started(2), Stopped(3)], 4)
    assert session.report(Draft(2, "sec", 3)) == []
    assert session.report(Part(2, part("second"), is_last=True)) == []
    assert session.report(Finished(2)) == []
    assert texts(session.report(Part(1, part("first"), is_last=True))) == [("first", True, True)]
    assert texts(session.report(Finished(1))) == [("second", True, True)]


def test_a_failure_is_told_in_its_place_and_the_session_goes_on() -> None:
    session = listening()
    session.turn_events([Started(0), Stopped(1)], 1)
    session.report(Draft(1, "one", 1))
    told = sent(session.report(Failed(1, BackendFailed("broken"))))
    assert [message["type"] for message in told] == ["transcript", "error"]
    assert told[1]["error"]["code"] == "backend_failed"
    assert session.turn_events([Started(2)], 3)[1:] == [Begin(2, 2)]


def test_stop_ends_the_session_when_all_text_is_told() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    assert session.receive(Command.STOP) == [Drain()]
    assert session.is_finishing
    assert session.append(b"1234") == []
    assert session.receive(Command.FINALIZE) == []
    assert session.turn_events([], 1.5) == []
    assert session.drained() == [Finish(1, None)]
    session.report(Part(1, part("one"), is_last=True))
    assert session.report(Finished(1)) == [Send({"type": "session.end", "duration": 1.5}), Close()]
    assert session.is_closed
    assert session.idle() == []


def test_stop_without_any_speech_ends_it_at_once() -> None:
    session = listening()
    session.receive(Command.STOP)
    assert session.drained() == [Send({"type": "session.end", "duration": 0.0}), Close()]


@pytest.mark.parametrize("last", ["turn", "drain"])
def test_a_turn_that_ends_in_what_was_held_back_is_told_before_the_end(last: str) -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    session.receive(Command.STOP)
    if last == "turn":
        assert session.turn_events([Stopped(1)], 1.2)[1:] == [Finish(1, 1 + TAIL_S)]
        assert session.drained() == []
    else:
        assert session.drained() == [Finish(1, None)]
    assert session.report(Finished(1))[-1] == Close()


def test_finalize_ends_an_utterance_and_the_turn_that_goes_on_ends_nothing() -> None:
    session = listening()
    session.turn_events([Started(0)], 1)
    assert session.receive(Command.FINALIZE) == [Finish(1, None)]
    assert session.receive(Command.FINALIZE) == []
    assert sent(session.turn_events([Stopped(2)], 3)) == [{"type": "vad", "state": "speech_end", "at": 2}]
    assert session.turn_events([Started(4)], 5)[1:] == [Begin(2, 4)]


def test_without_turns_all_is_one_utterance_until_it_is_finalized() -> None:
    session = listening(vad=False)
    assert session.append(b"1234") == [Begin(1, 0.0), AppendAudio(b"1234")]
    assert session.turn_events([], 1) == []
    assert session.append(b"12") == [AppendAudio(b"12")]
    session.turn_events([], 2)
    assert session.receive(Command.FINALIZE) == [Finish(1, None)]
    assert session.append(b"12") == [Begin(2, 2), AppendAudio(b"12")]


def test_a_client_that_says_nothing_for_too_long_is_told_and_closed() -> None:
    session = listening()
    told, close = session.idle()
    assert isinstance(told, Send)
    assert told.message["type"] == "error"
    assert close == Close(1008)
    assert session.append(b"12") == session.receive(Command.STOP) == session.invalid_message(InvalidRequest("x")) == []
    assert session.report(Draft(1, "x", 1)) == session.turn_events([Started(0)], 1) == []


def test_what_cannot_be_read_is_told_and_the_session_goes_on() -> None:
    session = listening()
    (told,) = sent(session.invalid_message(InvalidRequest("no", param="type")))
    assert (told["type"], told["error"]["param"]) == ("error", "type")
    assert session.append(b"12") == [AppendAudio(b"12")]


STEPS = st.tuples(st.sampled_from(["turn", "sound", "finalize", "draft", "part", "last", "finished", "failed"]), st.integers(0, 5))


@given(st.lists(STEPS, max_size=60))
def test_every_utterance_is_told_to_its_end_once_and_the_session_ends_whatever_happens(steps: list[tuple[str, int]]) -> None:
    session = listening()
    effects: list[Effect] = []
    speaking = False
    awaited: list[int] = []
    for at, (step, which) in enumerate(steps):
        number = awaited[which % len(awaited)] if awaited else 0
        match step:
            case "turn":
                more = session.turn_events([Stopped(at) if speaking else Started(at)], at)
                speaking = not speaking
            case "sound":
                more = session.append(b"123")
            case "finalize":
                more = session.receive(Command.FINALIZE)
            case "draft":
                more = session.report(Draft(number, "d", at))
            case "part" | "last":
                more = session.report(Part(number, part("p"), is_last=step == "last"))
            case _:
                more = session.report(Finished(number) if step == "finished" else Failed(number, BackendFailed("x")))
                awaited = [other for other in awaited if other != number]
        effects += more
        awaited += [effect.number for effect in more if isinstance(effect, Finish)]
    more = session.receive(Command.STOP) + session.drained()
    awaited += [effect.number for effect in more if isinstance(effect, Finish)]
    effects += more
    for number in reversed(awaited):
        effects += session.report(Finished(number))
    begins = [effect.number for effect in effects if isinstance(effect, Begin)]
    assert begins == [effect.number for effect in effects if isinstance(effect, Finish)] == list(range(1, len(begins) + 1))
    assert [effect for effect in effects if isinstance(effect, Close)] == [effects[-1]]
    assert [speech_final for _, _, speech_final in texts(effects)][-1:] in ([], [True])


def test_without_turns_an_utterance_that_failed_lasts_until_the_client_says_otherwise() -> None:
    session = listening(vad=False)
    assert session.append(b"12") == [Begin(1, 0.0), AppendAudio(b"12")]
    assert session.utterance_failed() == [Finish(1, None)]
    assert [message["type"] for message in sent(session.report(Failed(1, BackendFailed("x"))))] == ["error"]
    assert session.append(b"12") == [AppendAudio(b"12")], "one error for it is enough"
    assert session.receive(Command.FINALIZE) == []
    assert session.append(b"12") == [Begin(2, 0.0), AppendAudio(b"12")]


def test_with_turns_the_next_one_is_heard_after_one_that_failed() -> None:
    session = listening()
    session.turn_events([Started(0.1)], 1)
    assert session.utterance_failed() == [Finish(1, None)]
    assert Begin(2, 3.0) in session.turn_events([Started(3.0)], 4)


def resumable() -> Session:
    return Session(vad=True, interim_results=True, resumable=True)


def test_a_final_text_of_a_resumable_session_has_the_time_before_which_all_text_is_final() -> None:
    session = resumable()
    session.turn_events([Started(2)], 3)
    (first,) = sent(session.report(Part(1, part("one", 0, 9), is_last=False, until_s=9.45678)))
    assert (first["end"], first["final_until"]) == (11, 11.456)
    session.turn_events([Stopped(20.5)], 21)
    (last,) = sent(session.report(Part(1, part("two", 9.6, 18.2), is_last=True, until_s=18.9)))
    assert (last["speech_final"], last["final_until"]) == (True, 20.5)


def test_silence_of_a_resumable_session_is_reported_but_not_the_audio_in_which_speech_may_have_begun() -> None:
    session = resumable()
    assert sent(session.turn_events([], 1.9)) == []
    assert sent(session.turn_events([], 2.5)) == [{"type": "progress", "final_until": 1.5}]
    assert sent(session.turn_events([], 3.4)) == []
    assert sent(session.turn_events([], 3.5)) == [{"type": "progress", "final_until": 2.5}]


def test_no_progress_is_reported_while_the_text_of_speech_is_pending() -> None:
    session = resumable()
    session.turn_events([Started(3), Stopped(4)], 5)
    assert sent(session.turn_events([], 9)) == []
    session.report(Finished(1))  # a cough: no text reports the time
    assert sent(session.turn_events([], 9.5)) == [{"type": "progress", "final_until": 8.5}]


def test_progress_in_silence_never_goes_back_before_the_end_of_the_last_utterance() -> None:
    session = resumable()
    session.turn_events([Started(3), Stopped(9)], 9.4)
    session.report(Part(1, part("one"), is_last=True, until_s=6))
    session.report(Finished(1))
    assert sent(session.turn_events([], 9.6)) == [{"type": "progress", "final_until": 9}]


def test_a_session_that_is_not_resumable_reports_no_progress() -> None:
    session = listening()
    assert sent(session.turn_events([], 60)) == []
    session.turn_events([Started(61)], 62)
    assert "final_until" not in sent(session.report(Part(1, part("one"), is_last=False, until_s=1)))[0]


def test_a_long_silence_within_an_utterance_is_reported() -> None:
    session = Session(vad=False, interim_results=False, resumable=True)
    session.append(b"\0\0")
    assert sent(session.settled(0.9)) == []
    assert sent(session.settled(7)) == [{"type": "progress", "final_until": 7}]
    session.receive(Command.FINALIZE)
    assert sent(session.settled(0)) == []
