from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.api.openai.voice_list import voice_of
from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.backends import ModelEntry, Task, Voice
from open_speech.codecs import decode, wav_bytes
from open_speech.config import Settings
from open_speech.registry import OPENAI_VOICES
from runners.wiring.engine import local_engine

PATH = "/v1/audio/voices"
AGREED = {"consent": "I agree that my voice is used here."}
PRESETS = """
voices:
  narrator: {voice: tone, speed: 2, language: en, description: In a hurry.}
openai:
  nova: narrator
"""


def recording(seconds: float = 2, rate: int = 16_000) -> bytes:
    return wav_bytes(Audio(np.random.default_rng(3).uniform(-0.3, 0.3, round(seconds * rate)).astype(np.float32), rate))


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/dora_fr.wav").write_bytes(recording())
    (tmp_path / "voices.yaml").write_text(PRESETS, encoding="utf-8")
    return Settings(
        os_models_dir=tmp_path / "models", os_offline=True, os_voice_library_path=tmp_path / "library", os_voice_library_max_count=2,
        tts_voices_config=tmp_path / "voices.yaml", tts_voice_dir=tmp_path / "folder",
        stt_backends=("tones-stt",), tts_backends=("tones-tts",), stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone",
    )  # fmt: skip


@pytest.fixture
def voiced(own_settings: Settings) -> Iterator[TestClient]:
    """The app with presets, a folder of voices and an empty library for two."""
    with TestClient(create_app(own_settings, local_engine(own_settings))) as client:
        yield client


def upload(client: TestClient, sample: bytes | None = None, **fields: str) -> Any:
    files = {"audio_sample": ("me.wav", recording() if sample is None else sample, "audio/wav")}
    return client.post(PATH, data=AGREED | {"name": "Anna"} | fields, files=files)


def test_voices_come_in_every_shape_that_clients_read(client: TestClient) -> None:
    body = client.get(PATH).json()
    assert body["object"] == "list"
    assert body["data"] == body["voices"]
    voice = body["voices"][0]
    assert (voice["id"], voice["name"], voice["object"], voice["model"]) == ("tone", "tone", "audio.voice", "tones/speak")
    assert (voice["engine"], voice["licence"], voice["kind"], voice["language"]) == ("tones-tts", "MIT", "builtin", "en-US")
    assert client.get(PATH + "?legacy=true").json() == {"voices": ["tone"]}


def test_voices_can_be_asked_of_one_model(client: TestClient) -> None:
    assert client.get(PATH + "?model=tts-1").json() == client.get(PATH + "?model=tones/speak").json()
    assert client.get(PATH + "?model=nobody").status_code == 404
    assert client.get(PATH + "?model=whisper-1").json()["error"]["code"] == "model_wrong_task"
    assert client.get(PATH + "?legacy=perhaps").json()["error"]["param"] == "legacy"


def test_every_kind_of_voice_is_listed_with_what_stands_behind_it(voiced: TestClient) -> None:
    stored = upload(voiced, language="de").json()
    voices = {voice["name"]: voice for voice in voiced.get(PATH).json()["data"]}
    assert list(voices) == ["tone", "narrator", "Anna", "dora_fr", *OPENAI_VOICES]
    assert {name: voices[name]["kind"] for name in ("tone", "narrator", "Anna", "dora_fr", "nova")} == {
        "tone": "builtin", "narrator": "preset", "Anna": "library", "dora_fr": "library", "nova": "alias",
    }  # fmt: skip
    assert (voices["narrator"]["voice"], voices["narrator"]["description"]) == ("tone", "In a hurry.")
    assert voices["Anna"] == stored
    assert "model" not in stored  # nothing here clones


def test_recordings_are_no_voices_of_a_model_that_clones_nothing(voiced: TestClient) -> None:
    voices = voiced.get(PATH + "?model=tones/speak").json()["data"]
    assert {voice["kind"] for voice in voices} == {"builtin", "preset", "alias"}


def test_every_listed_voice_can_be_heard(voiced: TestClient) -> None:
    upload(voiced)
    for voice in voiced.get(PATH).json()["data"]:
        answer = voiced.get(voice["sample"])
        assert answer.status_code == 200, voice
        assert answer.headers["content-type"].startswith("audio/")
        assert decode(answer.content, 24_000, max_seconds=60).seconds > 0.3
    assert voiced.get(PATH + "/Anna/sample").headers["content-type"] == "audio/wav"
    assert voiced.get(PATH + "/tone/sample?response_format=flac").headers["content-type"] == "audio/flac"


def test_a_preset_can_be_used_wherever_a_voice_can(voiced: TestClient) -> None:
    def seconds(voice: str, **more: Any) -> float:
        body = {"model": "tts-1", "input": "Hello there world.", "voice": voice, "response_format": "wav"} | more
        return decode(voiced.post("/v1/audio/speech", json=body).content, 24_000, max_seconds=60).seconds

    plain = seconds("tone")
    assert seconds("narrator") == pytest.approx(plain / 2, rel=0.2)
    assert seconds("nova") == pytest.approx(plain / 2, rel=0.2)
    assert seconds("narrator", speed=1) == pytest.approx(plain, rel=0.1)


