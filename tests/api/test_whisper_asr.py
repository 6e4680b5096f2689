"""The dialect of whisper-asr-webservice, with requests byte for byte as Bazarr sends them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import srt
import webvtt
from starlette.testclient import TestClient

from open_speech import __version__
from open_speech.api.whisper_asr import AsrRequest, formatted
from open_speech.app import create_app
from open_speech.audio import to_pcm16
from open_speech.backends import STT_RATE, Vad
from open_speech.codecs import decode
from open_speech.config import Settings
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.wiring.engine import local_engine

SENTENCE = "Hello there world."
BOUNDARY = "0e23c3f4a5b64d27b0e5a1a7c3f9e8d1"
MIB = 1 << 20


def settings(folder: Path, **changes: Any) -> Settings:
    usual = {
        "stt_backends": ("tones-stt",), "tts_backends": ("tones-tts",), "stt_model": "tones/listen", "tts_model": "tones/speak",
        "tts_voice": "tone", "stt_vad_enabled": False, "os_offline": True, "os_max_upload_mb": 1, "os_max_raw_upload_mb": 3,
    }  # fmt: skip
    return Settings(os_models_dir=folder, **{**usual, **changes})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    made = settings(tmp_path_factory.mktemp("models"))
    with TestClient(create_app(made, local_engine(made))) as client:
        yield client


@pytest.fixture(scope="module")
def clip(client: TestClient) -> bytes:
    """SENTENCE as a wav file."""
    body = {"model": "tts-1", "input": SENTENCE, "voice": "alloy", "response_format": "wav"}
    return client.post("/v1/audio/speech", json=body).content


@pytest.fixture(scope="module")
def film(clip: bytes) -> bytes:
    """SENTENCE as Bazarr sends a film: 16-bit mono PCM at 16 kHz, no header."""
    return to_pcm16(decode(clip, STT_RATE, max_seconds=60))


def as_bazarr(client: TestClient, url: str, film: bytes) -> Any:
    """Post what Bazarr's provider posts (requests, `files={"audio_file": …}`): one part that has no content type."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="audio_file"\r\n\r\n'
    body = head.encode() + film + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {
        "User-Agent": "Subliminal/2.2", "Accept-Encoding": "gzip, deflate", "Accept": "*/*", "Connection": "keep-alive",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }  # fmt: skip
    return client.post(url, content=body, headers=headers)


def ask(client: TestClient, clip: bytes, url: str = "/asr", **fields: str) -> Any:
    return client.post(url, files={"audio_file": ("film.mkv", clip)}, params=fields)


@pytest.mark.parametrize("prefix", ["", "/bazarr"])
def test_bazarr_gets_a_subtitle_file_for_a_film(client: TestClient, film: bytes, prefix: str) -> None:
    url = f"{prefix}/asr?task=transcribe&language=en&output=srt&encode=false&video_file=%2Fmovies%2FA+Film.mkv"
    answer = as_bazarr(client, url, film)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    (cue,) = srt.parse(answer.text)
    assert (cue.content, cue.index) == (SENTENCE, 1)


@pytest.mark.parametrize("prefix", ["", "/bazarr"])
def test_bazarr_is_told_the_language(client: TestClient, film: bytes, prefix: str) -> None:
    answer = as_bazarr(client, f"{prefix}/detect-language?encode=false", film)
    assert answer.json() == {"detected_language": "english", "language_code": "en", "confidence": 1.0}


def test_bazarr_sees_that_somebody_is_here(client: TestClient) -> None:
    assert client.get("/status").json() == client.get("/bazarr/status").json() == {"version": f"Open Speech {__version__}"}


def test_the_models_are_those_that_transcribe(client: TestClient) -> None:
    assert client.get("/bazarr/models").json() == {"models": ["tones/listen"], "default": "tones/listen"}


def test_silence_is_an_empty_subtitle_file(client: TestClient) -> None:
    answer = as_bazarr(client, "/asr?task=transcribe&language=en&output=srt&encode=false", bytes(32_000))
    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize("fields", [{}, {"encode": "true"}])
def test_a_media_file_is_decoded_unless_it_is_said_to_be_raw(client: TestClient, clip: bytes, fields: dict[str, str]) -> None:
    assert ask(client, clip, **fields).text == f"{SENTENCE}\n"
    assert ask(client, clip, "/detect-language", **fields).json()["language_code"] == "en"


def test_the_part_may_be_called_file_and_the_fields_may_be_in_the_form(client: TestClient, clip: bytes) -> None:
    answer = client.post("/bazarr/asr", files={"file": clip}, data={"output": "srt", "language": "English"})
    assert next(srt.parse(answer.text)).content == SENTENCE


@pytest.mark.parametrize(
    ("output", "kind", "start"),
    [
        ("txt", "text/plain", SENTENCE),
        ("srt", "text/plain", "1\n00:00:0"),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:0"),
        ("tsv", "text/tab-separated-values", "start\tend\ttext\n"),
        ("lrc", "text/plain", "[00:00."),
        ("json", "application/json", '{"text":"Hello there world."'),
        ("jsonl", "application/jsonl", '{"id":0,'),
    ],
)
def test_every_output_is_what_its_name_says(client: TestClient, clip: bytes, output: str, kind: str, start: str) -> None:
    answer = ask(client, clip, output=output)
    assert answer.headers["content-type"].partition(";")[0] == kind
    assert answer.text.startswith(start)
    assert SENTENCE in answer.text


