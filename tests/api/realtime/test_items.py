from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.api.realtime.effects import (
    AudioFormat,
    Respond,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    Transcribed,
    TranscribeItem,
    TranscriptionSettings,
)
from open_speech.api.realtime.items import CONVERSATION_CHARS, ITEM_CHARS, DuplicateItem, Item, Items, build_item, transcript_before
from open_speech.api.realtime.session import Limits
from open_speech.errors import InvalidRequest, TextTooLong

Opens = Callable[..., Any]
SOUND = base64.b64encode(bytes(4800)).decode()


def says(text: str = "Hello.", **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def chain(talk: Any) -> list[tuple[str | None, str]]:
    return [(event["previous_item_id"], event["item"]["id"]) for event in talk.sent if event["type"] == "conversation.item.added"]


def test_an_item_is_added_and_done(opens: Opens) -> None:
    outcome = opens().say("conversation.item.create", item=says())
    assert outcome.types == ["conversation.item.added", "conversation.item.done"]
    item = outcome.event("conversation.item.done")["item"]
    assert item == {**says(), "id": item["id"], "object": "realtime.item", "status": "completed"}
    assert outcome.event("conversation.item.added")["previous_item_id"] is None


@pytest.mark.parametrize(
    "item",
    [
        says(),
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "Hi."}]},
        {"type": "message", "role": "user", "content": []},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ],
)
def test_every_kind_of_item_comes_back_as_it_was_given(opens: Opens, item: dict[str, Any]) -> None:
    talk = opens()
    shown = talk.say("conversation.item.create", item={**item, "id": "mine"}).event("conversation.item.done")["item"]
    assert shown == {**item, "id": "mine", "object": "realtime.item", "status": "completed"}
    assert talk.say("conversation.item.retrieve", item_id="mine").event("conversation.item.retrieved")["item"] == shown


def test_items_go_where_the_client_puts_them(opens: Opens) -> None:
    talk = opens()
    for item_id, after in (("b", None), ("a", "root"), ("d", "b"), ("c", "b")):
        talk.say("conversation.item.create", item=says(id=item_id), **({"previous_item_id": after} if after else {}))
    assert chain(talk) == [(None, "b"), (None, "a"), ("b", "d"), ("b", "c")]


