"""Transcriptions on their way: each item is completed once, in the order of the items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_speech.api.realtime.effects import NotTranscribed, SpeechStarted, Transcribed
from open_speech.errors import BackendFailed
from open_speech.http.ws_messages import Send
from tests.api.realtime.test_input_buffer import TRANSCRIPTION, turn

Opens = Callable[..., Any]


def completed(outcome: Any) -> list[str]:
    """The ids of the items whose transcription ends with these effects."""
    sent = [effect.message for effect in outcome if isinstance(effect, Send)]
    ends = (f"{TRANSCRIPTION}.completed", f"{TRANSCRIPTION}.failed")
    return [message["item_id"] for message in sent if message["type"] in ends]


def test_items_are_completed_in_their_order_whichever_is_transcribed_first(opens: Opens) -> None:
    talk = opens("transcription")
    first, second, third = turn(talk, 100, 900), turn(talk, 1500, 2500), turn(talk, 3500, 4000)
    assert completed(talk.tell(Transcribed(second, "Second.", 1))) == []
    assert completed(talk.tell(Transcribed(first, "First.", 1))) == [first, second]
    assert completed(talk.tell(Transcribed(third, "Third.", 1))) == [third]


def test_an_item_that_fails_holds_back_none_after_it(opens: Opens) -> None:
    talk = opens("transcription")
    first, second, third = turn(talk, 100, 900), turn(talk, 1500, 2500), turn(talk, 3500, 4000)
    assert completed(talk.tell(Transcribed(third, "Third.", 1))) == []
    assert completed(talk.tell(NotTranscribed(first, BackendFailed("It broke.")))) == [first]
    assert completed(talk.tell(Transcribed(second, "Second.", 1))) == [second, third]


def test_what_is_still_being_said_holds_nothing_back(opens: Opens) -> None:
    talk = opens("transcription")
    first = turn(talk, 100, 900)
    talk.append(1500)
    talk.tell(SpeechStarted(1600))
    assert completed(talk.tell(Transcribed(first, "First.", 1))) == [first]
