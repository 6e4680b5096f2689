"""Wyoming servers as engines: small ones that say what a test wants; the real ones are in tests/served/test_wyoming_peers.py."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech import config
from open_speech.audio import Audio, concat, silence, to_pcm16
from open_speech.backends import STT_RATE, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions, Voice, Window
from open_speech.errors import (
    BackendFailed,
    BackendTimeout,
    BackendUnavailable,
    Overloaded,
    SpeechError,
    UnknownModel,
    UnknownVoice,
    UnsupportedLanguage,
)
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.wiring import factories as parts
from runners.wyoming_peer import Sound, WyomingSynthesizer, WyomingTranscriber, failure
from tests.waiting import PATIENCE_S

Start = Callable[[dict[str, Any]], Any]
SOUND = Audio(np.sin(np.arange(22_050) / 30).astype(np.float32) * 0.5, 22_050)
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, STT_RATE).astype(np.float32), STT_RATE)
VOICES = (Voice("joe", "en-US"), Voice("vctk", "en-GB", speakers=("p239",)))


def event(kind: str, payload: bytes = b"", **data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data, "payload_length": len(payload)}).encode() + b"\n" + payload


INFO = event(
    "info",
    asr=[
        {"name": "first", "installed": True, "models": [{"name": "a", "installed": True, "languages": ["en"]}]},
        {"name": "second", "installed": True, "models": [{"name": "/data/models/b", "installed": True, "languages": []}]},
    ],
    tts=[
        {
            "name": "piper",
            "installed": True,
            "voices": [
                {"name": "joe", "installed": True, "languages": ["en_US"]},
                {"name": "vctk", "installed": True, "languages": ["en_GB"], "speakers": [{"name": "p239"}]},
            ],
        },
        {"name": "other", "installed": True, "voices": []},
    ],
)


def spoken(audio: Audio = SOUND, width: int = 2, channels: int = 1) -> bytes:
    form = {"rate": audio.rate, "width": width, "channels": channels}
    pcm = to_pcm16(audio)
    chunks = [event("audio-chunk", pcm[at : at + 2048], **form) for at in range(0, len(pcm), 2048)]
    return b"".join([event("audio-start", **form), *chunks, event("audio-stop")])


def setup(peer: Any, model: str, task: Task, settings: Mapping[str, str], languages: tuple[str, ...] = ()) -> Setup:
    name, at = ("wyoming", "STT_WYOMING_") if task is Task.STT else ("wyoming-tts", "TTS_WYOMING_")
    own = parts.host_options(config.load({at + "URI": peer.uri} | {at + key: value for key, value in settings.items()}), name).settings
    return Setup(ModelEntry(f"wyoming/{model}", name, task, "MIT", languages), Path(), settings=own)


def listener(peer: Any, model: str = "a", languages: tuple[str, ...] = (), **settings: str) -> WyomingTranscriber:
    made = WyomingTranscriber(setup(peer, model, Task.STT, settings, languages))
    made.load()
    return made


def speaker(peer: Any, model: str = "piper", **settings: str) -> WyomingSynthesizer:
    made = WyomingSynthesizer(setup(peer, model, Task.TTS, settings))
    made.load()
    return made


def transcribe_windows(backend: WyomingTranscriber, audio: Audio = NOISE, options: TranscribeOptions | None = None) -> Transcript:
    items = list(backend.transcribe(audio, options or TranscribeOptions()))
    info = [item for item in items if isinstance(item, TranscriptInfo)][-1]
    return Transcript(info, tuple(item for item in items if isinstance(item, Segment)))


def say(backend: WyomingSynthesizer, text: str = "Hello.", options: SpeechOptions | None = None) -> Audio:
    sound = list(backend.synthesize(text, options or SpeechOptions("joe")))
    return concat(sound, sound[0].rate)


def test_all_of_the_audio_goes_out_and_the_text_comes_in(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "audio-stop": event("transcript", text="Hello.", language="de")})
    found = transcribe_windows(listener(peer), options=TranscribeOptions(hotwords="Ann, Bea"))
    assert (found.text, found.info.language, found.info.duration) == ("Hello.", "de", 1.0)
    assert peer.events("transcribe") == [{"name": "a", "transcript_terms": ["Ann", "Bea"]}]
    assert peer.events("audio-start") == [{"rate": STT_RATE, "width": 2, "channels": 1}]
    assert b"".join(payload for _, _, payload in peer.heard) == to_pcm16(NOISE)
    assert [data["timestamp"] for data in peer.events("audio-chunk")][:3] == [0, 100, 200]


def test_a_text_that_is_streamed_comes_sentence_by_sentence(wyoming_peer: Start) -> None:
    chunks = [event("transcript-start"), event("transcript-chunk", text="Ever tried. Ever"), event("transcript-chunk", text=" failed.")]
    peer = wyoming_peer({"describe": INFO, "audio-stop": b"".join([*chunks, event("transcript", text="Ever tried. Ever failed.")])})
    assert [segment.text for segment in transcribe_windows(listener(peer)).segments] == ["Ever tried.", " Ever failed."]


def test_the_language_is_passed_on_and_one_that_the_model_has_not_is_refused_at_the_call(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "audio-stop": event("transcript", text="Hi.")})
    backend = listener(peer, languages=("en",))
    assert transcribe_windows(backend, options=TranscribeOptions(language="en")).info.language_probability == 1.0
    assert peer.events("transcribe")[0]["language"] == "en"
    with pytest.raises(UnsupportedLanguage):
        backend.transcribe(NOISE, TranscribeOptions(language="de"))


def test_a_model_of_the_second_program_is_chosen_by_that(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "audio-stop": event("transcript", text="Hi.")})
    assert transcribe_windows(listener(peer, "models/b")).text == "Hi."
    assert peer.events("select-program") == [{"name": "second"}]
    assert peer.events("transcribe")[0]["name"] == "/data/models/b"


def test_a_program_of_a_server_that_has_several_is_chosen(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "synthesize": spoken()})
    say(speaker(peer, "other"), options=SpeechOptions(""))
    assert peer.events("select-program") == [{"name": "other"}]
    assert peer.events("synthesize") == [{"text": "Hello."}]


def test_windows_are_heard_as_files_are(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "audio-stop": event("transcript", text="Hi.", language="en")})
    asked = [TranscribeOptions(), TranscribeOptions(language="de")]
    heard, refused = listener(peer, languages=("en",)).transcribe_windows([Window(NOISE, options) for options in asked])
    assert not isinstance(heard, SpeechError)
    assert [segment.text for segment in heard.segments] == ["Hi."]
    assert isinstance(refused, UnsupportedLanguage)


def test_nobody_is_asked_what_is_said_in_silence(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO})
    assert transcribe_windows(listener(peer), silence(1.0, STT_RATE)).segments == ()
    assert peer.events("transcribe") == []


@pytest.mark.parametrize("make", [listener, speaker])
def test_what_the_server_has_not_is_unknown(wyoming_peer: Start, make: Callable[..., Any]) -> None:
    with pytest.raises(UnknownModel):
        make(wyoming_peer({"describe": INFO}), "nothing")


@pytest.mark.parametrize(
    ("voice", "sent"),
    [("joe", {"name": "joe"}), ("vctk#p239", {"name": "vctk", "speaker": "p239"}), ("vctk", {"name": "vctk"}), ("", None)],
)
def test_what_it_speaks_is_what_is_heard(wyoming_peer: Start, voice: str, sent: Any) -> None:
    peer = wyoming_peer({"describe": INFO, "synthesize": spoken()})
    said = say(speaker(peer), options=SpeechOptions(voice))
    assert said.rate == 22_050
    assert to_pcm16(said) == to_pcm16(SOUND)
    assert peer.events("synthesize")[0].get("voice") == sent


def test_sound_is_heard_before_the_server_is_done(wyoming_peer: Start) -> None:
    def endless(connection: socket.socket) -> None:
        while True:
            connection.sendall(event("audio-chunk", b"\1\0" * 1000, rate=16_000, width=2, channels=1))

    sound = speaker(wyoming_peer({"describe": INFO, "synthesize": endless})).synthesize("Hi.", SpeechOptions("joe"))
    assert next(sound).rate == 16_000
    sound.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "channels", "payload"), [(1, 1, bytes([0, 128, 255])), (2, 2, b"\0\x80\0\0"), (4, 1, b"\0\0\0\x80")])
def test_sound_of_any_form_is_mono_floats(width: int, channels: int, payload: bytes) -> None:
    from wyoming.event import Event

    sound = Sound()
    data = {"rate": 8000, "width": width, "channels": channels}
    (audio,) = sound.feed(Event("audio-chunk", data, payload))
    assert audio.samples[0] == (-0.5 if channels == 2 else -1.0)
    assert audio.samples.dtype == np.float32


def test_a_sample_that_is_cut_in_two_is_joined() -> None:
    from wyoming.event import Event

    sound, pcm, data = Sound(), to_pcm16(SOUND), {"rate": 22_050, "width": 2, "channels": 1}
    pieces = [audio for at in range(0, len(pcm), 1001) for audio in sound.feed(Event("audio-chunk", data, pcm[at : at + 1001]))]
    assert to_pcm16(concat(pieces, 22_050)) == pcm


@pytest.mark.parametrize("data", [{}, {"rate": 16_000, "width": 3, "channels": 1}, {"rate": "16000", "width": 2, "channels": 1}])
def test_sound_of_no_known_form_is_a_failure(wyoming_peer: Start, data: dict[str, Any]) -> None:
    with pytest.raises(BackendFailed):
        say(speaker(wyoming_peer({"describe": INFO, "synthesize": event("audio-chunk", b"\0\0\0", **data)})))


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("Hi.", SpeechOptions("nobody"), UnknownVoice),
        ("Hi.", SpeechOptions("vctk#nobody"), UnknownVoice),
        ("Hi.", SpeechOptions("joe#p239"), UnknownVoice),
        ("Hi.", SpeechOptions("joe", language="de"), UnsupportedLanguage),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_the_call(wyoming_peer: Start, text: str, options: SpeechOptions, error: Any) -> None:
    with pytest.raises(error):
        speaker(wyoming_peer({"describe": INFO})).synthesize(text, options)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"text": "boom"}, BackendFailed),
        ({"text": "no", "code": "voice_not_found"}, UnknownVoice),
        ({}, BackendFailed),
    ],
)
def test_an_error_is_told_as_what_it_is(data: dict[str, Any], error: type[SpeechError]) -> None:
    assert type(failure(data)) is error


def test_a_server_that_is_busy_is_asked_again(wyoming_peer: Start) -> None:
    peer = wyoming_peer({"describe": INFO, "synthesize": event("error", text="later", code="server_overloaded")})
    with pytest.raises(Overloaded):
        say(speaker(peer, MAX_RETRIES="1"))
    assert len(peer.events("synthesize")) == 2


def test_a_reason_is_read_though_the_server_hung_up_before_all_was_said(wyoming_peer: Start) -> None:
    def refuses(connection: socket.socket) -> None:
        connection.sendall(event("error", text="no such language"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    peer = wyoming_peer({"describe": INFO, "transcribe": refuses})
    with pytest.raises(BackendFailed, match="no such language"):
        transcribe_windows(listener(peer))


@pytest.mark.parametrize("make", ["hear", "say"])
def test_who_hangs_up_before_any_answer_is_asked_again(wyoming_peer: Start, make: str) -> None:
    peer = wyoming_peer({"describe": INFO})
    backend: Any = (listener if make == "hear" else speaker)(peer, MAX_RETRIES="1")

    def once(connection: socket.socket) -> None:
        peer.says |= {"audio-stop": event("transcript", text="Hi."), "synthesize": spoken()}

    peer.says |= {"audio-stop": once, "synthesize": once}
    assert transcribe_windows(backend).text == "Hi." if make == "hear" else say(backend).seconds > 0
    assert peer.connections == 3


def test_half_a_speech_is_a_failure_and_is_not_asked_for_again(wyoming_peer: Start) -> None:
    def cut(connection: socket.socket) -> None:
        connection.sendall(spoken()[:20_000])

    peer = wyoming_peer({"describe": INFO, "synthesize": cut})
    sound = speaker(peer).synthesize("Hi.", SpeechOptions("joe"))
    assert next(sound).seconds > 0
    with pytest.raises(BackendFailed):
        list(sound)
    assert len(peer.events("synthesize")) == 1


def test_a_speech_without_sound_is_a_failure(wyoming_peer: Start) -> None:
    with pytest.raises(BackendFailed, match="no audio"):
        say(speaker(wyoming_peer({"describe": INFO, "synthesize": event("audio-stop")})))


def test_who_does_not_answer_is_left_at_the_deadline(wyoming_peer: Start) -> None:
    left = threading.Event()
    peer = wyoming_peer({"describe": INFO, "audio-stop": lambda connection: left.wait(PATIENCE_S)})
    with pytest.raises(BackendTimeout):
        transcribe_windows(listener(peer, TIMEOUT_S="1"))
    left.set()


def test_nobody_there_is_told_when_it_is_loaded(wyoming_peer: Start) -> None:
    peer = wyoming_peer({})
    peer.port = 9
    with pytest.raises(BackendUnavailable):
        listener(peer, MAX_RETRIES="0")


@pytest.mark.parametrize("value", ["localhost:10300", "http://host:10300", "tcp://host", "tcp://a@b:1"])
def test_a_wrong_address_is_named(value: str) -> None:
    with pytest.raises(config.SettingsError, match="STT_WYOMING_URI"):
        config.load({"STT_WYOMING_URI": value})
