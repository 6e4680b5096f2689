"""Cloning through the doors and the hop, on a backend that repeats the voice it is given and shows what else it was told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Setup, SpeechOptions, Task, Voice
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from open_speech.dispatch.client import RunnerClient
from open_speech.registry import Defaults, Registry
from open_speech.voices import Library, NewVoice, VoiceResolver, sample_of
from open_speech.weights import Store
from runners.host.host import Host, HostOptions
from tests.engines import engine_over

SPEECH, CLONE = "/v1/audio/speech", "/v1/audio/speech/clone"
RATE = 24_000
BACKENDS = [BackendEntry(name, Task.TTS, "nowhere:Parrot", (), "", "MIT") for name in ("parrot", "plain")]
MODELS = [
    ModelEntry("parrot", "parrot", Task.TTS, "MIT", ("en",), voices=(Voice("own", "en"),), default_voice="own",
               clones=True, designs=True, instructs=True),
    ModelEntry("plain", "plain", Task.TTS, "MIT", ("en",), voices=(Voice("ann", "en"),), default_voice="ann"),
]  # fmt: skip


def noise(seconds: float, seed: int, rate: int = RATE) -> Audio:
    return Audio(np.random.default_rng(seed).uniform(-0.3, 0.3, round(seconds * rate)).astype(np.float32), rate)


class Parrot:
    """Repeats the recording; without one it hisses, longer for what it was told: 1 s, 2 s with instructions, 3 s with a design."""

    def __init__(self, setup: Setup) -> None: ...

    def load(self) -> None: ...

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        if options.reference:
            times = 2 if options.reference.text == "twice" else 1
            return iter([options.reference.audio] * times)
        return iter([noise(3 if options.design else 2 if options.instructions else 1, seed=0)])


@pytest.fixture
def parrot(tmp_path: Path) -> Iterator[TestClient]:
    registry = Registry(BACKENDS, MODELS, {"parrot": "inproc", "plain": "inproc"}, Defaults("", "plain", "ann"))
    clients = {
        name: RunnerClient(name, Host(Parrot, registry, Store(tmp_path, offline=True), HostOptions(), threads=1), deadline_s=10)
        for name in registry.served
    }
    library = Library(tmp_path / "library", limit=9)
    library.add(NewVoice("Eve", "Yes."), sample_of(wav_bytes(noise(2.5, seed=5)), "x"))
    engine = engine_over(registry, clients, voices=VoiceResolver(registry, library=library))
    with TestClient(create_app(Settings(os_models_dir=tmp_path), engine)) as client:
        yield client


def heard(answer: Any) -> Audio:
    assert answer.status_code == 200, answer.text
    return decode(answer.content, RATE, max_seconds=60)


def say(client: TestClient, **more: Any) -> Any:
    return client.post(SPEECH, json={"model": "parrot", "input": "Hello.", "voice": "alloy", "response_format": "wav"} | more)


def clone(client: TestClient, file: bytes | None = None, **fields: str) -> Any:
    files = {"reference_audio": ("me.wav", file, "audio/wav")} if file is not None else {"none": ("x", b"", "text/plain")}
    return client.post(CLONE, data={"model": "parrot", "input": "Hello.", "response_format": "wav"} | fields, files=files)


def alike(audio: Audio, other: Audio) -> float:
    """The highest correlation of the two at any shift within 50 ms; volume does not matter."""
    count = min(len(audio.samples), len(other.samples)) - 2400
    a, b = audio.samples[1200 : 1200 + count], other.samples
    return max(float(np.corrcoef(a, b[shift : shift + count])[0, 1]) for shift in range(2400) if len(b) >= shift + count)


ME = wav_bytes(noise(1.5, seed=1))
BASE64 = base64.b64encode(ME).decode()


@pytest.mark.parametrize("written", [BASE64, f"data:audio/wav;base64,{BASE64}", f"DATA:;BASE64,{BASE64}"], ids=["bare", "url", "loud"])
def test_a_recording_in_the_request_is_the_voice(parrot: TestClient, written: str) -> None:
    sound = heard(say(parrot, reference_audio=written))
    assert sound.seconds == pytest.approx(1.5, abs=0.05)
    assert alike(sound, noise(1.5, seed=1)) > 0.95


def test_what_is_said_in_it_goes_along(parrot: TestClient) -> None:
    assert heard(say(parrot, reference_audio=BASE64, reference_text="twice")).seconds == pytest.approx(3, abs=0.1)
    assert heard(clone(parrot, ME, transcript="twice")).seconds == pytest.approx(3, abs=0.1)
    assert heard(clone(parrot, voice_library_ref="Eve", transcript="twice")).seconds == pytest.approx(5, abs=0.1)


def test_a_recording_may_come_as_a_file_or_be_a_stored_one(parrot: TestClient) -> None:
    assert alike(heard(clone(parrot, ME)), noise(1.5, seed=1)) > 0.95
    assert heard(clone(parrot, reference_audio=BASE64)).seconds == pytest.approx(1.5, abs=0.05)
    for answer in (clone(parrot, voice_library_ref="Eve"), say(parrot, voice="Eve"), say(parrot, voice={"id": "Eve"})):
        assert alike(heard(answer), noise(2.5, seed=5)) > 0.95


def test_a_stored_voice_is_used_by_its_id_and_listed_for_the_model_that_clones(parrot: TestClient) -> None:
    (stored,) = [v for v in parrot.get("/v1/audio/voices?model=parrot").json()["data"] if v["kind"] == "library"]
    assert (stored["name"], stored["model"], stored["engine"]) == ("Eve", "parrot", "parrot")
    assert heard(say(parrot, voice=stored["id"])).seconds == pytest.approx(2.5, abs=0.05)
    assert "Eve" not in str(parrot.get("/v1/audio/voices?model=plain").json())


def test_a_model_tells_whether_it_clones(parrot: TestClient) -> None:
    can = {m["id"]: (m["clones"], m["designs"], m["instructs"]) for m in parrot.get("/v1/models").json()["data"] if m["id"] != "tts-1"}
    assert (can["parrot"], can["plain"]) == ((True, True, True), (False, False, False))


def test_designs_and_instructions_reach_a_model_that_takes_them(parrot: TestClient) -> None:
    lengths = [heard(say(parrot, **more)).seconds for more in ({}, {"instructions": "Sing."}, {"voice_design": "A deep voice."})]
    assert lengths == pytest.approx([1, 2, 3], abs=0.05)
    assert heard(say(parrot, model="plain", voice="ann", instructions="Sing.")).seconds == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("more", "param"),
    [({"reference_audio": BASE64}, "reference_audio"), ({"voice_design": "Deep."}, "voice_design"), ({"voice": "Eve"}, "voice")],
    ids=str,
)
def test_a_model_that_cannot_says_so_if_the_request_requires_it(
    parrot: TestClient, more: dict[str, str], param: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = say(parrot, model="plain", ignore_unsupported=False, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_value", param)
    assert "parrot" in error["message"]
    ignoring = say(parrot, model="plain", ignore_unsupported=True, **more)
    assert heard(ignoring).seconds == pytest.approx(1, abs=0.05)
    assert f"`{param}` was ignored" in ignoring.headers["warning"]
    assert f"`{param}` was ignored" in caplog.text


MEANING = {"reference_audio": "clone voices", "voice_design": "design voices"}


@pytest.mark.parametrize("more", [{"reference_audio": BASE64}, {"voice_design": "Deep."}], ids=str)
def test_without_a_word_of_it_a_model_ignores_what_it_cannot_do_but_not_a_stored_voice(parrot: TestClient, more: dict[str, str]) -> None:
    answer = say(parrot, model="plain", **more)
    assert heard(answer).seconds == pytest.approx(1, abs=0.05)
    assert answer.headers["warning"] == f'299 open-speech "`{min(more)}` was ignored: the model `plain` does not {MEANING[min(more)]}."'
    assert "warning" not in say(parrot, **more).headers
    assert say(parrot, model="plain", voice="Eve").status_code == 400


def test_the_clone_endpoint_names_its_own_field(parrot: TestClient) -> None:
    assert clone(parrot, ME, model="plain").json()["error"]["param"] == "reference_audio"
    assert clone(parrot, model="plain", voice_library_ref="Eve").json()["error"]["param"] == "voice_library_ref"


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"reference_audio": "no base64!"}, 400, "reference_audio"),
        ({"reference_audio": "data:audio/wav,plain"}, 400, "reference_audio"),
        ({"reference_audio": base64.b64encode(b"no sound").decode()}, 400, "reference_audio"),
        ({"reference_audio": base64.b64encode(wav_bytes(noise(0.5, 1))).decode()}, 400, "reference_audio"),
        ({"reference_audio": base64.b64encode(wav_bytes(noise(61, 1))).decode()}, 400, "reference_audio"),
        ({"reference_audio": "A" * (14 << 20)}, 413, "reference_audio"),
        ({"reference_audio": 5}, 400, "reference_audio"),
        ({"reference_text": "Hello."}, 400, "reference_audio"),
        ({"reference_audio": BASE64, "voice_design": "Deep."}, 400, "voice_design"),
        ({"reference_audio": BASE64, "reference_text": "x" * 5000}, 400, "reference_text"),
        ({"instructions": "x" * 5000}, 400, "instructions"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_wish_is_named_before_any_sound(parrot: TestClient, more: dict[str, Any], status: int, param: str) -> None:
    answer = say(parrot, **more)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("file", "fields", "param"),
    [
        (None, {}, "reference_audio"),
        (ME, {"voice_library_ref": "Eve"}, "voice_library_ref"),
        (None, {"voice_library_ref": "nobody"}, "voice_library_ref"),
        (None, {"voice_library_ref": "../Eve"}, "voice_library_ref"),
        (b"no sound", {}, "reference_audio"),
        (bytes(11 << 20), {}, "reference_audio"),
        (ME, {"input": ""}, "input"),
        (ME, {"speed": "9"}, "speed"),
        (ME, {"response_format": "ogg"}, "response_format"),
    ],
)
def test_a_bad_form_is_named(parrot: TestClient, file: bytes | None, fields: dict[str, str], param: str) -> None:
    answer = clone(parrot, file, **fields)
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]["param"] == param


def test_a_form_is_what_the_clone_endpoint_takes(parrot: TestClient) -> None:
    answer = parrot.post(CLONE, json={"model": "parrot", "input": "Hello."})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "reference_audio" in answer.json()["error"]["message"]
