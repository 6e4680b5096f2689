"""The client of a fish-speech server, against a small server that speaks its protocol, well and badly."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from open_speech import config
from open_speech.audio import Audio, concat, to_pcm16
from open_speech.backends import ModelEntry, Setup, SpeechOptions, VoiceReference
from open_speech.codecs import decode, wav_bytes
from open_speech.codecs.wav import wav_header
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    Overloaded,
    SpeechError,
    UnknownVoice,
)
from runners import catalog
from runners.fish import CHUNK_BYTES, Fish
from runners.wiring import factories as parts
from tests.waiting import PATIENCE_S

MODEL: ModelEntry = next(model for model in catalog.models() if model.id == "fish-speech-1.5")
SOUND = Audio(np.sin(np.arange(44_100) / 30).astype(np.float32), 44_100)
PCM = to_pcm16(SOUND)
PLAIN = SpeechOptions("default")

Reply = Callable[["Desk"], None]


class Desk(BaseHTTPRequestHandler):
    """One request: what came is kept, and the next reply in line is given."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append(Seen(self.path, dict(self.headers), json.loads(body)))
        replies = self.server.replies
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def say(self, status: int, kind: str, *pieces: bytes, headers: dict[str, str] | None = None, end: bool = True) -> None:
        """Answer in chunks, as the real server does; without an end the connection breaks off."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Transfer-Encoding": "chunked", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if end:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Server(ThreadingHTTPServer):
    """A fish-speech server; `replies` are given one after the other, the last again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Desk)
        self.seen: list[Seen] = []
        self.replies: list[Reply] = [whole]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


def whole(management: Desk) -> None:
    management.say(200, "audio/wav", wav_bytes(SOUND))


def streamed(management: Desk) -> None:
    """What it sends for `streaming`: a header that knows no length, then the samples of each part of the text."""
    management.say(200, "audio/wav", wav_header(44_100, 0), *(PCM[at : at + 10_001] for at in range(0, len(PCM), 10_001)))


def headless(management: Desk) -> None:
    """Some versions lose the header."""
    management.say(200, "audio/wav", PCM)


def fails(status: int, **headers: str) -> Reply:
    return lambda management: management.say(status, "application/json", b'{"message": "no"}', headers=headers)


def breaks_off(management: Desk) -> None:
    management.say(200, "audio/wav", wav_header(44_100, 0), PCM[: 2 * CHUNK_BYTES], end=False)


def hangs_up(management: Desk) -> None:
    management.close_connection = True
    management.connection.close()


def cut_short(management: Desk) -> None:
    management.say(200, "audio/wav", wav_bytes(SOUND)[:-100])


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(PATIENCE_S)
    server.server_close()


def backend(server: Server | None, **settings: str) -> Fish:
    base = {"OPENAUDIO_API_BASE": f"http://127.0.0.1:{server.server_port}/"} if server else {}
    own = parts.host_options(config.load(base | {f"OPENAUDIO_{name}": value for name, value in settings.items()}), "fish").settings
    made = Fish(Setup(MODEL, folder=catalog.MODELS_FOLDER, settings=own))
    made.load()
    return made


def say(fish: Fish, options: SpeechOptions = PLAIN) -> Audio:
    return concat(fish.synthesize("Good morning.", options), 44_100)


@pytest.mark.parametrize("reply", [whole, streamed, headless])
def test_what_it_sends_is_what_is_heard(server: Server, reply: Reply) -> None:
    server.replies = [reply]
    assert to_pcm16(say(backend(server))) == PCM


def test_a_request_says_what_the_settings_say(server: Server) -> None:
    say(backend(server, CHUNK_LENGTH="150", LATENCY="balanced", TEMPERATURE="0.5", TOP_P="0.9", DEFAULT_NORMALIZE="false"))
    (seen,) = server.seen
    assert seen.path == "/v1/tts"
    assert seen.body == {
        "text": "Good morning.", "format": "wav", "streaming": True, "normalize": False, "chunk_length": 150, "latency": "balanced",
        "temperature": 0.5, "top_p": 0.9,
    }  # fmt: skip
    assert "Authorization" not in seen.headers