def test_json_lists_words_when_it_is_asked_to(client: TestClient, clip: bytes) -> None:
    assert "words" not in ask(client, clip, output="json").json()["segments"][0]
    segment = ask(client, clip, output="json", word_timestamps="true").json()["segments"][0]
    assert [word["word"].strip() for word in segment["words"]] == SENTENCE.split()
    assert json.loads(ask(client, clip, output="jsonl", word_timestamps="true").text) == segment


def test_subtitles_take_a_shape(client: TestClient, clip: bytes) -> None:
    shaped = ask(client, clip, output="vtt", max_line_width="12", max_line_count="1").text
    assert [cue.text for cue in webvtt.from_string(shaped).captions] == ["Hello there", "world."]


@pytest.mark.parametrize(("vad_filter", "searched"), [(True, True), (False, False), (None, False)])
def test_a_film_is_searched_for_speech_as_the_server_does(vad_filter: bool | None, searched: bool) -> None:
    usual = Vad(0.3, min_silence_ms=500)
    options = AsrRequest(vad_filter=vad_filter).options(usual)
    assert options.vad == (usual if searched else None)
    assert options.sequential == (vad_filter is False)


@pytest.mark.parametrize("vad_filter", ["true", "false"])
def test_other_fields_of_the_dialect_are_taken(client: TestClient, clip: bytes, vad_filter: str) -> None:
    answer = ask(client, clip, vad_filter=vad_filter, initial_prompt="A greeting.", language="", diarize="false", word_timestamps="false")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"output": "pdf"}, "output"),
        ({"task": "sing"}, "task"),
        ({"task": "translate"}, "task"),
        ({"language": "klingonish"}, "language"),
        ({"encode": "perhaps"}, "encode"),
        ({"model": "nobody"}, "model"),
        ({"max_line_count": "99"}, "max_line_count"),
    ],
)
def test_an_error_is_never_a_subtitle_file(client: TestClient, clip: bytes, fields: dict[str, str], param: str) -> None:
    answer = ask(client, clip, **fields)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("sent", [b"", b"a letter, no film"])
def test_what_is_not_sound_is_refused(client: TestClient, sent: bytes) -> None:
    answer = as_bazarr(client, "/asr?output=srt", sent)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("sent", [b"", b"odd"])
def test_raw_sound_must_be_whole_samples(client: TestClient, sent: bytes) -> None:
    assert as_bazarr(client, "/asr?output=srt&encode=false", sent).status_code == 400


def test_a_missing_part_is_named(client: TestClient) -> None:
    answer = client.post("/asr", files={"other": b"x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "missing_required_parameter")


def test_a_film_may_be_larger_than_other_uploads(client: TestClient, film: bytes) -> None:
    long = film + bytes(2 * MIB)
    url = "/asr?task=transcribe&language=en&output=srt&encode=false"
    assert next(srt.parse(as_bazarr(client, url, long).text)).content == SENTENCE
    refused = client.post("/v1/audio/transcriptions", files={"file": long}, data={"model": "whisper-1"})
    assert refused.status_code == 413


@pytest.mark.parametrize("path", ["/asr", "/detect-language", "/bazarr/asr", "/bazarr/detect-language"])
def test_a_film_has_a_limit_too(client: TestClient, path: str) -> None:
    answer = as_bazarr(client, f"{path}?encode=false", bytes(4 * MIB))
    assert answer.status_code == 413
    assert f"({3 * MIB})" in answer.json()["error"]["message"]


def test_a_key_is_asked_for_as_everywhere(tmp_path: Path, film: bytes) -> None:
    made = settings(tmp_path, os_api_key="sesame")
    with TestClient(create_app(made, local_engine(made))) as client:
        assert as_bazarr(client, "/asr?encode=false", film).status_code == 401
        client.headers["Authorization"] = "Bearer sesame"
        assert as_bazarr(client, "/asr?encode=false", film).status_code == 200


@pytest.mark.weights
@pytest.mark.usefixtures("default_weights")
def test_bazarr_gets_real_subtitles_of_real_speech(weights_root: Path, speech_clips: dict[str, Path]) -> None:
    made = Settings(os_models_dir=weights_root, os_offline=True, stt_backends=("faster-whisper",), tts_enabled=False)
    film = to_pcm16(decode(speech_clips["two_cities"], STT_RATE, max_seconds=60))
    with TestClient(create_app(made, local_engine(made))) as client:
        told = as_bazarr(client, "/detect-language?encode=false", film).json()
        answer = as_bazarr(client, f"/asr?task=transcribe&language={told['language_code']}&output=srt&encode=false", film)
        refused = as_bazarr(client, "/detect-language", b"a letter, no film")
    assert (told["detected_language"], told["language_code"]) == ("english", "en")
    assert told["confidence"] > 0.5  # how sure Whisper is differs between CPUs: 0.89 with AVX2
    cues = list(srt.parse(answer.text, ignore_errors=False))
    text = " ".join(cue.content for cue in cues).lower()
    assert "it was the best of times" in text
    assert "it was the age of wisdom" in text
    assert all(cue.start < cue.end for cue in cues)
    assert all(before.end <= after.start for before, after in pairwise(cues))
    assert refused.status_code == 400


def test_speakers_are_named_in_what_is_written() -> None:
    heard = Transcript(TranscriptInfo("en", 1.0, 1.0), (Segment(0, 1, " Yes.", speaker="A"),))
    assert formatted(heard, "srt").endswith("\n[A] Yes.\n\n")
    assert formatted(heard, "vtt").endswith("\n<v A>Yes.\n\n")
    assert json.loads(formatted(heard, "jsonl"))["speaker"] == "A"