def test_null_before_an_item_puts_it_at_the_end(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    talk.say("conversation.item.create", item=says(id="b"), previous_item_id=None)
    assert chain(talk)[-1] == ("a", "b")


def test_an_unknown_item_before_it_is_an_error(opens: Opens) -> None:
    talk = opens()
    error = talk.say("conversation.item.create", item=says(id="x"), previous_item_id="nobody").error
    assert (error["code"], error["param"]) == ("invalid_value", "previous_item_id")
    assert talk.say("conversation.item.retrieve", item_id="x").error


def test_a_duplicate_id_is_an_error_that_clients_know(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    error = talk.say("conversation.item.create", item=says("Other.", id="a"), event_id="e").error
    assert (error["code"], error["event_id"]) == ("item_create_duplicate_item_id", "e")
    assert talk.say("conversation.item.retrieve", item_id="a").events[0]["item"]["content"][0]["text"] == "Hello."


def test_a_deleted_item_is_gone_and_its_id_is_free(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    assert talk.say("conversation.item.delete", item_id="a").event("conversation.item.deleted")["item_id"] == "a"
    assert talk.say("conversation.item.delete", item_id="a").error["code"] == "item_delete_invalid_item_id"
    assert talk.text("Again.", id="a").types == ["conversation.item.added", "conversation.item.done"]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "message"}, "item.role"),
        ({"type": "message", "role": "user"}, "item.content"),
        ({"type": "message", "role": "robot", "content": []}, "item.role"),
        ({"type": "message", "role": "user", "content": "Hello."}, "item.content"),
        ({"type": "message", "role": "user", "content": ["Hello."]}, "item.content[0]"),
        ({"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]}, "item.content[0].type"),
        ({"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]}, "item.content[0].type"),
        ({"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "x"}]}, "item.content[0].type"),
        ({"type": "message", "role": "system", "content": [{"type": "input_audio", "audio": SOUND}]}, "item.content[0].type"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text"}]}, "item.content.text"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": 3}]}, "item.content[0].text"),
        ({"type": "message", "role": "user", "content": [{"type": "input_image"}]}, "item.content.image_url"),
        ({"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "?"}]}, "item.content"),
        ({"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}, "item.content"),
        ({"type": "function_call", "name": "f"}, "item.arguments"),
        ({"type": "function_call_output", "output": "x"}, "item.call_id"),
        ({"type": "mcp_call"}, "item.type"),
        ({"type": 3}, "item.type"),
        (says(id=""), "item.id"),
        (says(id=7), "item.id"),
        (says(id="root"), "item.id"),
        (says(id="x" * 1000), "item.id"),
        (says("x" * ITEM_CHARS), "item"),
    ],
)
def test_an_item_that_cannot_be_is_refused_by_its_field(opens: Opens, item: dict[str, Any], param: str) -> None:
    talk = opens(llm=True)
    error = talk.say("conversation.item.create", item=item).error
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert talk.text("Fine.").types == ["conversation.item.added", "conversation.item.done"]


def heard(sound: str = SOUND, **fields: Any) -> dict[str, Any]:
    return {"id": "a", "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound, **fields}]}


def test_an_item_of_sound_is_transcribed(opens: Opens) -> None:
    talk = opens("transcription")
    outcome = talk.say("conversation.item.create", item=heard())
    assert outcome.types == ["conversation.item.added", "conversation.item.done"]
    assert outcome.event("conversation.item.done")["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert outcome[-1] == TranscribeItem("a", bytes(4800), AudioFormat(), TranscriptionSettings("ears"))
    kinds = talk.tell(Transcribed("a", "Hello.", 0.1)).types
    assert kinds[-1] == "conversation.item.input_audio_transcription.completed"


def test_an_item_of_sound_is_left_alone_if_nobody_wants_its_words(opens: Opens) -> None:
    talk = opens()
    talk.hears(transcription=None)
    assert talk.say("conversation.item.create", item=heard()).all(TranscribeItem) == []


def test_an_item_of_sound_is_heard_for_the_model_if_it_has_no_words_yet(opens: Opens) -> None:
    assert opens(llm=True).say("conversation.item.create", item=heard()).all(TranscribeItem)
    assert opens(llm=True).say("conversation.item.create", item=heard(transcript="Hello.")).all(TranscribeItem) == []


def test_an_item_with_more_sound_than_the_buffer_holds_is_refused(opens: Opens) -> None:
    talk = opens(limits=Limits(buffer_bytes=1000))
    assert talk.say("conversation.item.create", item=heard()).error["code"] == "input_audio_buffer_full"


def spoken(talk: Any, *pieces: tuple[str, float]) -> str:
    """Have an answer spoken, each piece with its seconds; give its id."""
    talk.text("Go on.")
    response_id = talk.say("response.create").one(Respond).response_id
    at_s, item_id = 0.0, ""
    for text, seconds in pieces:
        item_id = talk.tell(ResponseText(response_id, text, at_s)).events[-1]["item_id"]
        talk.tell(ResponseAudio(response_id, bytes(2), seconds))
        at_s += seconds
    talk.tell(ResponseDone(response_id))
    return item_id


def transcript(talk: Any, item_id: str) -> str:
    (part,) = talk.say("conversation.item.retrieve", item_id=item_id).event("conversation.item.retrieved")["item"]["content"]
    return str(part["transcript"])


def test_an_answer_is_cut_where_it_was_interrupted(opens: Opens) -> None:
    talk = opens()
    item_id = spoken(talk, ("One two. ", 1.0), ("Three four five six.", 2.0))
    outcome = talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1000)
    event = outcome.event("conversation.item.truncated")
    assert (event["item_id"], event["content_index"], event["audio_end_ms"]) == (item_id, 0, 1000)
    assert transcript(talk, item_id) == "One two. "


def test_an_answer_can_be_cut_again_but_not_longer(opens: Opens) -> None:
    talk = opens()
    item_id = spoken(talk, ("One two. ", 1.0), ("Three four five six.", 2.0))
    talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1500)
    assert talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1501).error
    assert talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0).types == ["conversation.item.truncated"]
    assert transcript(talk, item_id) == ""


@pytest.mark.parametrize(("index", "end_ms", "param"), [(0, 3001, "audio_end_ms"), (1, 100, "content_index")])
def test_a_truncate_past_the_end_is_an_error(opens: Opens, index: int, end_ms: int, param: str) -> None:
    talk = opens()
    item_id = spoken(talk, ("One two three.", 3.0))
    assert talk.say("conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=end_ms).error["param"] == param
    assert transcript(talk, item_id) == "One two three."


def test_only_answers_are_truncated(opens: Opens) -> None:
    talk = opens()
    talk.text("Hello.", id="a")
    error = talk.say("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=0).error
    assert (error["code"], error["param"]) == ("item_truncate_invalid_item_id", "item_id")


@pytest.mark.parametrize(
    ("end_s", "kept"),
    [
        (0.0, ""),
        (0.4, ""),
        (0.6, "Alpha"),
        (1.0, "Alpha beta. "),
        (1.5, "Alpha beta. Gamma"),
        (2.0, "Alpha beta. Gamma delta."),
        (9.0, "Alpha beta. Gamma delta."),
    ],
)
def test_a_transcript_is_cut_at_a_word(end_s: float, kept: str) -> None:
    assert transcript_before([(0.0, "Alpha beta. "), (1.0, "Gamma delta.")], end_s, 2.0) == kept


def test_pieces_at_the_same_moment_go_together() -> None:
    assert transcript_before([(0.0, "A"), (0.0, "B"), (1.0, "C")], 1.0, 1.0) == "ABC"[:2]


def test_the_oldest_items_go_first() -> None:
    items = Items(3)
    for name in "abcde":
        items.add(Item(name))
    assert [item.id for item in items] == ["c", "d", "e"]
    assert items.last_id == "e"


def test_a_conversation_has_a_bound_in_characters() -> None:
    items = Items(10_000)
    for number in range(100):
        items.add(Item(str(number), content=[{"type": "input_text", "text": "x" * (CONVERSATION_CHARS // 50)}]))
    assert 40 < len(items) <= 50


def test_a_new_item_stays_even_at_the_front_of_a_full_conversation() -> None:
    items = Items(2)
    items.add(Item("a"))
    items.add(Item("b"))
    items.add(Item("c"), "root")
    assert [item.id for item in items] == ["c", "b"]


def test_an_item_is_in_a_conversation_once() -> None:
    items = Items(10)
    items.add(Item("a"))
    with pytest.raises(DuplicateItem):
        items.add(Item("a"))


def test_a_call_without_an_id_gets_one() -> None:
    item, sound = build_item({"type": "function_call", "name": "f", "arguments": "{}"}, "item_1")
    assert (item.call_id, sound) == ("item_1", None)


def test_a_message_may_leave_out_its_type() -> None:
    item, _ = build_item({"role": "user", "content": [{"type": "input_text", "text": "Hello."}]}, "item_1")
    assert (item.type, item.text) == ("message", "Hello.")


def test_a_long_item_is_an_error_of_its_own() -> None:
    with pytest.raises(TextTooLong) as refused:
        build_item({"type": "function_call_output", "call_id": "c", "output": "x" * ITEM_CHARS}, "item_1")
    assert isinstance(refused.value, InvalidRequest)
