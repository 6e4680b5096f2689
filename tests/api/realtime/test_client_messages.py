from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.realtime.client_messages import StrictEvent, parse_message, parsed
from open_speech.errors import InvalidRequest


class Sing(StrictEvent):
    song: str


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"type": "sing"}, "missing_required_parameter", "song"),
        ({"type": "sing", "song": "x", "loud": True}, "unknown_parameter", "loud"),
        ({"type": "sing", "song": "x", "event_id": "e" * 513}, "invalid_value", "event_id"),
        ({"type": "sing", "song": "x", "event_id": 5}, "invalid_value", "event_id"),
        ({"song": "x"}, "missing_required_parameter", "type"),
        ({"type": "dance"}, "invalid_event", "type"),
        ({"type": ["sing"]}, "invalid_event", "type"),
    ],
)
def test_an_invalid_event_is_refused_by_its_field(body: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parsed(body, {"sing": Sing})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_valid_event_is_a_value_of_its_class() -> None:
    assert parsed({"type": "sing", "song": "x", "event_id": "e"}, {"sing": Sing}) == Sing(type="sing", song="x", event_id="e")


def test_the_error_of_a_message_is_with_it() -> None:
    assert parse_message('{"type":', ' "sing"}').body == {"type": "sing"}
    message = parse_message("[]")
    assert message.body == {} and message.error is not None and message.error.code == "invalid_json"
