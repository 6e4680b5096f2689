from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from open_speech.api.metrics import Scrape
from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.dispatch.link import RunnerGone
from open_speech.engine import Engine
from open_speech.metrics.exposition import Dump, dumped
from open_speech.metrics.meter import Meter
from runners.wiring.engine import local_engine


@pytest.fixture
def engine(tones_settings: Settings) -> Engine:
    return local_engine(tones_settings)


@pytest.fixture
def client(tones_settings: Settings, engine: Engine) -> Iterator[TestClient]:
    with TestClient(create_app(tones_settings, engine)) as client:
        yield client


def value(text: str, name: str, **labels: str) -> float | None:
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def test_what_was_spoken_and_heard_is_told(client: TestClient) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}
    spoken = client.post("/v1/audio/speech", json=body).content
    client.post("/v1/audio/transcriptions", files={"file": ("a.wav", spoken)}, data={"model": "whisper-1"})
    told = client.get("/metrics").text
    assert value(told, "open_speech_characters_total", model="tones/speak") == len("Hello there.")
    seconds = value(told, "open_speech_audio_out_seconds_total", model="tones/speak")
    assert seconds is not None
    assert seconds == pytest.approx((len(spoken) - 44) / 2 / 24_000)
    assert value(told, "open_speech_audio_in_seconds_total", model="tones/listen") == pytest.approx(seconds, abs=0.01)
    assert value(told, "open_speech_queue_accepted_total", backend="tones-tts") == 1
    assert value(told, "open_speech_model_loaded", backend="tones-tts", model="tones/speak") == 1
    assert value(told, "open_speech_runner_up", backend="tones-stt") == 1


def test_no_label_is_of_a_clients_making(client: TestClient) -> None:
    for name in ("swordfish", "swordfish/model"):
        client.get(f"/{name}")
        client.get(f"/v1/models/{name}")
        client.get(f"/web/{name}")
        client.post("/v1/audio/speech", json={"model": name, "voice": name, "input": name})
        client.request(name.upper()[:9], f"/v1/{name}?key={name}", headers={"X-Request-ID": name})
    told = client.get("/metrics").text
    assert "swordfish" not in told.lower()
    assert value(told, "open_speech_errors_total", door="openai", code="model_not_found") is not None


def test_a_key_guards_the_figures_unless_they_are_public(tones_settings: Settings, engine: Engine) -> None:
    keyed = tones_settings.model_copy(update={"os_api_key": "sesame"})
    with TestClient(create_app(keyed, engine)) as client:
        assert client.get("/metrics").status_code == 401
        told = client.get("/metrics", headers={"Authorization": "Bearer sesame"}).text
        assert value(told, "open_speech_errors_total", door="probe", code="invalid_api_key") == 1
    public = keyed.model_copy(update={"os_public_metrics": True})
    with TestClient(create_app(public, engine)) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/models").status_code == 401


def test_sessions_and_their_errors_are_told(client: TestClient) -> None:
    with client.websocket_connect("/v1/audio/speech/stream") as socket:
        socket.send_text("nonsense")
        assert socket.receive_json()["type"] == "error"
        told = client.get("/metrics").text
        assert value(told, "open_speech_sessions", door="live-speech") == 1
        assert value(told, "open_speech_errors_total", door="live-speech", code="invalid_request_error") == 1


def test_sound_that_is_heard_live_is_told_once_its_text_is_final(client: TestClient) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "pcm", "sample_rate": 16_000}
    sound = client.post("/v1/audio/speech", json=body).content
    with client.websocket_connect("/v1/audio/stream?sample_rate=16000&vad=false") as socket:
        socket.send_bytes(sound)
        socket.send_json({"type": "stop"})
        while not (message := socket.receive_json()).get("is_final"):
            assert message["type"] != "error"
    told = client.get("/metrics").text
    assert value(told, "open_speech_audio_in_seconds_total", model="tones/listen") == pytest.approx(len(sound) / 2 / 16_000, abs=0.05)
    assert value(told, "open_speech_sessions_begun_total", door="live-transcription") == 1


def test_the_cache_is_told_where_there_is_one(tones_settings: Settings, client: TestClient) -> None:
    assert "open_speech_cache" not in client.get("/metrics").text
    settings = tones_settings.model_copy(update={"tts_cache_enabled": True, "tts_cache_dir": tones_settings.os_models_dir / "cache"})
    with TestClient(create_app(settings, local_engine(settings))) as cached:
        for _ in range(2):
            assert cached.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": "Hello."}).status_code == 200
        told = cached.get("/metrics").text
    assert value(told, "open_speech_cache_hits_total", kind="answer") == 1
    assert value(told, "open_speech_cache_misses_total", kind="answer") == 1


def test_runners_are_asked_once_a_second_however_often_it_is_scraped(engine: Engine) -> None:
    now = [0.0]
    asked = 0

    async def source() -> Dump:
        nonlocal asked
        asked += 1
        other = Meter()
        other.failed("wyoming", "voice_not_found")
        return dumped(other.figures.registry.collect())

    async def scrapes() -> list[bytes]:
        scrape = Scrape(Meter(), clock=lambda: now[0])
        scrape.sources["wyoming"] = source
        texts = list(await asyncio.gather(*(scrape.text(engine) for _ in range(5))))
        now[0] = 1.5
        return [*texts, await scrape.text(engine)]

    texts = asyncio.run(scrapes())
    assert asked == 2
    assert {value(text.decode(), "open_speech_errors_total", door="wyoming", code="voice_not_found") for text in texts} == {1}


def test_a_process_that_does_not_answer_is_left_out(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    async def gone() -> Dump:
        raise RunnerGone("it died")

    async def hangs() -> Dump:
        await asyncio.Event().wait()
        return []

    async def scrape() -> bytes:
        scrape = Scrape(Meter())
        scrape.sources |= {"wyoming": gone, "another": hangs}
        return await scrape.text(engine)

    assert value(asyncio.run(scrape()).decode(), "open_speech_runner_up", backend="tones-tts") == 1
    assert set(re.findall(r"the metrics of (\w+) are missing", caplog.text)) == {"wyoming", "another"}
