from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.live.permissions import ClientSection, DataChannel
from open_speech.api.realtime.checking import checked
from open_speech.errors import InvalidRequest


def channel(**fields: Any) -> DataChannel:
    return checked(ClientSection, {"data_channel": fields}, "session.client").data_channel


@pytest.mark.parametrize("fields", [{}, {"allowed_client_events": "all", "allowed_server_events": "all"}, {"allowed_client_events": None}])
def test_everything_is_allowed_unless_there_are_lists(fields: dict[str, Any]) -> None:
    assert channel(**fields).accepts("session.close")
    assert channel(**fields).shows({"type": "session.closed"})


def test_a_list_allows_what_is_in_it_and_an_empty_one_nothing() -> None:
    one = channel(allowed_client_events=["session.close"], allowed_server_events=[{"type": "session.closed"}])
    assert one.accepts("session.close") and one.shows({"type": "session.closed"})
    assert not one.accepts("response.create") and not one.shows({"type": "error"})
    assert not one.accepts(None) and not one.accepts(["session.close"])
    none = channel(allowed_client_events=[], allowed_server_events=[])
    assert not none.accepts("session.close") and not none.shows({"type": "session.started"})


def test_events_of_the_responses_api_are_allowed_by_the_event_inside() -> None:
    one = channel(allowed_server_events=[{"type": "response.event", "response_event": "response.completed"}])
    assert one.shows({"type": "response.event", "event": {"type": "response.completed"}})
    assert not one.shows({"type": "response.event", "event": {"type": "response.output_item.done"}})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"allowed_client_events": "none"}, "session.client.data_channel.allowed_client_events"),
        ({"allowed_client_events": [1]}, "session.client.data_channel.allowed_client_events[0]"),
        ({"allowed_client_events": ["x"] * 129}, "session.client.data_channel.allowed_client_events"),
        ({"allowed_server_events": ["error"]}, "session.client.data_channel.allowed_server_events[0]"),
        ({"allowed_server_events": [{"type": "response.event"}]}, "session.client.data_channel.allowed_server_events[0]"),
        ({"allowed_server_events": [{"type": "error", "response_event": "x"}]}, "session.client.data_channel.allowed_server_events[0]"),
    ],
)
def test_what_is_invalid_is_refused_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        channel(**fields)
    assert refusal.value.param == param
