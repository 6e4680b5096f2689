from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from open_speech.api.openai.responses import Extras
from open_speech.api.openai.transcription_events import EventWriter
from open_speech.transcript import Segment, Token, Transcript, TranscriptInfo

INFO = TranscriptInfo("de", 0.9, 1.2346)


def written(*segments: Segment, extras: Extras | None = None, speakers: bool = False) -> list[dict[str, Any]]:
    writer = EventWriter(extras or Extras(), speakers=speakers)
    return [*(event for segment in segments for event in writer.segment(segment)), writer.done(INFO)]


def test_each_segment_is_a_delta_and_the_end_has_the_text_and_the_usage() -> None:
    assert written(Segment(0, 0.5, " Guten"), Segment(0.5, 0.9, " Tag. ")) == [
        {"type": "transcript.text.delta", "delta": "Guten"},
        {"type": "transcript.text.delta", "delta": " Tag."},
        {
            "type": "transcript.text.done", "text": "Guten Tag.",
            "usage": {"type": "tokens", "input_tokens": 13, "output_tokens": 3, "total_tokens": 16},
        },
    ]  # fmt: skip


def test_silence_is_the_end_only() -> None:
    assert [event["type"] for event in written()] == ["transcript.text.done"]
    assert written(Segment(0, 1, "  "))[0]["text"] == ""


@given(texts=st.lists(st.text(alphabet=" \nab", max_size=5), max_size=8))
def test_the_deltas_joined_are_the_text_of_the_transcript(texts: list[str]) -> None:
    segments = [Segment(at, at + 1, text) for at, text in enumerate(texts)]
    *deltas, done = written(*segments)
    assert "".join(event["delta"] for event in deltas) == done["text"] == Transcript(INFO, tuple(segments)).text
    assert all(event["delta"] for event in deltas)


def test_logprobs_come_with_their_delta_and_all_together_at_the_end() -> None:
    one = Segment(0, 1, " Ja", logprobs=(Token(" Ja", -0.25),))
    two = Segment(1, 2, " ü", logprobs=(Token(" ü", -0.5),))
    first, second, done = written(one, two, extras=Extras(logprobs=True))
    assert first["logprobs"] == [{"token": " Ja", "logprob": -0.25, "bytes": (32, 74, 97)}]
    assert second["logprobs"] == [{"token": " ü", "logprob": -0.5, "bytes": (32, 195, 188)}]
    assert done["logprobs"] == first["logprobs"] + second["logprobs"]
    assert not [event for event in written(one) if "logprobs" in event]


def test_languages_come_at_the_end_when_they_are_wanted() -> None:
    assert written(Segment(0, 1, " Ja"), extras=Extras(languages=True))[-1]["languages"] == [{"code": "de"}]
    assert written(extras=Extras(languages=True))[-1]["languages"] == []
    assert "languages" not in written(Segment(0, 1, " Ja"))[-1]


def test_who_spoke_comes_after_what_was_said() -> None:
    events = written(Segment(0, 1.00004, " Ja.", speaker="A"), Segment(1, 2, "  "), Segment(2, 3, " Nein.", speaker="Ann"), speakers=True)
    assert [event["type"].removeprefix("transcript.text.") for event in events] == ["delta", "segment", "delta", "segment", "done"]
    assert events[0]["segment_id"] == events[1]["id"] == "seg_001"
    assert events[3] == {"type": "transcript.text.segment", "id": "seg_002", "start": 2, "end": 3, "text": "Nein.", "speaker": "Ann"}
