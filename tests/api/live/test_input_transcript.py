from __future__ import annotations

from open_speech.api.live.input_transcript import InputTranscript


def test_deltas_of_a_turn_follow_each_other_on_the_grid() -> None:
    transcript = InputTranscript()
    transcript.begin(1, 950)
    (first,) = transcript.words(1, "Hello", 2310)
    (second,) = transcript.words(1, " there", 3010)
    transcript.stop(1, 3350)
    (third,) = transcript.words(1, " world.", 4000)
    assert [(event["delta"], event["start_ms"], event["end_ms"]) for event in (first, second, third)] == [
        (" Hello", 800, 2400),
        (" there", 2400, 3200),
        (" world.", 3200, 3400),
    ]


def test_each_turn_begins_with_a_space_where_its_speech_began() -> None:
    transcript = InputTranscript()
    transcript.begin(1, 0)
    transcript.words(1, "One.", 1000)
    transcript.done(1)
    transcript.begin(2, 5050)
    (event,) = transcript.words(2, "Two.", 6000)
    assert (event["delta"], event["start_ms"]) == (" Two.", 5000)


def test_a_turn_waits_for_an_earlier_one() -> None:
    transcript = InputTranscript()
    transcript.begin(1, 0)
    transcript.begin(2, 2000)
    assert transcript.words(2, "Later.", 3000) == []
    assert transcript.done(2) == []
    assert [event["delta"] for event in transcript.words(1, "First.", 3500)] == [" First."]
    assert [event["delta"] for event in transcript.done(1)] == [" Later."]


def test_times_never_go_back() -> None:
    transcript = InputTranscript()
    transcript.begin(1, 0)
    transcript.words(1, "One", 2000)
    transcript.stop(1, 1500)
    (event,) = transcript.words(1, " two", 2100)
    assert event["start_ms"] == event["end_ms"] == 2000
    transcript.done(1)
    transcript.begin(2, 1700)
    (event,) = transcript.words(2, "Three", 2500)
    assert (event["start_ms"], event["end_ms"]) == (2000, 2600)


def test_an_empty_turn_sends_nothing() -> None:
    transcript = InputTranscript()
    transcript.begin(1, 0)
    assert transcript.words(1, " ", 500) == []
    assert transcript.done(1) == []
