from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
from typing import Any

import psutil
import pytest
import srt
import webvtt
from starlette.testclient import TestClient

from open_speech.api.openai.schemas import SpeechRequest
from open_speech.api.openai.speech_events import SpeechMonitor
from open_speech.app import create_app
from open_speech.codecs import decode, encode_stream
from open_speech.config import Settings
from open_speech.engine import Engine
from open_speech.synthesis.plan import SynthesisRequest
from runners.wiring.engine import local_engine

PATH = "/v1/audio/speech"
TEXT = (
    "This is the first of several sentences, and it is not a short one. The second of them is about as long as the one before it. "
    "Twenty-three words are in the third one, if you count those at its end, which come after a comma, and are spoken last of all."
)
BODY = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm"}
Events = list[dict[str, Any]]


def events_of(client: TestClient, **extra: Any) -> Events:
    answer = client.post(PATH, json=BODY | {"stream_format": "sse"} | extra)
    assert answer.status_code == 200, answer.text
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]


def words_in(events: Events) -> list[dict[str, Any]]:
    return [word for event in events if event["type"] == "speech.audio.words" for word in event["words"]]


def heard_times(client: TestClient, events: Events) -> list[tuple[str, float, float]]:
    """What the recogniser says of the whole sound, which is none the wiser of what the captions were made of."""
    pcm = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    wav = client.post(PATH, json=BODY | {"response_format": "wav"}).content
    assert len(wav) == len(pcm) + 44
    fields = {"model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer = client.post("/v1/audio/transcriptions", data=fields, files={"file": wav}).json()
    return [(word["word"], word["start"], word["end"]) for word in answer["words"]]


def test_every_word_has_the_time_at_which_it_is_heard_in_the_whole(client: TestClient) -> None:
    events = events_of(client, timestamps="word")
    words = words_in(events)
    heard = heard_times(client, events)
    assert [word["word"] for word in words] == TEXT.split() == [text for text, _, _ in heard]
    for word, (_, start, end) in zip(words, heard, strict=True):
        assert word["start"] == pytest.approx(start, abs=0.06)
        assert word["end"] == pytest.approx(end, abs=0.06)


def test_words_come_after_the_sound_they_belong_to_and_before_the_end(client: TestClient) -> None:
    seconds = 0.0
    pieces = 0
    events = events_of(client, timestamps="word")
    for event in events:
        if event["type"] == "speech.audio.delta":
            seconds += len(base64.b64decode(event["audio"])) / 48_000
        elif event["type"] == "speech.audio.words":
            pieces += 1
            assert event["words"][-1]["end"] <= seconds + 0.01
    assert pieces > 1
    assert events[-1]["type"] == "speech.audio.done"
    assert "captions" not in events[-1]


def test_times_never_go_back(client: TestClient) -> None:
    words = words_in(events_of(client, timestamps="word", speed=2))
    assert all(before["end"] <= after["start"] + 0.001 for before, after in itertools.pairwise(words))


def test_one_object_holds_the_sound_and_its_words(client: TestClient) -> None:
    answer = client.post(PATH, json=BODY | {"stream_format": "json", "response_format": "mp3", "timestamps": "word", "captions": "vtt"})
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"format", "audio", "duration", "words", "captions", "usage"}
    assert body["format"] == "mp3"
    sound = decode(base64.b64decode(body["audio"], validate=True), 24_000, max_seconds=60)
    assert sound.seconds == pytest.approx(body["duration"], abs=0.1)
    assert [word["word"] for word in body["words"]] == TEXT.split()
    captions = webvtt.from_buffer(io.StringIO(body["captions"]))
    assert " ".join(" ".join(caption.text.split()) for caption in captions) == TEXT


def test_one_object_without_words_is_sound_alone(client: TestClient) -> None:
    plain = client.post(PATH, json=BODY).content
    body = client.post(PATH, json=BODY | {"stream_format": "json"}).json()
    assert body.keys() == {"format", "audio", "duration", "usage"}
    assert base64.b64decode(body["audio"], validate=True) == plain


def test_subtitles_come_with_the_last_event(client: TestClient) -> None:
    last = events_of(client, captions="srt")[-1]
    cues = list(srt.parse(last["captions"]))
    assert " ".join(" ".join(cue.content.split()) for cue in cues) == TEXT
    assert all(len(line) <= 42 for cue in cues for line in cue.content.splitlines())


def test_progress_counts_up_to_the_length_of_the_text(client: TestClient) -> None:
    events = [event for event in events_of(client, progress=True) if event["type"] == "speech.audio.progress"]
    done = [event["characters_done"] for event in events]
    assert {event["characters_total"] for event in events} == {len(TEXT)}
    assert len(done) >= 3
    assert done == sorted(done)
    assert done[-1] == len(TEXT)


@pytest.mark.parametrize("field", [{"timestamps": "word"}, {"captions": "vtt"}], ids=str)
def test_words_need_a_form_that_can_carry_them(client: TestClient, field: dict[str, str]) -> None:
    answer = client.post(PATH, json=BODY | field)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(field)))


@pytest.mark.parametrize("field", [{"timestamps": "segment"}, {"captions": "ass"}, {"progress": "much"}], ids=str)
def test_a_bad_value_is_named(client: TestClient, field: dict[str, str]) -> None:
    answer = client.post(PATH, json=BODY | {"stream_format": "sse"} | field)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(field)))


def test_without_a_recogniser_that_times_words_the_field_is_named(settings: Settings) -> None:
    deaf = settings.model_copy(update={"stt_backends": ()})
    with TestClient(create_app(deaf, local_engine(deaf))) as client:
        answer = client.post(PATH, json=BODY | {"stream_format": "sse", "timestamps": "word"})
    assert (answer.status_code, answer.json()["error"]["param"], answer.json()["error"]["code"]) == (400, "timestamps", "unsupported_value")


def test_a_text_of_100_000_characters_starts_at_once_and_is_never_held_as_sound(settings: Settings) -> None:
    # The sound as it is, so that its making, which is not what is asked about, takes seconds.
    engine = local_engine(settings.model_copy(update={"tts_trim_silence": False, "tts_normalize_output": False}))
    text = " ".join(f"This is sentence number {n} of a very long text that nobody wants to wait for." for n in range(1300))
    assert len(text) > 100_000
    grown, first, seconds, done = asyncio.run(_followed(engine, text))
    assert 0 < first < len(text) / 100
    assert done == len(text)
    assert seconds > 400
    assert grown < seconds * 24_000 * 4 / 3, "a third of the sound was in memory at once"


async def _followed(engine: Engine, text: str) -> tuple[int, int, float, int]:
    """Do what a request does, for a client that keeps nothing.

    Returns by how many bytes the memory grew, the characters of the first progress event, the seconds of audio, and the last characters.
    """
    request = SpeechRequest(model="tts-1", input=text, speed=4, progress=True)
    memory = psutil.Process().memory_info
    before = memory().rss
    speech = await engine.synthesis.speak(SynthesisRequest(request.model, request.input, speed=request.speed, is_long=True))
    monitor = SpeechMonitor(request)
    first = done = peak = 0
    async for event in monitor.events(encode_stream(monitor.over(speech), "pcm", speech.rate)):
        done = event.get("characters_done", done)
        first = first or done
        peak = max(peak, memory().rss)
    return peak - before, first, monitor.seconds, done
