from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine

PATH = "/v1/audio/voice_consents"
SAID = wav_bytes(Audio(np.random.default_rng(3).uniform(-0.3, 0.3, 32_000).astype(np.float32), 16_000))


@pytest.fixture
def voiced(tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(
        os_models_dir=tmp_path / "models", os_voice_library_path=tmp_path / "library", os_voice_library_max_count=5,
        stt_backends=(), tts_backends=("tones-tts",), tts_model="tones/speak", tts_voice="tone",
    )  # fmt: skip
    with TestClient(create_app(settings, local_engine(settings))) as client:
        yield client


def create(client: TestClient, name: str = "Anna", language: str = "en-US", recording: bytes = SAID) -> Any:
    return client.post(PATH, data={"name": name, "language": language}, files={"recording": ("yes.wav", recording, "audio/wav")})


def test_a_consent_is_created_read_renamed_and_deleted(voiced: TestClient) -> None:
    made = create(voiced).json()
    assert made["id"].startswith("cons_")
    assert (made["object"], made["name"], made["language"]) == ("audio.voice_consent", "Anna", "en-US")
    assert isinstance(made["created_at"], int)
    assert voiced.get(f"{PATH}/{made['id']}").json() == made
    assert voiced.post(f"{PATH}/{made['id']}", json={"name": "Ann"}).json() == made | {"name": "Ann"}
    gone = voiced.delete(f"{PATH}/{made['id']}").json()
    assert gone == {"id": made["id"], "object": "audio.voice_consent", "deleted": True}
    for answer in (voiced.get(f"{PATH}/{made['id']}"), voiced.delete(f"{PATH}/{made['id']}"), voiced.get(f"{PATH}/nobody")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_consents_come_newest_first_page_by_page(voiced: TestClient) -> None:
    assert voiced.get(PATH).json() == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    ids = [create(voiced, f"person {number}").json()["id"] for number in range(5)][::-1]
    pages = []
    after = ""
    while True:
        page = voiced.get(f"{PATH}?limit=2{after}").json()
        found = [consent["id"] for consent in page["data"]]
        assert (page["first_id"], page["last_id"]) == (found[0], found[-1])
        pages.append(found)
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert pages == [ids[:2], ids[2:4], ids[4:]]


@pytest.mark.parametrize(("query", "param"), [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("after=x", "after")])
def test_a_wrong_page_is_named(voiced: TestClient, query: str, param: str) -> None:
    answer = voiced.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"language": "english please"}, "language"),
        ({"language": ""}, "language"),
        ({"recording": b"no sound"}, "recording"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(voiced: TestClient, wrong: dict[str, Any], param: str) -> None:
    answer = create(voiced, **wrong)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert voiced.get(PATH).json()["data"] == []


def test_a_recording_is_required(voiced: TestClient) -> None:
    answer = voiced.post(PATH, data={"name": "Anna", "language": "en"}, files={"other": b"x"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "recording")


def test_there_is_a_limit(voiced: TestClient) -> None:
    assert [create(voiced, f"person {number}").status_code for number in range(6)] == [200] * 5 + [400]


def test_a_voice_may_rest_on_a_consent_which_then_stays(voiced: TestClient) -> None:
    consent = create(voiced).json()["id"]
    fields, files = {"name": "Anna", "consent": consent}, {"audio_sample": ("me.wav", SAID, "audio/wav")}
    voice = voiced.post("/v1/audio/voices", data=fields, files=files).json()["id"]
    assert voiced.delete(f"{PATH}/{consent}").json()["error"]["param"] == "consent_id"
    assert voiced.delete(f"/v1/audio/voices/{voice}").status_code == 200
    assert voiced.delete(f"{PATH}/{consent}").status_code == 200
