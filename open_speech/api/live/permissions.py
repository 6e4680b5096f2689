"""The events that a client over WebRTC may send and receive on its data channel (`session.client.data_channel`). Pure.

An application restricts them if its page is not trusted. Attached connections are not restricted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from open_speech.api.realtime.checking import StrictValue

MOST_EVENTS = 128
"""Maximum entries of a list of events."""
RESPONSE_EVENT = "response.event"
"""The event that contains one of the Responses API."""
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class ServerEventSelector(StrictValue):
    """Server events of one type; for those of the Responses API, with the type of the event inside."""

    type: _Name
    response_event: _Name | None = None

    @model_validator(mode="after")
    def _check(self) -> ServerEventSelector:
        if (self.type == RESPONSE_EVENT) != (self.response_event is not None):
            raise ValueError(f"`response_event` is required for `{RESPONSE_EVENT}`, and for no other event")
        return self


class DataChannel(StrictValue):
    """The permissions of a data channel. A list that is absent allows everything, an empty one nothing."""

    allowed_client_events: Literal["all"] | Annotated[list[_Name], Field(max_length=MOST_EVENTS)] | None = None
    allowed_server_events: Literal["all"] | Annotated[list[ServerEventSelector], Field(max_length=MOST_EVENTS)] | None = None

    def accepts(self, kind: object) -> bool:
        """Return whether the client may send events of a type."""
        return not isinstance(self.allowed_client_events, list) or kind in self.allowed_client_events

    def shows(self, event: Mapping[str, Any]) -> bool:
        """Return whether the client receives an event."""
        if not isinstance(self.allowed_server_events, list):
            return True
        nested = event["event"]["type"] if event["type"] == RESPONSE_EVENT else None
        return any((allowed.type, allowed.response_event) == (event["type"], nested) for allowed in self.allowed_server_events)


class ClientSection(StrictValue):
    """The `client` of a session over WebRTC."""

    data_channel: DataChannel
