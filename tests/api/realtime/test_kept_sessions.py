"""Sessions that are kept in memory because they are too long for a key."""

from __future__ import annotations

import pytest

from open_speech.api.realtime import kept_sessions
from open_speech.api.realtime.kept_sessions import KeptSessions


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_found_by_its_name_until_it_expires() -> None:
    clock = Clock()
    kept = KeptSessions(clock=clock)
    one, two = kept.keep({"voice": "a"}, 110), kept.keep({"voice": "b"}, 120)
    assert one and two
    assert (kept.find(one), kept.find(two), kept.find("another")) == ({"voice": "a"}, {"voice": "b"}, None)
    clock.now = 110.0
    assert (kept.find(one), kept.find(two)) == (None, {"voice": "b"})


@pytest.mark.parametrize(("limit", "value"), [("MOST", 2), ("MOST_CHARS", 40)])
def test_its_room_is_bounded_and_comes_back(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(kept_sessions, limit, value)
    clock = Clock()
    kept = KeptSessions(clock=clock)
    session = {"voice": "alloy"}  # 18 characters as JSON
    assert kept.keep(session, 110)
    assert kept.keep(session, 120)
    assert kept.keep(session, 120) is None
    clock.now = 115.0
    assert kept.keep(session, 120)
