"""A real voice through the whole door: every format, as sound and as events, at three speeds, is as long and loud as it should be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import Audio, from_pcm16
from open_speech.codecs import decode, loudness
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.synthesis.postprocess import TARGET_LUFS
from runners.wiring.engine import local_engine

pytestmark = pytest.mark.weights

TEXT = "In the afternoon we walked along the river. Nobody knew how far it was to the sea!"
RATE = 24_000
FORMATS: tuple[AudioFormat, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@pytest.fixture(scope="module")
def client(default_weights: None, weights_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The app on Kokoro, which says the same the same way each time; the cache keeps its sound, so each speed is spoken once."""
    settings = Settings(
        os_models_dir=weights_root,
        os_voice_library_path=tmp_path_factory.mktemp("library"),
        os_offline=True,
        stt_backends=(),
        tts_backends=("kokoro",),
        tts_cache_enabled=True,
        tts_cache_dir=tmp_path_factory.mktemp("speech"),
    )
    engine = local_engine(settings)
    with TestClient(create_app(settings, engine)) as client:
        yield client
    assert engine.synthesis.cache is not None
    engine.synthesis.cache.close()


def said(client: TestClient, form: AudioFormat, speed: float, way: str = "audio") -> Audio:
    body = {"model": "kokoro", "voice": "af_heart", "input": TEXT, "response_format": form, "speed": speed, "stream_format": way}
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    data = answer.content
    if way == "sse":
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        data = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    return from_pcm16(data, RATE) if form == "pcm" else decode(data, RATE, max_seconds=60)


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_every_format_and_way_has_the_length_and_loudness_of_the_speech(client: TestClient, speed: float) -> None:
    plain = said(client, "pcm", speed)
    assert plain.seconds == pytest.approx(said(client, "pcm", 1.0).seconds / speed, rel=0.15)
    for form in FORMATS:
        for way in ("audio", "sse"):
            heard = said(client, form, speed, way)
            assert heard.seconds == pytest.approx(plain.seconds, rel=0.03), (form, way)
            assert loudness(heard) == pytest.approx(TARGET_LUFS, abs=1.0), (form, way)


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_the_joint_of_two_sentences_is_smoother_than_either(client: TestClient, speed: float) -> None:
    samples = said(client, "wav", speed).samples
    steps = np.abs(np.diff(samples))
    frame = RATE // 100
    loud = np.flatnonzero(np.abs(samples[: len(samples) // frame * frame].reshape(-1, frame)).max(axis=1) > 0.01)
    longest = int(np.diff(loud).argmax())
    pause = slice((loud[longest] + 1) * frame, loud[longest + 1] * frame)
    assert 0.2 < pause.start / len(samples) < pause.stop / len(samples) < 0.8
    assert pause.stop - pause.start >= 0.1 * RATE / speed
    assert steps[pause].max() < steps.max() / 20
