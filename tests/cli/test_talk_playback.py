"""What waits for the loudspeaker."""

from __future__ import annotations

from open_speech.cli._talk_playback import KEPT, PlaybackBuffer


def test_parts_are_played_in_order_and_silence_follows_them() -> None:
    buffer = PlaybackBuffer()
    buffer.add("a", b"\1\2\3")
    buffer.add("a", b"")
    buffer.add("b", b"\4\5\6\7")
    assert [buffer.pull(2), buffer.pull(2), buffer.pull(5)] == [b"\1\2", b"\3\4", b"\5\6\7\0\0"]
    assert buffer.is_empty
    assert buffer.pull(2) == b"\0\0"


def test_a_stop_drops_the_rest_and_reports_what_was_played() -> None:
    buffer = PlaybackBuffer()
    buffer.add("a", bytes(4))
    buffer.pull(6)
    buffer.add("a", bytes(10))
    buffer.add("b", bytes(2))
    buffer.pull(3)
    assert buffer.stop() == {"a": 7}
    assert buffer.is_empty


def test_a_long_conversation_does_not_grow_the_record() -> None:
    buffer = PlaybackBuffer()
    for number in range(3 * KEPT):
        buffer.add(f"item {number}", b"\1")
        buffer.pull(1)
    played = buffer.stop()
    assert len(played) == KEPT
    assert f"item {3 * KEPT - 1}" in played