def test_the_key_and_the_path_are_the_ones_that_were_set(server: Server) -> None:
    say(backend(server, API_KEY="s3cret", TTS_PATH="/speech/v1/tts"))
    assert server.seen[0].path == "/speech/v1/tts"
    assert server.seen[0].headers["Authorization"] == "Bearer s3cret"


def test_pcm_is_asked_for_without_streaming_and_has_the_models_rate(server: Server) -> None:
    server.replies = [lambda management: management.say(200, "application/octet-stream", PCM)]
    (first, *_) = backend(server, DEFAULT_FORMAT="pcm").synthesize("Hi.", PLAIN)
    assert first.rate == MODEL.sample_rate
    assert (server.seen[0].body["format"], server.seen[0].body["streaming"]) == ("pcm", False)


@pytest.mark.parametrize(
    ("voice", "default", "sent"), [("default", "", None), ("default", "anna", "anna"), ("default#bob 2", "anna", "bob 2")]
)
def test_a_voice_is_a_reference_that_the_server_keeps(server: Server, voice: str, default: str, sent: str | None) -> None:
    say(backend(server, DEFAULT_REFERENCE_ID=default), SpeechOptions(voice))
    assert server.seen[0].body.get("reference_id") == sent


def test_a_recording_is_sent_with_what_is_said_in_it_and_goes_before_any_reference(server: Server) -> None:
    recording = VoiceReference.of(Audio(SOUND.samples[:24_000], 24_000), "Hello.")
    say(backend(server, DEFAULT_REFERENCE_ID="anna"), SpeechOptions("default", reference=recording))
    body = server.seen[0].body
    (reference,) = body["references"]
    assert "reference_id" not in body
    assert reference["text"] == "Hello."
    heard = decode(base64.b64decode(reference["audio"]), 24_000, max_seconds=5)
    np.testing.assert_allclose(heard.samples, recording.audio.samples, atol=1e-4)


def test_sound_is_heard_before_the_server_is_done(server: Server) -> None:
    goes_on = threading.Event()

    def slow(management: Desk) -> None:
        management.say(200, "audio/wav", wav_header(44_100, 0), PCM[: 2 * CHUNK_BYTES], end=False)
        goes_on.wait(PATIENCE_S)
        management.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (CHUNK_BYTES, PCM[:CHUNK_BYTES]))

    server.replies = [slow]
    sound = backend(server).synthesize("Hi.", PLAIN)
    assert next(sound).seconds > 0.1
    assert not goes_on.is_set()
    goes_on.set()
    assert sum(part.seconds for part in sound) > 0.1


@pytest.mark.parametrize("first", [fails(429), fails(500), fails(503), hangs_up])
def test_what_passes_is_tried_again(server: Server, first: Reply) -> None:
    server.replies = [first, whole]
    assert to_pcm16(say(backend(server, MAX_RETRIES="1"))) == PCM
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (fails(429), Overloaded),
        (fails(500), BackendFailed),
        (fails(503), BackendUnavailable),
        (hangs_up, BackendUnavailable),
    ],
)
def test_it_is_tried_no_more_often_than_was_set(server: Server, reply: Reply, error: type[SpeechError]) -> None:
    server.replies = [reply]
    with pytest.raises(error):
        say(backend(server, MAX_RETRIES="1"))
    assert len(server.seen) == 2


def test_a_server_that_says_how_long_to_wait_is_believed(server: Server) -> None:
    server.replies = [fails(429, **{"Retry-After": "1"}), whole]
    with pytest.raises(Overloaded):
        say(backend(server, TIMEOUT_SECONDS="0.9"))
    assert len(server.seen) == 1, "the second attempt would come too late"
    server.replies = [fails(429, **{"Retry-After": "1"}), whole]
    say(backend(server))
    assert len(server.seen) == 3


