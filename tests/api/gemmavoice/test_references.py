from __future__ import annotations

import base64

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.audio import Audio, silence
from open_speech.codecs import wav_bytes

PATH = "/v1/encode-reference"
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 100 * 16_000).astype(np.float32)


def recording(seconds: float) -> bytes:
    return wav_bytes(Audio(NOISE[: round(seconds * 16_000)], 16_000))


def test_a_recording_comes_back_as_base64(client: TestClient) -> None:
    answer = client.post(PATH, files={"file": ("me.wav", recording(2))})
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["reference_base64"]) == recording(2)


@pytest.mark.parametrize(
    "data",
    [b"", b"no audio", recording(0.5), recording(61), wav_bytes(silence(2, 16_000))],
    ids=["empty", "no audio", "short", "long", "silent"],
)
def test_what_no_voice_can_be_cloned_from_is_refused(client: TestClient, data: bytes) -> None:
    answer = client.post(PATH, files={"file": ("me.wav", data)})
    assert answer.status_code == 400, answer.text
    assert "`file`" in answer.json()["detail"]


def test_a_form_without_a_file_is_refused(client: TestClient) -> None:
    answer = client.post(PATH, files={"other": ("x", b"x")})
    assert (answer.status_code, answer.json()) == (400, {"detail": "The required parameter `file` is missing."})
    assert client.post(PATH, json={}).status_code == 400
