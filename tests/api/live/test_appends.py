from __future__ import annotations

import pytest

from open_speech.api.live.appends import MOST_PENDING, Appends
from open_speech.api.live.errors import TooManyPending

COMMENTARY = "session.commentary.append"


def test_an_append_is_acknowledged_on_the_grid_after_600_ms() -> None:
    appends = Appends()
    appends.add(COMMENTARY, "e1", 130)
    assert appends.due(700) == []
    (event,) = appends.due(800)
    assert event == {"type": "session.commentary.appended", "start_ms": 800, "end_ms": 800, "client_event_id": "e1"}
    assert appends.due(10_000) == []


def test_acknowledgements_keep_the_order_of_the_appends() -> None:
    appends = Appends()
    for kind in ("instructions", "thinking", "commentary"):
        appends.add(f"session.{kind}.append", None, 0)
    assert [event["type"] for event in appends.due(600)] == [
        f"session.{kind}.appended" for kind in ("instructions", "thinking", "commentary")
    ]


def test_too_many_appends_are_refused_until_some_are_acknowledged() -> None:
    appends = Appends()
    for _ in range(MOST_PENDING):
        appends.check_room()
        appends.add(COMMENTARY, None, 0)
    with pytest.raises(TooManyPending):
        appends.check_room()
    appends.due(600)
    appends.check_room()


def test_an_append_without_a_place_is_an_error_at_the_end() -> None:
    appends = Appends()
    appends.add(COMMENTARY, "e1", 0)
    appends.add(COMMENTARY, None, 0)
    first, second = (event["error"] for event in appends.unplaced())
    assert first["code"] == second["code"] == "context_injection_incomplete"
    assert first["client_event_id"] == "e1" and "client_event_id" not in second
    assert appends.unplaced() == []
