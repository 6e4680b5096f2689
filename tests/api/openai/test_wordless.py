"""Texts without words: a short silence, as clients send such texts on purpose; and what they come to beside words."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
import soundfile
from starlette.testclient import TestClient

from open_speech.audio import Audio
from open_speech.codecs import collect
from open_speech.codecs.decode import blocks
from open_speech.synthesis.pipeline import MAX_WORDLESS_S, WORDLESS_S

WORDLESS = (".", "…", "👍", "- ", "***", "?!", "🎉🎉", "—", "\u200b", "。")


def speak(client: TestClient, text: str, **fields: Any) -> Any:
    return client.post("/v1/audio/speech", json={"model": "tts-1", "input": text, "response_format": "wav", **fields})


def seconds(data: bytes) -> float:
    return soundfile.info(io.BytesIO(data)).duration


def heard(data: bytes) -> Audio:
    return collect(blocks(data, 16_000, max_seconds=600), 16_000)


@pytest.mark.parametrize("text", WORDLESS)
def test_a_text_without_words_is_a_short_silence(client: TestClient, text: str) -> None:
    answer = speak(client, text)
    assert answer.status_code == 200, answer.text
    audio = heard(answer.content)
    assert audio.seconds == pytest.approx(WORDLESS_S, abs=0.01)
    assert not audio.samples.any()


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "pcm"])
def test_every_format_is_a_file_that_can_be_played(client: TestClient, form: str) -> None:
    answer = speak(client, "…", response_format=form)
    assert answer.status_code == 200
    assert len(answer.content) > 20


def test_the_rate_that_is_asked_for_is_that_of_the_silence(client: TestClient) -> None:
    assert soundfile.info(io.BytesIO(speak(client, ".", sample_rate=8000).content)).samplerate == 8000


@pytest.mark.parametrize("text", [".", "👍"])
def test_events_and_json_are_complete_too(client: TestClient, text: str) -> None:
    whole = speak(client, text, stream_format="json").json()
    assert heard(base64.b64decode(whole["audio"])).seconds == pytest.approx(WORDLESS_S, abs=0.01)
    assert '"type":"speech.audio.done"' in speak(client, text, stream_format="sse").text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "length_s"),
    [('<speak><break time="2s"/></speak>', 2.0), ("[pause:1.5]", 1.5), ('<speak><break time="10ms"/></speak>', WORDLESS_S)],
)
def test_pauses_alone_last_as_long_as_they_are(client: TestClient, text: str, length_s: float) -> None:
    assert heard(speak(client, text).content).seconds == pytest.approx(length_s, abs=0.01)
    assert length_s < MAX_WORDLESS_S


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_text_is_still_refused(client: TestClient, text: str) -> None:
    answer = speak(client, text)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize("text", ["the quick. … brown fox", "… the quick brown fox", "the quick brown fox 👍"])
def test_what_is_no_word_does_not_end_a_speech(client: TestClient, text: str) -> None:
    spoken = speak(client, text)
    assert spoken.status_code == 200
    transcribed = client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files={"file": ("a.wav", spoken.content)})
    words = re.findall(r"\w+", transcribed.json()["text"])
    assert words == ["the", "quick", "brown", "fox"]


def test_a_wav_that_is_whole_states_its_true_length(client: TestClient) -> None:
    data = base64.b64decode(speak(client, "the quick brown fox", stream_format="json").json()["audio"])
    assert soundfile.info(io.BytesIO(data)).frames == (len(data) - 44) // 2
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
