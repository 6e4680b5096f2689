from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from open_speech.client.resume import Continuity, ResumableAudio


def final(text: str, start: float, end: float, until: float, *, speech_final: bool = True) -> dict[str, Any]:
    return {
        "type": "transcript", "text": text, "start": start, "end": end, "is_final": True, "speech_final": speech_final,
        "final_until": until,
    }  # fmt: skip


def test_audio_that_is_not_final_is_sent_again_and_only_that() -> None:
    audio = ResumableAudio(rate=4)
    audio.append(bytes(range(12)))
    assert audio.take(5) + audio.take(99) == bytes(range(12))
    assert audio.is_sent
    audio.settle(0.6)  # 2.4 samples: two whole ones
    audio.restart()
    assert (audio.base_s, audio.take(99)) == (0.5, bytes(range(4, 12)))
    audio.settle(0.5)
    audio.restart()
    assert (audio.base_s, audio.seconds, audio.take(99)) == (1.0, 0.5, bytes(range(8, 12)))


def test_audio_that_was_not_sent_is_never_final() -> None:
    audio = ResumableAudio(rate=4)
    audio.append(bytes(8))
    audio.take(4)
    audio.settle(60)
    assert audio.take(99) == bytes(4)


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(1, 7), st.floats(0, 3), st.booleans()), max_size=30))
def test_no_byte_is_lost_however_often_the_connection_is(steps: list[tuple[bytes, int, float, bool]]) -> None:
    """What was final before each restart, and what is sent after the last one, are the stream."""
    audio, stream = ResumableAudio(rate=2), b""
    for data, size, until, cut in steps:
        audio.append(data)
        stream += data
        audio.take(size)
        audio.settle(until)
        if cut:
            audio.restart()
    audio.restart()
    rest = audio.take(1 << 20)
    assert stream.endswith(rest)
    assert round(audio.base_s * 4) + len(rest) == len(stream)


def test_messages_of_a_second_connection_continue_the_first() -> None:
    audio = ResumableAudio(rate=10)
    stream = Continuity(audio)
    audio.append(bytes(200))
    audio.take(200)
    assert stream.accept({"type": "session.begin"}) == [{"type": "session.begin"}]
    assert stream.accept({"type": "vad", "state": "speech_start", "at": 1.0})
    (text,) = stream.accept(final("one", 1.0, 3.9, 4.0, speech_final=False))
    assert (text["start"], text["end"], "final_until" in text) == (1.0, 3.9, False)
    audio.restart()
    assert stream.accept({"type": "session.begin"}) == []
    assert stream.accept({"type": "vad", "state": "speech_start", "at": 0.0}) == []
    assert stream.accept({"type": "vad", "state": "speech_end", "at": 2.0}) == [{"type": "vad", "state": "speech_end", "at": 6.0}]
    assert stream.accept({"type": "progress", "final_until": 3.0}) == []
    closing, end = stream.accept({"type": "session.end", "duration": 6.0})
    assert (closing["text"], closing["speech_final"], closing["start"]) == ("", True, 3.9)
    assert end["duration"] == 10.0