def test_who_would_have_to_wait_too_long_is_told_at_once(server: Server) -> None:
    server.replies = [fails(429, **{"Retry-After": "60"})]
    with pytest.raises(Overloaded) as refused:
        say(backend(server))
    assert refused.value.retry_after_s == 60
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (fails(400), "rejected the request"),
        (fails(401), "OPENAUDIO_API_KEY"),
        (fails(404), "OPENAUDIO_TTS_PATH"),
        (lambda management: management.say(200, "text/html", b"<html>"), "has no speech endpoint"),
        (lambda management: management.say(200, "audio/wav"), "no audio"),
        (lambda management: management.say(200, "audio/mpeg", b"\xff\xfb" + bytes(999)), "`mp3` audio instead of `wav`"),
        (lambda management: management.say(200, "audio/wav", b"ID3\x04" + bytes(999)), "`mp3` audio instead of `wav`"),
        (lambda management: management.say(200, "application/octet-stream", b"OggS" + bytes(999)), "`ogg` audio instead of `wav`"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(server: Server, reply: Reply, words: str) -> None:
    server.replies = [reply]
    with pytest.raises(BackendFailed, match=words):
        say(backend(server))
    assert len(server.seen) == 1


@pytest.mark.parametrize("reply", [breaks_off, cut_short])
def test_half_an_answer_is_an_error_after_what_was_heard_and_is_not_tried_again(server: Server, reply: Reply) -> None:
    server.replies = [reply]
    sound = backend(server).synthesize("Hi.", PLAIN)
    assert next(sound).seconds > 0
    with pytest.raises(BackendFailed):
        list(sound)
    assert len(server.seen) == 1


def test_a_server_that_does_not_answer_is_given_up_at_the_deadline(server: Server) -> None:
    given_up = threading.Event()
    server.replies = [lambda management: given_up.wait(PATIENCE_S)]
    with pytest.raises(BackendTimeout):
        say(backend(server, TIMEOUT_SECONDS="0.3"))
    given_up.set()


def test_a_server_that_dribbles_is_given_up_at_the_deadline(server: Server) -> None:
    def dribbles(management: Desk) -> None:
        management.say(200, "audio/wav", wav_header(44_100, 0), end=False)
        while not given_up.wait(0.05):
            management.wfile.write(b"%x\r\n%s\r\n" % (CHUNK_BYTES, PCM[:CHUNK_BYTES]))

    given_up = threading.Event()
    server.replies = [dribbles]
    with pytest.raises(BackendTimeout):
        say(backend(server, TIMEOUT_SECONDS="0.4"))
    given_up.set()


def test_no_server_at_all_is_unavailable() -> None:
    with pytest.raises(BackendUnavailable) as refused:
        say(backend(None, API_BASE="http://127.0.0.1:9", MAX_RETRIES="1"))
    assert refused.value.retry_after_s


def test_leaving_closes_the_connection(server: Server) -> None:
    broken = threading.Event()

    def endless(management: Desk) -> None:
        management.say(200, "audio/wav", wav_header(44_100, 0), end=False)
        try:
            for _ in range(1000):
                management.wfile.write(b"%x\r\n%s\r\n" % (len(PCM), PCM))
        except OSError:
            broken.set()

    server.replies = [endless]
    sound = backend(server).synthesize("Hi.", PLAIN)
    next(sound)
    sound.close()
    assert broken.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("text", "options", "error", "param"),
    [
        ("Hi.", SpeechOptions("nobody"), UnknownVoice, "voice"),
        ("Hi.", SpeechOptions("default#../etc"), UnknownVoice, "voice"),
        ("Hi.", SpeechOptions("default#"), UnknownVoice, "voice"),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_the_call(text: str, options: SpeechOptions, error: type[SpeechError], param: str) -> None:
    with pytest.raises(error) as refused:
        backend(None).synthesize(text, options)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("name", "value"),
    [("API_BASE", "localhost:8080"), ("TTS_PATH", "v1/tts"), ("DEFAULT_FORMAT", "mid"), ("MAX_RETRIES", "-1"), ("TOP_P", "2")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(config.SettingsError, match=f"OPENAUDIO_{name}"):
        config.load({f"OPENAUDIO_{name}": value})


def test_an_unknown_setting_is_named_and_the_key_is_not_shown() -> None:
    with pytest.raises(config.SettingsError, match="Did you mean OPENAUDIO_API_KEY"):
        config.load({"OPENAUDIO_APIKEY": "s3cret"})
    assert "s3cret" not in repr(config.load({"OPENAUDIO_API_KEY": "s3cret"}))
