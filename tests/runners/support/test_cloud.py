"""What all cloud providers have in common: keys, refusals, retries, uploads in parts."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, SpeechOptions, Task, TranscribeOptions, Window, WindowResult
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    InvalidAudio,
    InvalidRequest,
    NothingToSpeak,
    Overloaded,
    SpeechError,
    UnknownVoice,
    UnsupportedValue,
)
from runners.cartesia import CartesiaSynthesizer, CartesiaTranscriber
from runners.deepgram import DeepgramSynthesizer, DeepgramTranscriber
from runners.elevenlabs import ElevenLabsSynthesizer, ElevenLabsTranscriber
from runners.support import cloud
from tests.runners.cloud import KEY, NOISE, PCM, heard, loaded, said, setup
from tests.scripted_server import Upstream, json_reply

LISTENERS = {
    "deepgram": (DeepgramTranscriber, "nova-3", "/v1/listen"),
    "elevenlabs": (ElevenLabsTranscriber, "scribe_v2", "/v1/speech-to-text"),
    "cartesia": (CartesiaTranscriber, "ink-whisper", "/stt"),
}
SPEAKERS = {
    "deepgram": (DeepgramSynthesizer, "aura-2", "/v1/speak"),
    "elevenlabs": (ElevenLabsSynthesizer, "eleven_multilingual_v2", "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream"),
    "cartesia": (CartesiaSynthesizer, "sonic-2", "/tts/bytes"),
}
ERRORS = {
    "deepgram": {"err_code": "INVALID_AUTH", "err_msg": f"No such key: {KEY}", "request_id": "r"},
    "elevenlabs": {"detail": {"status": "invalid_api_key", "message": f"No such key: {KEY}"}},
    "cartesia": {"title": "Unauthorized", "message": f"No such key: {KEY}", "error_code": "unauthorized"},
}
SAID = {
    "deepgram": {"results": {"channels": [{"alternatives": [{"transcript": "Hi.", "words": []}]}]}},
    "elevenlabs": {"text": "Hi.", "language_code": "eng"},
    "cartesia": {"text": "Hi.", "language": "en"},
}
providers = pytest.mark.parametrize("provider", list(LISTENERS))


def listener(provider: str, server: Upstream, **settings: str) -> Any:
    made, model, _ = LISTENERS[provider]
    return loaded(made(setup(provider, model, Task.STT, server, **settings)))


def speaker(provider: str, server: Upstream, **settings: str) -> Any:
    made, model, _ = SPEAKERS[provider]
    return loaded(made(setup(provider, model, Task.TTS, server, **settings)))


@providers
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, BackendFailed), (402, BackendFailed), (429, Overloaded), (500, BackendFailed), (503, BackendUnavailable), (400, InvalidRequest)],
)
def test_refusals_are_errors_of_ours_and_no_key_is_told(
    provider: str, status: int, error: type[SpeechError], upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.replies[LISTENERS[provider][2]] = [json_reply(ERRORS[provider], status)]
    upstream.replies[SPEAKERS[provider][2]] = [json_reply(ERRORS[provider], status)]
    listens, speaks = listener(provider, upstream), speaker(provider, upstream)
    for ask in (lambda: heard(listens, TranscribeOptions()), lambda: said(speaks, SpeechOptions(""))):
        with pytest.raises(error) as raised:
            ask()
        assert KEY not in str(raised.value)
    assert KEY not in caplog.text
    assert len(upstream.seen) == 2


@providers
def test_a_wrong_key_is_named_by_its_setting(provider: str, upstream: Upstream) -> None:
    upstream.replies[LISTENERS[provider][2]] = [json_reply(ERRORS[provider], 401)]
    with pytest.raises(BackendFailed, match=f"OS_{provider.upper()}_API_KEY"):
        heard(listener(provider, upstream), TranscribeOptions())


@providers
def test_without_a_key_nothing_is_sent(provider: str, upstream: Upstream) -> None:
    with pytest.raises(BackendFailed, match=f"OS_{provider.upper()}_API_KEY"):
        listener(provider, upstream, API_KEY="")
    assert upstream.seen == []


@providers
def test_a_busy_provider_is_asked_again_and_an_invalid_request_is_not(provider: str, upstream: Upstream) -> None:
    path = LISTENERS[provider][2]
    upstream.replies[path] = [json_reply({}, 429, **{"Retry-After": "1"}), json_reply({}, 503), json_reply(SAID[provider])]
    backend = listener(provider, upstream, MAX_RETRIES="3")
    assert "".join(segment.text for segment in heard(backend, TranscribeOptions())[1]).strip() == "Hi."
    assert len(upstream.asked(path)) == 3
    upstream.replies[path] = [json_reply({"message": "no"}, 400)]
    with pytest.raises(InvalidRequest):
        heard(backend, TranscribeOptions())
    assert len(upstream.asked(path)) == 4


@providers
def test_a_provider_that_never_answers_is_given_up(provider: str, upstream: Upstream) -> None:
    released = threading.Event()
    upstream.replies[LISTENERS[provider][2]] = [lambda desk: released.wait() and None]
    try:
        with pytest.raises(BackendTimeout):
            heard(listener(provider, upstream, TIMEOUT_S="0.3"), TranscribeOptions())
    finally:
        released.set()


@providers
def test_garbage_is_a_failure(provider: str, upstream: Upstream) -> None:
    upstream.replies[LISTENERS[provider][2]] = [lambda desk: desk.say(200, "application/json", b"<html>")]
    upstream.replies[SPEAKERS[provider][2]] = [lambda desk: desk.say(200, "text/html", b"<html>")]
    with pytest.raises(BackendFailed):
        heard(listener(provider, upstream), TranscribeOptions())
    with pytest.raises(BackendFailed):
        said(speaker(provider, upstream), SpeechOptions(""))


@providers
def test_speech_that_breaks_off_is_a_failure_and_not_shorter_speech(provider: str, upstream: Upstream) -> None:
    upstream.replies[SPEAKERS[provider][2]] = [lambda desk: desk.say(200, "audio/pcm", PCM[:8000], end=False)]
    with pytest.raises(BackendFailed):
        said(speaker(provider, upstream), SpeechOptions(""))


@providers
def test_speech_in_a_format_that_was_not_asked_for_is_not_read(provider: str, upstream: Upstream) -> None:
    upstream.replies[SPEAKERS[provider][2]] = [lambda desk: desk.say(200, "audio/mpeg", b"ID3" + bytes(4000))]
    with pytest.raises(BackendFailed, match="mp3"):
        said(speaker(provider, upstream), SpeechOptions(""))


@providers
def test_silence_is_not_sent(provider: str, upstream: Upstream) -> None:
    backend = listener(provider, upstream)
    for audio in (silence(2.0, STT_RATE), Audio(np.zeros(0, np.float32), STT_RATE)):
        info, segments = heard(backend, TranscribeOptions(), audio)
        assert (info.duration, segments) == (audio.seconds, [])
    assert upstream.seen == []


@providers
def test_what_no_provider_does_is_refused_before_anything_is_sent(provider: str, upstream: Upstream) -> None:
    backend = listener(provider, upstream)
    for options in (TranscribeOptions(task="translate"), TranscribeOptions(logprobs=True)):
        with pytest.raises(UnsupportedValue):
            backend.transcribe(NOISE, options)
    with pytest.raises(NothingToSpeak):
        speaker(provider, upstream).synthesize("…", SpeechOptions(""))
    with pytest.raises(UnknownVoice, match="VOICES"):
        speaker(provider, upstream, VOICES="").synthesize("Hello.", SpeechOptions(""))
    assert upstream.seen == []


def test_a_long_file_is_sent_in_parts_and_its_times_go_on(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "LONGEST_S", 1.0)
    words = [{"word": "Hi.", "start": 0.0, "end": 0.5}]
    upstream.replies["/stt"] = [json_reply({"text": "Hi.", "language": "en", "words": words})]
    _, segments = heard(listener("cartesia", upstream), TranscribeOptions(word_times=True))
    assert len(upstream.asked("/stt")) == len(segments) > 2
    starts = [segment.start for segment in segments]
    assert starts == sorted(set(starts))
    assert segments[-1].words[0].start == starts[-1] > 1.5


def test_the_error_of_a_window_is_the_result_of_that_window(upstream: Upstream) -> None:
    upstream.replies["/stt"] = [json_reply({"error": {"message": "no", "param": "file"}}, 400), json_reply(SAID["cartesia"])]
    backend = listener("cartesia", upstream)
    broken, whole = backend.transcribe_windows([Window(NOISE, TranscribeOptions())] * 2)
    assert isinstance(broken, InvalidAudio)
    assert isinstance(whole, WindowResult)
    assert whole.language == "en"
