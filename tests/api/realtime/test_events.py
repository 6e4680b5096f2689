from __future__ import annotations

import base64

import pytest

from open_speech.api.realtime.client_messages import InvalidJson, client_event_id, decoded, read
from open_speech.api.realtime.events import Append, CommitBuffer, CreateItem, CreateResponse, TruncateItem, failure, parse
from open_speech.errors import InvalidValue, Overloaded


def test_an_event_becomes_a_value() -> None:
    assert parse(read('{"type": "input_audio_buffer.append", "audio": "AAAA"}')) == Append(audio="AAAA")
    assert parse({"type": "input_audio_buffer.commit", "event_id": "e"}) == CommitBuffer()
    assert parse({"type": "conversation.item.create", "item": {}}) == CreateItem(item={}, previous_item_id=None)
    assert parse({"type": "response.create"}) == CreateResponse(response=None)


def test_a_field_that_nobody_knows_is_ignored() -> None:
    assert parse({"type": "input_audio_buffer.commit", "sparkle": 1}) == CommitBuffer()


def test_the_index_of_the_part_to_cut_may_be_left_out() -> None:
    assert parse({"type": "conversation.item.truncate", "item_id": "a", "audio_end_ms": 5}) == TruncateItem(item_id="a", audio_end_ms=5)


def test_sound_of_any_length_comes_back_whole() -> None:
    for data in (b"", b"ab", bytes(range(256)) * 100):
        assert decoded(base64.b64encode(data).decode(), 2) == data


@pytest.mark.parametrize("text", ["A", "AAA", "A===", "AA AA", "AAAA\n", "-_-_", "data:audio/pcm;base64,AAAA"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        decoded(text, 1, "audio")
    assert refused.value.param == "audio"


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(InvalidValue, match="middle of a sample"):
        decoded(base64.b64encode(b"abc").decode(), 2)
    assert decoded(base64.b64encode(b"abc").decode(), 1) == b"abc"


def test_an_id_that_cannot_be_carried_back_is_none() -> None:
    assert [client_event_id({"event_id": value}) for value in ("e", "", 3, None, ["e"], "x" * 600)] == ["e", "", None, None, None, None]


def test_deep_nesting_is_refused_and_flat_length_is_not() -> None:
    with pytest.raises(InvalidJson):
        read('{"a": ' * 70 + "1" + "}" * 70)
    assert len(read('{"a": [' + "0," * 40_000 + "0]}")["a"]) == 40_001


def test_an_error_says_all_five_things() -> None:
    assert failure(Overloaded("Busy.", param="model"), "mine") == {
        "type": "error",
        "error": {"type": "server_error", "code": "server_overloaded", "message": "Busy.", "param": "model", "event_id": "mine"},
    }
