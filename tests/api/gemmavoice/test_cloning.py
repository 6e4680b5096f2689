"""`references` and stored voices, on a model that clones: the one of tests/api/openai/test_clone.py, which has the voice `own`."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.codecs import decode
from tests.api.openai.test_clone import BASE64, ME, RATE, alike, noise, parrot

__all__ = ["parrot"]


def audio_of(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    assert "warning" not in answer.headers
    return decode(base64.b64decode(answer.json()["audio_base64"]), RATE, max_seconds=60)


def test_the_first_reference_is_the_voice(parrot: TestClient) -> None:
    spoken = audio_of(parrot.post("/v1/text-to-speech", json={"text": "Hello.", "reference_id": "own", "references": [BASE64]}))
    assert spoken.seconds == pytest.approx(1.5, abs=0.05)
    assert alike(spoken, noise(1.5, seed=1)) > 0.95


def test_an_encoded_reference_is_what_references_take_back(parrot: TestClient) -> None:
    answer = parrot.post("/v1/encode-reference", files={"file": ("me.wav", ME)})
    assert answer.json() == {"reference_base64": BASE64}
    body = {"text": "Hello.", "reference_id": "own", "references": [answer.json()["reference_base64"]]}
    assert alike(audio_of(parrot.post("/v1/text-to-speech", json=body)), noise(1.5, seed=1)) > 0.95


def test_a_stored_voice_is_named_by_its_reference_id(parrot: TestClient) -> None:
    spoken = audio_of(parrot.post("/v1/text-to-speech", json={"text": "Hello.", "reference_id": "Eve"}))
    assert alike(spoken, noise(2.5, seed=5)) > 0.95
