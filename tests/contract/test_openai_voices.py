"""Voices and consents through the official client, which refuses an answer that is not of its own type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from open_speech.audio import Audio
from open_speech.codecs import wav_bytes

SAID = wav_bytes(Audio(np.random.default_rng(3).uniform(-0.3, 0.3, 32_000).astype(np.float32), 16_000))


@pytest.fixture
def sdk(server: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server}/v1", api_key="sesame", max_retries=0, _strict_response_validation=True) as sdk:
        yield sdk


def test_a_voice_is_made_on_a_consent_and_both_are_deleted(sdk: OpenAI) -> None:
    consent = sdk.audio.voice_consents.create(name="Anna", language="en-US", recording=("yes.wav", SAID))
    assert (consent.object, consent.name, consent.language) == ("audio.voice_consent", "Anna", "en-US")
    assert sdk.audio.voice_consents.retrieve(consent.id) == consent
    assert sdk.audio.voice_consents.update(consent.id, name="Ann").name == "Ann"
    voice = sdk.audio.voices.create(name="Anna", consent=consent.id, audio_sample=("me.wav", SAID), type="audio_sample")
    assert (voice.object, voice.name, voice.type) == ("audio.voice", "Anna", "audio_sample")
    with pytest.raises(BadRequestError) as refused:
        sdk.audio.speech.create(model="tts-1", input="Hello.", voice={"id": voice.id})
    assert (refused.value.param, refused.value.code) == ("voice", "unsupported_value")
    assert sdk.audio.voices.delete(voice.id).deleted
    assert sdk.audio.voice_consents.delete(consent.id).deleted
    with pytest.raises(NotFoundError):
        sdk.audio.voice_consents.retrieve(consent.id)


def test_consents_are_paged_through_by_the_client_itself(sdk: OpenAI) -> None:
    made = [sdk.audio.voice_consents.create(name=f"person {number}", language="en", recording=("yes.wav", SAID)).id for number in range(5)]
    assert [consent.id for consent in sdk.audio.voice_consents.list(limit=2)] == made[::-1]
    for name in made:
        sdk.audio.voice_consents.delete(name)


def test_a_wrong_recording_is_named(sdk: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        sdk.audio.voices.create(name="Anna", consent="I agree.", audio_sample=("me.wav", b"no sound"))
    assert refused.value.param == "audio_sample"
