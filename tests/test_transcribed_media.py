"""Files whose clock or channels hid speech, through the endpoints on real weights: the right words at the right times."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from benchmarks.corpus import TWO_CITIES, word_errors
from open_speech import config
from open_speech.api.jobs import checkpoints
from open_speech.api.jobs.work import PartialTranscript
from open_speech.app import create_app
from open_speech.audio import Audio, concat, resample, silence
from open_speech.backends import STT_RATE, TranscribeOptions
from open_speech.codecs import decode
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.transcript import Transcript
from runners.wiring.engine import local_engine
from tests.api.openai.test_channels import stereo
from tests.codecs.timed import gaps_at, timed

pytestmark = pytest.mark.weights

DATA = Path(__file__).parent / "data"
FIRST = "the quick brown fox jumps over the lazy dog"
WORDS = re.compile(r"[a-z]+")
CASES = [("late_audio.mkv", 9.89, 4.9, None), ("dtx.webm", 17.92, 0.0, 13.06), ("gap10.mp4", 14.96, 0.0, 12.9)]
"""Files of the same two sentences: duration, beginning of the first sentence, and of the last one if it is far from that."""


def words(text: str) -> str:
    return " ".join(WORDS.findall(text.lower()))


@pytest.fixture(scope="module")
def engine(default_weights: None) -> Engine:
    return local_engine(config.load({"OS_OFFLINE": "true", "TTS_ENABLED": "false"}))


@pytest.fixture(scope="module")
def client(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = str(tmp_path_factory.mktemp("jobs"))
    settings = config.load({"OS_OFFLINE": "true", "TTS_ENABLED": "false", "OS_JOBS_DIR": folder})
    with TestClient(create_app(settings, engine)) as client:
        yield client


def post(client: TestClient, file: bytes, path: str = "/v1/audio/transcriptions", **fields: Any) -> Any:
    answer = client.post(path, files={"file": ("media", file)}, data={"model": "whisper-1", "language": "en", **fields})
    assert answer.status_code == 200, answer.text
    return answer


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


def cue_starts(subtitles: str) -> list[float]:
    return [seconds(clock) for clock in re.findall(r"(\d\d:\d\d:\d\d[.,]\d{3}) -->", subtitles)]


@pytest.mark.parametrize(("name", "duration", "first", "last"), CASES)
def test_every_endpoint_has_the_times_of_the_container(
    client: TestClient, name: str, duration: float, first: float, last: float | None
) -> None:
    file = (DATA / name).read_bytes()
    body = post(client, file, response_format="verbose_json").json()
    assert body["duration"] == pytest.approx(duration, abs=0.05)
    assert body["segments"][0]["start"] == pytest.approx(first, abs=0.3)
    assert FIRST in words(body["text"]) or last is not None
    starts = [segment["start"] for segment in body["segments"]]
    if last is not None:
        assert any(start == pytest.approx(last, abs=0.4) for start in starts)
    film = client.post("/asr", files={"audio_file": ("film.mkv", file)}, params={"output": "srt", "language": "en"}).text
    for subtitles in (film, post(client, file, response_format="srt").text, post(client, file, response_format="vtt").text):
        assert cue_starts(subtitles) == pytest.approx(starts, abs=0.05)
    stream = post(client, file, model="gpt-4o-transcribe", stream="true", **{"timestamp_granularities[]": "segment"}).text
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: {")]
    assert [event["start"] for event in events if "delta" in event] == pytest.approx(starts, abs=0.05)
    assert events[-1]["duration"] == pytest.approx(duration, abs=0.05)


@pytest.mark.parametrize(("name", "last"), [("dtx.webm", 13.06), ("gap10.mp4", 12.9)])
def test_a_transcription_that_begins_later_has_the_same_times(engine: Engine, name: str, last: float) -> None:
    async def heard() -> Transcript:
        return await (
            await engine.recognition.stream(DATA / name, RecognitionRequest("whisper-1", TranscribeOptions(language="en"), start_s=10.0))
        ).whole()

    transcript = asyncio.run(heard())
    assert 10 + transcript.segments[0].start == pytest.approx(last, abs=0.4)


@pytest.fixture(scope="module")
def fox() -> Audio:
    """The two sentences, 5 s, at 48 kHz."""
    return collect(blocks(DATA / "antiphase.mp3", 48_000, max_seconds=60, channel=0), 48_000)


@pytest.fixture(scope="module")
def fox_text(client: TestClient, fox: Audio) -> str:
    return words(post(client, stereo([fox])).json()["text"])


def test_the_recording_with_an_inverted_channel_has_its_text(client: TestClient) -> None:
    assert FIRST in words(post(client, (DATA / "antiphase.mp3").read_bytes()).json()["text"])


@pytest.mark.parametrize(
    ("container", "codec", "rate", "gap"),
    [
        ("webm", "libopus", 48_000, 7.0), ("mov", "alac", 48_000, 20.0), ("mpegts", "mp2", 44_100, 5.5), ("flv", "aac", 44_100, 3.0),
        ("asf", "wmav2", 44_100, 12.0), ("matroska", "flac", 48_000, 30.0),
    ],
)  # fmt: skip
def test_the_sentence_after_a_gap_is_that_much_later(
    client: TestClient, fox: Audio, container: str, codec: str, rate: int, gap: float
) -> None:
    plain = post(client, timed(container, codec, resample(fox, rate), lambda _: 0.0), response_format="verbose_json").json()
    file = timed(container, codec, resample(fox, rate), gaps_at([(2.75, gap)]))
    body = post(client, file, response_format="verbose_json").json()
    assert words(body["text"]) == words(plain["text"])
    assert body["duration"] == pytest.approx(plain["duration"] + gap, abs=0.1)
    assert body["segments"][-1]["end"] == pytest.approx(plain["segments"][-1]["end"] + gap, abs=0.4)
    assert body["segments"][0]["start"] == pytest.approx(plain["segments"][0]["start"], abs=0.3)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "late"),
    [("mp4", "aac", 44_100, 6.0), ("mpegts", "mp2", 44_100, 3.3), ("flv", "aac", 44_100, 8.0), ("asf", "wmav2", 44_100, 2.5),
     ("mov", "alac", 48_000, 11.0)],
)  # fmt: skip
def test_a_film_whose_audio_starts_late_has_its_subtitles_late(
    client: TestClient, fox: Audio, container: str, codec: str, rate: int, late: float
) -> None:
    file = timed(container, codec, resample(fox, rate), lambda _: late, video_at_s=0.0, video_seconds=late + 5)
    answer = client.post("/asr", files={"audio_file": ("film", file)}, params={"output": "srt", "language": "en"})
    assert cue_starts(answer.text)[0] == pytest.approx(late, abs=0.35)


def hiss(count: int, level: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(9).normal(0, level, count).astype(np.float32)


FAULTS: dict[str, Callable[[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]] = {
    "inverted, at another level": lambda s: [s, -0.8 * s],
    "inverted, with an offset": lambda s: [0.7 * s + 0.2, -0.7 * s + 0.2],
    "silent left": lambda s: [np.zeros_like(s), s],
    "noise louder than the speech": lambda s: [hiss(len(s), 0.25), s],
    "hum": lambda s: [s, 0.4 * np.sin(np.arange(len(s)) * 2 * np.pi * 50 / 48_000)],
    "an offset": lambda s: [0.6 * s + 0.35, 0.6 * s + 0.35],
    "surround with inverted sides": lambda s: [0.5 * s, -0.5 * s, 0.02 * s, np.zeros_like(s), hiss(len(s), 0.05), np.zeros_like(s)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_channel_does_not_change_the_words(client: TestClient, fox: Audio, fox_text: str, fault: str) -> None:
    channels = [Audio(np.clip(channel, -1, 1).astype(np.float32), 48_000) for channel in FAULTS[fault](fox.samples)]
    assert words(post(client, stereo(channels)).json()["text"]) == fox_text


@pytest.fixture(scope="module")
def call(fox: Audio, speech_clips: dict[str, Path]) -> list[Audio]:
    """Two who take turns, and talk at once at the end: another reader, and the two sentences."""
    reader = decode(speech_clips["beckett"], STT_RATE, max_seconds=60).samples
    sentences = resample(fox, STT_RATE).samples
    silent = np.zeros(len(reader) + STT_RATE, np.float32)
    pause = np.zeros(STT_RATE, np.float32)
    one = np.concatenate([reader, pause, np.zeros_like(sentences), pause, reader, silent])
    other = np.concatenate([silent, sentences, pause, sentences])
    return [Audio(one, STT_RATE), Audio(np.pad(other, (0, len(one) - len(other))), STT_RATE)]


@pytest.mark.parametrize("mode", ["separate", "auto"])
def test_each_channel_of_a_call_has_the_words_that_it_has_alone(client: TestClient, call: list[Audio], mode: str) -> None:
    body = post(client, stereo(call), channels=mode, response_format="verbose_json").json()
    for channel, speaker in enumerate("AB"):
        alone = words(post(client, stereo([call[channel]])).json()["text"])
        said = [segment for segment in body["segments"] if segment["channel"] == channel]
        assert words(" ".join(segment["text"] for segment in said)) == alone
        assert {segment["speaker"] for segment in said} == {speaker}
    assert [segment["start"] for segment in body["segments"]] == sorted(segment["start"] for segment in body["segments"])


def test_auto_mixes_what_is_one_recording(client: TestClient, fox: Audio, fox_text: str) -> None:
    for channels in ([fox, fox], [fox, Audio(hiss(len(fox.samples), 0.01), fox.rate)], [fox, Audio(-fox.samples, fox.rate)]):
        body = post(client, stereo(channels), channels="auto", response_format="verbose_json").json()
        assert words(body["text"]) == fox_text
        assert not any("channel" in segment for segment in body["segments"])


def test_a_call_that_is_interrupted_is_resumed_without_losing_or_doubling_a_word(
    engine: Engine, speech_clips: dict[str, Path], tmp_path: Path
) -> None:
    reader = decode(speech_clips["two_cities"], STT_RATE, max_seconds=60)
    ends = [0, *(round(end_s * STT_RATE) for end_s, _ in TWO_CITIES)]
    turns = [Audio(reader.samples[start:end], STT_RATE) for start, end in itertools.pairwise(ends)]
    # A silence of more than 6 s ends the windows of both channels.
    gap = silence(7, STT_RATE)
    sides: list[list[Audio]] = [[], []]
    for number, turn in enumerate(turns):
        sides[number % 2] += [turn, gap]
        sides[1 - number % 2] += [silence(turn.seconds, STT_RATE), gap]
    file, options = stereo([concat(side, STT_RATE) for side in sides]), TranscribeOptions(language="en")

    async def run(partial: PartialTranscript, most: int) -> Transcript:
        listening = await engine.recognition.stream(
            file, RecognitionRequest("whisper-1", options, start_s=partial.until_s, channels="separate")
        )
        taken = 0
        async for segment in listening:
            await partial.add(listening.info, segment)
            taken += 1
            if taken == most:
                await listening.aclose()
                break
        return partial.whole(listening.info)

    def said(transcript: Transcript, channel: int) -> str:
        return words(" ".join(segment.text for segment in transcript.segments if segment.channel == channel))

    whole = asyncio.run(run(PartialTranscript(tmp_path / "whole", []), 1000))
    kept_s = []
    for most in (2, 4, len(whole.segments) - 1):
        path = tmp_path / f"after {most}"
        asyncio.run(run(PartialTranscript(path, []), most))
        partial = PartialTranscript(path, checkpoints.read(path))
        kept_s.append(partial.until_s)
        resumed = asyncio.run(run(partial, 1000))
        # The windows after a break begin elsewhere, so that a word may be recognized otherwise; none may be lost or doubled.
        for channel in (0, 1):
            assert len(said(resumed, channel).split()) == len(said(whole, channel).split())
            assert word_errors(said(whole, channel), said(resumed, channel)) <= 2
        assert resumed.info.duration == pytest.approx(whole.info.duration, abs=0.05)
    assert kept_s == sorted(kept_s)
    assert kept_s[-1] > 5
