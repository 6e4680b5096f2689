from __future__ import annotations

import json

import pytest

from open_speech.config import Settings
from open_speech.http.json_bounds import MIB, OTHER, AudioField, bounds_by_path
from open_speech.voices import SAMPLE_BYTES


@pytest.mark.parametrize("character", ["a", "é", "\u2028", "\U0001f600", '"', "\x00"])
def test_the_longest_text_fits_whatever_its_characters_take_as_json(character: str) -> None:
    settings = Settings(tts_max_input_length=10_000)
    body = {"model": "tts-1", "input": character * 10_000, "instructions": character * 4096, "reference_text": character * 4096}
    assert len(json.dumps(body)) <= bounds_by_path(settings)["/v1/audio/speech"].text_bytes


@pytest.mark.parametrize("escape", ["+", "\\u002b"])
def test_the_largest_recording_fits_in_base64_escaped_or_not(escape: str) -> None:
    field = AudioField(("reference_audio",), SAMPLE_BYTES)
    characters = -(-SAMPLE_BYTES // 3) * 4
    plus = characters // 64  # of random audio, one character in 64 is a plus, and another one a slash
    assert characters - 2 * plus + 2 * plus * len(escape) < field.json_bytes
    assert bounds_by_path(Settings())["/v1/audio/speech"].body_bytes > field.json_bytes


def test_a_body_of_text_is_far_smaller_than_an_upload() -> None:
    assert OTHER.body_bytes == MIB
    bounds = bounds_by_path(Settings(os_max_upload_mb=100))
    assert bounds["/v1/audio/speech"].text_bytes < MIB
    assert max(found.body_bytes for found in bounds.values()) == 100 * MIB


def test_a_large_limit_on_text_is_followed() -> None:
    assert bounds_by_path(Settings(tts_max_input_length=1_000_000))["/v1/audio/speech"].text_bytes > 12_000_000