def test_the_presets_are_listed(voiced: TestClient, client: TestClient) -> None:
    expected = {"name": "narrator", "voice": "tone", "speed": 2.0, "language": "en", "description": "In a hurry."}
    assert voiced.get("/api/voice-presets").json() == {"presets": [expected], "openai": {"nova": "narrator"}}
    assert client.get("/api/voice-presets").json() == {"presets": [], "openai": {}}


def test_a_stored_voice_has_openais_shape_until_it_is_deleted(voiced: TestClient) -> None:
    stored = upload(voiced, transcript="Hello.", language="en-US").json()
    assert stored["id"].startswith("voice_")
    assert (stored["object"], stored["name"], stored["type"]) == ("audio.voice", "Anna", "audio_sample")
    assert isinstance(stored["created_at"], int)
    assert voiced.get(f"{PATH}/{stored['id']}").json() == voiced.get(f"{PATH}/Anna").json() == stored
    gone = voiced.delete(f"{PATH}/{stored['id']}")
    assert gone.json() == {"id": stored["id"], "object": "audio.voice.deleted", "deleted": True}
    for answer in (voiced.get(f"{PATH}/{stored['id']}"), voiced.delete(f"{PATH}/{stored['id']}"), voiced.get(f"{PATH}/Anna/sample")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_restart_forgets_no_voice(voiced: TestClient, own_settings: Settings) -> None:
    stored = upload(voiced).json()
    with TestClient(create_app(own_settings, local_engine(own_settings))) as again:
        assert again.get(f"{PATH}/Anna").json() == stored


def test_a_model_that_clones_nothing_refuses_a_recording_and_names_the_field(voiced: TestClient) -> None:
    upload(voiced)
    body = {"model": "tts-1", "input": "Hello.", "voice": "Anna"}
    error = voiced.post("/v1/audio/speech", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_value", "voice")
    assert voiced.post("/v1/audio/speech", json=body | {"ignore_unsupported": True}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "sample", "status", "param", "code"),
    [
        ({"name": ""}, None, 400, "name", "missing_required_parameter"),
        ({"consent": ""}, None, 400, "consent", "missing_required_parameter"),
        ({"name": "../../x"}, None, 400, "name", "invalid_value"),
        ({"name": "tone"}, None, 400, "name", "invalid_value"),
        ({"name": "alloy"}, None, 400, "name", "invalid_value"),
        ({"name": "narrator"}, None, 400, "name", "invalid_value"),
        ({"name": "dora_fr"}, None, 400, "name", "invalid_value"),
        ({"consent": "cons_" + "0" * 24}, None, 400, "consent", "invalid_value"),
        ({"consent": "cons_../../x"}, None, 400, "consent", "invalid_value"),
        ({"language": "klingon/../"}, None, 400, "language", "invalid_value"),
        ({"type": "prompt"}, None, 400, "type", "invalid_value"),
        ({}, b"no sound at all", 400, "audio_sample", "invalid_value"),
        ({}, recording(0.2), 400, "audio_sample", "invalid_value"),
        ({}, recording(70), 400, "audio_sample", "invalid_value"),
        ({}, bytes(11 << 20), 413, "audio_sample", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_upload_is_named_and_leaves_nothing(
    voiced: TestClient, fields: dict[str, str], sample: bytes | None, status: int, param: str, code: str | None
) -> None:
    answer = upload(voiced, sample, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert [voice["name"] for voice in voiced.get(PATH).json()["data"] if voice["kind"] == "library"] == ["dora_fr"]


def test_an_upload_without_a_file_or_as_json_is_refused(voiced: TestClient) -> None:
    form = voiced.post(PATH, data=AGREED | {"name": "Anna"}, files={"other": b"x"})
    assert (form.status_code, form.json()["error"]["param"]) == (400, "audio_sample")
    body = {"name": "Anna", "audio_sample": base64.b64encode(recording()).decode()}
    assert voiced.post(PATH, json=body).json()["error"]["type"] == "invalid_request_error"


def test_a_full_library_says_so(voiced: TestClient) -> None:
    assert [upload(voiced, name=name).status_code for name in ("one", "two", "three")] == [200, 200, 400]
    assert upload(voiced, name="three").json()["error"]["code"] == "library_full"


@pytest.mark.parametrize("name", ["tone", "alloy", "narrator", "dora_fr"])
def test_only_stored_voices_can_be_deleted(voiced: TestClient, name: str) -> None:
    answer = voiced.delete(f"{PATH}/{name}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice_id")
    assert voiced.get(f"{PATH}/{name}").status_code == 200


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "nobody", "voice_" + "0" * 24, "%2e%2e"])
def test_a_path_with_tricks_in_it_finds_nothing(voiced: TestClient, name: str) -> None:
    assert voiced.get(f"{PATH}/{name}").status_code in (307, 404)
    assert voiced.get(f"{PATH}/{name}/sample").status_code == 404
    assert voiced.delete(f"{PATH}/{name}").status_code in (404, 405)


def test_a_voice_whose_language_is_not_installed_is_listed_with_what_it_needs() -> None:
    entry = ModelEntry("m", "mouth", Task.TTS, "MIT", ("zh",))
    assert voice_of(entry, Voice("li", "zh")).unusable is None
    shown = voice_of(entry, Voice("li", "zh", needs="pip install 'open-speech[kokoro-zh]'")).unusable
    assert shown == "Its language is not installed; run: pip install 'open-speech[kokoro-zh]'"
