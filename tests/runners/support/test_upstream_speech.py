"""Speech by other people's servers: what is asked, sound in every form, and half an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from open_speech.audio import Audio, concat, to_pcm16
from open_speech.backends import SpeechOptions
from open_speech.codecs import encoder, isolation, wav_bytes
from open_speech.codecs.wav import wav_header
from open_speech.errors import BackendFailed, InvalidRequest, UnknownVoice
from runners.support.upstream_discovery import Discovery
from runners.upstream import UpstreamSynthesizer, language_of
from tests.waiting import PATIENCE_S

Say = Callable[..., Any]
Make = Callable[..., Any]
SENTENCE = "Hello there world. How are you?"
SOUND = Audio(np.sin(np.arange(24_000) / 30).astype(np.float32) * 0.5, 24_000)
SPOKEN = "/v1/audio/speech"


def say(backend: UpstreamSynthesizer, text: str = SENTENCE, options: SpeechOptions | None = None) -> Audio:
    sound = list(backend.synthesize(text, options or SpeechOptions("")))
    return concat(sound, sound[0].rate)


@pytest.mark.parametrize("voice", ["nobody", "../etc"])
def test_a_voice_that_it_has_not_is_refused_at_the_call(tones_upstream: str, voice: str, speaker: Make) -> None:
    with pytest.raises(UnknownVoice) as refused:
        speaker(tones_upstream, "tones/speak").synthesize("Hi.", SpeechOptions(voice))
    assert refused.value.param == "voice"


def test_a_name_of_openais_is_a_voice_of_the_server_also_before_the_front_knows_them(tones_upstream: str, speaker: Make) -> None:
    assert say(speaker(tones_upstream, "tones/speak"), options=SpeechOptions("alloy")).seconds > 0.5


def test_speed_is_the_servers_own_work(tones_upstream: str, speaker: Make) -> None:
    backend = speaker(tones_upstream, "tones/speak")
    assert say(backend, options=SpeechOptions("tone", speed=2.0)).seconds < 0.6 * say(backend).seconds


def test_speech_is_asked_for_with_all_that_was_said(upstream: Any, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/pcm", to_pcm16(SOUND))]
    say(speaker(upstream.url, "gpt-4o-mini-tts"), options=SpeechOptions("coral", speed=1.5, instructions="Whisper.", language="de"))
    assert upstream.asked(SPOKEN)[0].json == {
        "model": "gpt-4o-mini-tts", "input": SENTENCE, "voice": "coral", "response_format": "pcm", "speed": 1.5, "instructions": "Whisper.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "language", "told"),
    [
        ("openai", "de", {}), ("speaches", "de", {"language": "de"}), ("localai", None, {}),
        ("kokoro-fastapi", "en-GB", {"lang_code": "b"}), ("kokoro-fastapi", "pt", {"lang_code": "p"}),
        ("kokoro-fastapi", "de", {}), ("kokoro-fastapi", "en", {"lang_code": "a"}),
    ],
)  # fmt: skip
def test_a_language_is_told_in_the_dialect(dialect: Any, language: str | None, told: dict[str, str]) -> None:
    assert language_of(Discovery(dialect), language) == told


@pytest.mark.parametrize(
    ("settings", "voice", "sent"),
    [({}, "", "alloy"), ({"MODELS": "tts-1", "VOICES": "af_sky,bf_emma"}, "", "af_sky"), ({"MODELS": "tts-1"}, "ash", "ash")],
)
def test_a_voice_is_the_one_asked_for_or_the_first(upstream: Any, settings: dict[str, str], voice: str, sent: str, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/pcm", to_pcm16(SOUND))]
    say(speaker(upstream.url, **settings), options=SpeechOptions(voice))
    assert upstream.asked(SPOKEN)[0].json["voice"] == sent


def mp3() -> bytes:
    making = encoder("mp3", 24_000)
    return making.encode(SOUND) + making.finish()


@pytest.mark.parametrize(
    ("kind", "body", "rate"),
    [
        ("audio/pcm", to_pcm16(SOUND), 24_000),
        ("audio/pcm; rate=16000", to_pcm16(SOUND), 16_000),
        ("application/octet-stream", to_pcm16(SOUND), 24_000),
        ("audio/wav", wav_bytes(Audio(SOUND.samples, 22_050)), 22_050),
        ("audio/pcm", wav_header(48_000) + to_pcm16(SOUND), 48_000),
    ],
)
def test_sound_has_the_rate_that_the_answer_says(upstream: Any, kind: str, body: bytes, rate: int, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, kind, *(body[at : at + 1001] for at in range(0, len(body), 1001)))]
    said = say(speaker(upstream.url))
    assert said.rate == rate
    assert to_pcm16(said) == to_pcm16(SOUND)


def test_a_server_that_knows_no_pcm_is_asked_for_wav(upstream: Any, json_reply: Say, speaker: Make) -> None:
    no = json_reply({"detail": "unsupported response_format"}, status=422)
    upstream.replies[SPOKEN] = [no, lambda management: management.say(200, "audio/wav", wav_bytes(SOUND))]
    backend = speaker(upstream.url)
    assert to_pcm16(say(backend)) == to_pcm16(say(backend)) == to_pcm16(SOUND)
    assert [seen.json["response_format"] for seen in upstream.asked(SPOKEN)] == ["pcm", "wav", "wav"]


def asked_formats(upstream: Any) -> list[str]:
    return [seen.json["response_format"] for seen in upstream.asked(SPOKEN)]


def test_a_server_that_sends_mp3_whatever_it_is_asked_for_is_asked_for_mp3_from_then_on(upstream: Any, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/mpeg", mp3())]
    backend = speaker(upstream.url)
    for _ in range(2):
        assert say(backend).seconds == pytest.approx(SOUND.seconds, abs=0.15)
    assert asked_formats(upstream) == ["pcm", "wav", "mp3", "mp3"]


@pytest.mark.parametrize(
    ("format", "kind"),
    [("aac", "audio/aac"), ("opus", "audio/ogg"), ("flac", "audio/flac")]
    + [(format, kind) for format in ("opus", "flac") for kind in ("audio/mpeg", "application/octet-stream", "audio/pcm")],
)
def test_audio_in_a_format_that_nobody_asked_for_is_a_failure(upstream: Any, speaker: Make, format: Any, kind: str) -> None:
    making = encoder(format, 24_000)
    body = making.encode(SOUND) + making.finish()
    upstream.replies[SPOKEN] = [lambda management: management.say(200, kind, *(body[at : at + 5] for at in range(0, len(body), 5)))]
    with pytest.raises(BackendFailed, match=r"sent `(ogg|flac|aac)` audio instead of `mp3`"):
        say(speaker(upstream.url))


def test_a_wav_file_is_read_as_one_whatever_it_is_called(upstream: Any, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/mpeg", wav_bytes(SOUND))]
    assert to_pcm16(say(speaker(upstream.url))) == to_pcm16(SOUND)
    assert asked_formats(upstream) == ["pcm"]


def test_a_file_that_calls_itself_mp3_and_is_not_is_a_failure(upstream: Any, speaker: Make) -> None:
    webm = b"\x1aE\xdf\xa3" + bytes(999)
    tagged = b"ID3\x04\0\0\0\0\0\0" + webm
    for body in (webm, tagged):
        upstream.replies[SPOKEN] = [lambda management, body=body: management.say(200, "audio/mpeg", body)]
        with pytest.raises(BackendFailed):
            say(speaker(upstream.url))


def test_a_request_that_is_refused_in_every_format_says_nothing_of_the_formats(upstream: Any, json_reply: Say, speaker: Make) -> None:
    no = json_reply({"detail": "this text is not to its taste"}, status=400)
    upstream.replies[SPOKEN] = [no, no, no, lambda management: management.say(200, "audio/pcm", to_pcm16(SOUND))]
    backend = speaker(upstream.url)
    with pytest.raises(InvalidRequest, match="taste"):
        say(backend)
    assert to_pcm16(say(backend)) == to_pcm16(SOUND)
    assert asked_formats(upstream) == ["pcm", "wav", "mp3", "pcm"]


def decoders() -> int:
    ours = psutil.Process().children(recursive=True)
    return sum(any("codecs.fork_server" in word for word in process.cmdline()) for process in ours)


def test_mp3_of_another_server_is_decoded_in_the_sandbox_and_nothing_else_needs_one(upstream: Any, speaker: Make) -> None:
    with isolation(memory_mb=128, quiet_s=20, at_once=False):
        upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/wav", wav_bytes(SOUND))]
        say(speaker(upstream.url))
        assert decoders() == 0
        upstream.replies[SPOKEN] = [lambda management: management.say(200, "audio/mpeg", mp3())]
        assert say(speaker(upstream.url)).seconds == pytest.approx(SOUND.seconds, abs=0.15)
        assert decoders() >= 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", b"<html>"), ("application/json", b"{}"), ("audio/mpeg", b"no mp3"), ("audio/pcm", b""), ("audio/wav", b"RIFF")],
)
def test_what_is_no_sound_is_a_failure(upstream: Any, kind: str, body: bytes, speaker: Make) -> None:
    upstream.replies[SPOKEN] = [lambda management: management.say(200, kind, body)]
    with pytest.raises(BackendFailed):
        say(speaker(upstream.url))


def test_sound_is_heard_before_the_server_is_done_and_leaving_closes_the_connection(upstream: Any, speaker: Make) -> None:
    broken = threading.Event()

    def endless(management: Any) -> None:
        management.say(200, "audio/pcm", end=False)
        try:
            for _ in range(2000):
                management.piece(to_pcm16(SOUND))
        except OSError:
            broken.set()

    upstream.replies[SPOKEN] = [endless]
    sound = speaker(upstream.url).synthesize(SENTENCE, SpeechOptions(""))
    assert next(sound).seconds > 0
    sound.close()  # type: ignore[attr-defined]
    assert broken.wait(PATIENCE_S)


def test_half_a_speech_is_a_failure_and_is_not_asked_for_again(upstream: Any, speaker: Make) -> None:
    def cut(management: Any) -> None:
        management.say(200, "audio/wav", wav_bytes(SOUND)[:20_000], end=False)
        management.connection.shutdown(2)

    upstream.replies[SPOKEN] = [cut]
    sound = speaker(upstream.url).synthesize(SENTENCE, SpeechOptions(""))
    assert next(sound).seconds > 0
    with pytest.raises(BackendFailed):
        list(sound)
    assert len(upstream.asked(SPOKEN)) == 1
