"""The labels of speakers in a live session, with runners that answer late, fail or die."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.dispatch.client import RunnerClient
from open_speech.errors import InvalidValue, Overloaded
from open_speech.recognition.live import speaker_tracker
from open_speech.recognition.live.speaker_tracker import Decoded, SpeakerTracker, Speech, with_words
from open_speech.recognition.live.speakers import SessionSpeakers
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word
from tests.loud_voices import LoudVoices, spoken

INFO = TranscriptInfo("en", 1.0, 0.0)


@contextmanager
def admitted() -> Iterator[None]:
    yield


@contextmanager
def refused() -> Iterator[None]:
    raise Overloaded("The queue is full.", retry_after_s=1)
    yield


def tracker(voices: LoudVoices, *, is_admitted: bool = True, keeps_words: bool = False) -> SpeakerTracker:
    client = RunnerClient("voices", voices, deadline_s=5)

    async def extract(audio: Audio, windows: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return await client.voiceprints("voices/one", audio, windows)  # type: ignore[arg-type]

    def speech_in(audio: Audio) -> Speech:
        return ((0.0, audio.seconds),) if audio.samples.any() else ()

    return SpeakerTracker(extract, SessionSpeakers(), admitted if is_admitted else refused, speech_in, keeps_words=keeps_words)


def said(*levels: int) -> Transcript:
    words = tuple(Word(f" w{level}", at * 0.5, at * 0.5 + 0.5) for at, level in enumerate(levels))
    return Transcript(INFO, (Segment(0.0, len(levels) * 0.5, "".join(word.text for word in words), words),))


async def heard(tracker: SpeakerTracker, *levels: int, delay_s: float = 0.0) -> list[tuple[str, str | None]]:
    async def text() -> Transcript:
        await asyncio.sleep(delay_s)
        return said(*levels)

    audio = spoken(*levels)
    decoded = await tracker.decoded(audio, ((0.0, audio.seconds),), text())
    return [(one.text, one.speaker) for one in tracker.labelled(decoded).segments]


def test_a_segment_is_split_where_its_speaker_changes() -> None:
    async def scene() -> None:
        labels = tracker(LoudVoices())
        assert await heard(labels, 2, 2, 2, 2) == [(" w2 w2 w2 w2", "A")]
        assert await heard(labels, 2, 2, 2, 2, 7, 7, 7, 7) == [(" w2 w2 w2 w2", "A"), (" w7 w7 w7 w7", "B")]
        assert await heard(labels, 7, 7, 7) == [(" w7 w7 w7", "B")]

    asyncio.run(scene())


def test_words_remain_only_if_they_were_requested() -> None:
    async def words(*, keeps_words: bool) -> int:
        labels = tracker(LoudVoices(), keeps_words=keeps_words)
        decoded = await labels.decoded(spoken(2, 2, 2), ((0.0, 1.5),), asyncio.sleep(0, said(2, 2, 2)))
        return len(labels.labelled(decoded).words)

    assert asyncio.run(words(keeps_words=True)) == 3
    assert asyncio.run(words(keeps_words=False)) == 0


def test_a_final_text_does_not_wait_for_a_slow_runner(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(speaker_tracker, "LABEL_WAIT_S", 0.1)

    async def scene() -> None:
        voices = LoudVoices()
        labels = tracker(voices)
        voices.delay_s = 30.0
        async with asyncio.timeout(voices.delay_s / 2):
            assert await heard(labels, 2, 2, 2) == [(" w2 w2 w2", None)]
            assert await heard(labels, 2, 2, 2) == [(" w2 w2 w2", None)]
        voices.delay_s = 0.0
        assert await heard(labels, 2, 2, 2) == [(" w2 w2 w2", "A")]

    with caplog.at_level(logging.INFO, "open_speech.speakers"):
        asyncio.run(scene())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], "one line for the failures, one for their end"


def test_a_slow_text_gives_the_runner_its_time() -> None:
    async def scene() -> None:
        voices = LoudVoices()
        voices.delay_s = 0.2
        assert await heard(tracker(voices), 2, 2, 2, delay_s=0.4) == [(" w2 w2 w2", "A")]

    asyncio.run(scene())


def test_a_full_queue_leaves_the_text_without_speakers() -> None:
    assert asyncio.run(heard(tracker(LoudVoices(), is_admitted=False), 2, 2, 2)) == [(" w2 w2 w2", None)]


def test_a_text_that_fails_ends_the_work_on_its_voices() -> None:
    async def scene() -> None:
        voices = LoudVoices()
        voices.delay_s = 30.0

        async def fails() -> Transcript:
            await asyncio.sleep(0.05)
            raise Overloaded("no", retry_after_s=1)

        with pytest.raises(Overloaded):
            await tracker(voices).decoded(spoken(2, 2), ((0.0, 1.0),), fails())
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 5)

    asyncio.run(scene())


def test_audio_without_text_adds_no_speaker() -> None:
    async def scene() -> None:
        labels = tracker(LoudVoices())
        noise = await labels.decoded(spoken(5, 5, 5), ((0.0, 1.5),), asyncio.sleep(0, Transcript(INFO)))
        assert labels.labelled(noise).segments == ()
        assert await heard(labels, 2, 2, 2) == [(" w2 w2 w2", "A")]

    asyncio.run(scene())


def test_a_result_that_is_dropped_changes_nothing() -> None:
    async def scene() -> None:
        labels = tracker(LoudVoices())
        await labels.decoded(spoken(5, 5, 5), ((0.0, 1.5),), asyncio.sleep(0, said(5, 5, 5)))
        assert await heard(labels, 2, 2, 2) == [(" w2 w2 w2", "A")]

    asyncio.run(scene())


def test_a_known_speaker_has_a_name_and_silence_is_refused() -> None:
    async def scene() -> None:
        labels = tracker(LoudVoices())
        await labels.enroll([("Ann", spoken(7, 7, 7, 7))])
        assert await heard(labels, 2, 2, 2, 2, 7, 7, 7, 7) == [(" w2 w2 w2 w2", "A"), (" w7 w7 w7 w7", "Ann")]
        with pytest.raises(InvalidValue) as failed:
            await labels.enroll([("Bob", spoken(0, 0, 0, 0))])
        assert failed.value.param == "known_speaker_references"

    asyncio.run(scene())


def test_without_a_tracker_the_text_is_as_it_was() -> None:
    async def scene() -> None:
        text = said(1, 2)
        decoded = await speaker_tracker.decoded(None, spoken(1, 2), ((0.0, 1.0),), asyncio.sleep(0, text))
        assert speaker_tracker.labelled(None, decoded) is text
        assert decoded == Decoded(text)

    asyncio.run(scene())


def test_word_times_are_estimated_from_the_speech_in_a_segment() -> None:
    segment = Segment(0.0, 10.0, " one two, three")
    (found,) = with_words(Transcript(INFO, (segment,)), ((1.0, 2.5), (6.0, 7.5))).segments
    assert "".join(word.text for word in found.words) == found.text
    assert [(round(word.start, 2), round(word.end, 2)) for word in found.words] == [(1.0, 1.75), (1.75, 6.25), (6.25, 7.5)]
    assert with_words(Transcript(INFO, (segment,)), ()).segments == (segment,)
