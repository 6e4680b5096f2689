"""Local first: models without weights, slow, busy and broken servers, and the clouds behind them, which are servers on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.audio import Audio, from_pcm16, to_pcm16
from open_speech.codecs import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.scripted_server import Reply, Upstream, json_reply, serving
from tests.waiting import PATIENCE_S, until

HEADER = "x-open-speech-model"
LOCAL, LOCAL_VOICE = "vosk-model-small-en-us-0.15", "piper/en_US-joe-medium"
"""Models of this server, which has no weights: they fail at once."""
NOISE = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)
CLIP = wav_bytes(NOISE)
PCM = (np.sin(np.arange(24_000) / 30) * 16_000).astype("<i2").tobytes()
LISTEN = {"deepgram": "/v1/listen", "elevenlabs": "/v1/speech-to-text", "cartesia": "/stt", "upstream": "/v1/audio/transcriptions"}
SPEAK = {
    "deepgram": "/v1/speak", "elevenlabs": "/v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream", "cartesia": "/tts/bytes",
    "upstream": "/v1/audio/speech",
}  # fmt: skip
DEEPGRAM = json_reply({"results": {"channels": [{"alternatives": [{"transcript": "From Deepgram.", "words": []}]}]}})
ELEVENLABS = json_reply({"text": "From ElevenLabs.", "language_code": "eng"})
CARTESIA = json_reply({"text": "From Cartesia.", "language": "en"})
BROKEN = json_reply({"message": "out of order"}, 500)
GARBAGE: Reply = lambda desk: desk.say(200, "application/json", b"<html>")  # noqa: E731 - a value of its type
SPEECH: Reply = lambda desk: desk.say(200, "audio/pcm", PCM)  # noqa: E731 - as above


@pytest.fixture
def cloud() -> Iterator[Upstream]:
    with serving() as server:
        yield server


@pytest.fixture
def settings(tones_settings: Settings, cloud: Upstream) -> Settings:
    clouds = ("deepgram", "elevenlabs", "cartesia")
    addresses = {f"os_{name}_url": cloud.root for name in clouds} | {f"os_{name}_api_key": "k" for name in clouds}
    return tones_settings.model_copy(
        update={
            **addresses,
            **{f"os_{name}_max_retries": 0 for name in clouds},
            **{f"{task}_upstream_{name}": value for task in ("stt", "tts") for name, value in (("url", cloud.url), ("max_retries", 0))},
            "stt_upstream_models": ("whisper-1",),
            "tts_upstream_models": ("tts-1",),
            "stt_backends": ("vosk", "tones-stt", "upstream", *clouds),
            "tts_backends": ("piper", "tones-tts", "upstream-tts", *(f"{name}-tts" for name in clouds)),
            "stt_model": LOCAL,
            "tts_model": LOCAL_VOICE,
            "tts_voice": "en_US-joe-medium",
            "stt_fallback": ("deepgram/nova-3", "elevenlabs/scribe_v2", "cartesia/ink-whisper"),
            "tts_fallback": ("deepgram/aura-2", "elevenlabs/eleven_multilingual_v2", "cartesia/sonic-2"),
        }
    )


@contextmanager
def running(settings: Settings) -> Iterator[TestClient]:
    """The app with its workers."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = local_engine(settings)
        app.state.engine.meter = app.state.meter
        async with app.state.jobs.working(app.state.engine):
            yield

    with TestClient(create_app(settings, lifespan=lifespan)) as client:
        yield client


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, local_engine(settings))) as client:
        yield client


def transcribe(client: TestClient, model: str = "whisper-1", file: bytes = CLIP, headers: Any = None, **fields: str) -> httpx.Response:
    return client.post("/v1/audio/transcriptions", files={"file": ("a.wav", file)}, data={"model": model, **fields}, headers=headers)


def speak(client: TestClient, headers: Any = None, **fields: Any) -> httpx.Response:
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "pcm", **fields}
    return client.post("/v1/audio/speech", json=body, headers=headers)


def asked(cloud: Upstream) -> list[str]:
    """List the paths of all requests to the other servers, in order, without those for lists of models and voices."""
    return [seen.path.partition("?")[0] for seen in cloud.seen if seen.method == "POST"]


# -- transcription


def test_the_first_cloud_transcribes_what_the_local_model_cannot(
    client: TestClient, cloud: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    answer = transcribe(client)
    assert (answer.status_code, answer.json()["text"], answer.headers[HEADER]) == (200, "From Deepgram.", "deepgram/nova-3")
    assert asked(cloud) == [LISTEN["deepgram"]]
    labels = f'code="weights_unavailable",fallback="deepgram/nova-3",model="{LOCAL}",task="speech-to-text"'
    counted = [line for line in client.get("/metrics").text.splitlines() if line.startswith("open_speech_fallbacks_total{")]
    assert [(line.partition("{")[2].partition("}")[0], float(line.split()[-1])) for line in counted] == [(labels, 1.0)]
    assert f"`{LOCAL}` failed (weights_unavailable): falling back to `deepgram/nova-3`" in caplog.text


def test_clouds_are_tried_in_order_past_failures_and_garbage(client: TestClient, cloud: Upstream) -> None:
    cloud.replies = {LISTEN["deepgram"]: [BROKEN], LISTEN["elevenlabs"]: [GARBAGE], LISTEN["cartesia"]: [CARTESIA]}
    answer = transcribe(client, response_format="verbose_json")
    assert (answer.json()["text"], answer.headers[HEADER]) == ("From Cartesia.", "cartesia/ink-whisper")
    assert asked(cloud) == [LISTEN["deepgram"], LISTEN["elevenlabs"], LISTEN["cartesia"]]


def test_if_all_fail_the_error_is_that_of_the_local_model(client: TestClient, cloud: Upstream) -> None:
    answer = transcribe(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "weights_unavailable")
    assert HEADER not in answer.headers
    assert len(asked(cloud)) == 3


def test_a_model_that_works_is_named_and_nothing_is_sent(client: TestClient, cloud: Upstream) -> None:
    answer = transcribe(client, "tones/listen")
    assert (answer.status_code, answer.headers[HEADER]) == (200, "tones/listen")
    assert asked(cloud) == []


@pytest.mark.parametrize(("fields", "status"), [({"file": b"no audio"}, 400), ({"model": "nobody/x"}, 404), ({"language": "klingon"}, 400)])
def test_an_error_of_the_caller_goes_to_no_cloud(client: TestClient, cloud: Upstream, fields: dict[str, Any], status: int) -> None:
    assert transcribe(client, **fields).status_code == status
    assert asked(cloud) == []


def test_a_cloud_that_cannot_do_what_is_asked_is_passed_over(settings: Settings, cloud: Upstream) -> None:
    cloud.replies[LISTEN["elevenlabs"]] = [ELEVENLABS]
    cloud.replies[LISTEN["deepgram"]] = [json_reply({"err_code": "x", "err_msg": "No such language"}, 400)]
    with TestClient(create_app(settings, local_engine(settings))) as client:
        assert transcribe(client).headers[HEADER] == "elevenlabs/scribe_v2"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_slow_model_is_left_for_the_next_one(settings: Settings, cloud: Upstream, stream: str) -> None:
    released = threading.Event()
    cloud.replies = {LISTEN["upstream"]: [lambda desk: released.wait(PATIENCE_S) and None], LISTEN["deepgram"]: [DEEPGRAM]}
    # The last model of a chain has no limit, however slow the machine is.
    quick = settings.model_copy(update={"stt_fallback_after_s": 0.3, "stt_fallback": ("deepgram/nova-3",)})
    try:
        with TestClient(create_app(quick, local_engine(quick))) as client:
            answer = transcribe(client, "upstream/whisper-1", stream=stream)
            assert "From Deepgram." in answer.text
            assert answer.headers[HEADER] == "deepgram/nova-3"
    finally:
        released.set()


def test_a_busy_model_is_left_for_the_next_one(client: TestClient, cloud: Upstream) -> None:
    cloud.replies = {LISTEN["upstream"]: [json_reply({"error": {"message": "busy"}}, 429)], LISTEN["deepgram"]: [DEEPGRAM]}
    assert transcribe(client, "upstream/whisper-1").headers[HEADER] == "deepgram/nova-3"


def test_a_full_queue_leads_to_the_next_model(settings: Settings, cloud: Upstream) -> None:
    began, released = threading.Event(), threading.Event()

    def held(desk: Any) -> None:
        began.set()
        released.wait(PATIENCE_S)
        json_reply({"text": "Late."})(desk)

    cloud.replies = {LISTEN["upstream"]: [held], LISTEN["deepgram"]: [DEEPGRAM]}
    narrow = settings.model_copy(update={"os_max_queue": 1})
    with TestClient(create_app(narrow, local_engine(narrow))) as client:
        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(transcribe(client, "upstream/whisper-1")))
        first.start()
        try:
            assert began.wait(PATIENCE_S)
            assert transcribe(client, "upstream/whisper-1").headers[HEADER] == "deepgram/nova-3"
        finally:
            released.set()
            first.join(PATIENCE_S)
        assert [answer.headers[HEADER] for answer in answers] == ["upstream/whisper-1"]


def test_events_begin_with_the_model_that_has_the_first_text(client: TestClient, cloud: Upstream) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    answer = transcribe(client, LOCAL, stream="true")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert (events[-1]["text"], answer.headers[HEADER]) == ("From Deepgram.", "deepgram/nova-3")


def test_a_job_says_which_model_did_it(settings: Settings, cloud: Upstream) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    with running(settings) as client:
        made = client.post("/v1/audio/jobs", files={"file": CLIP}, data={"model": "whisper-1"}).json()
        job = until(lambda: done(client.get(f"/v1/audio/jobs/{made['id']}").json()))
        assert job["result"]["models"] == ["deepgram/nova-3"]
        assert client.get(job["result"]["url"]).json()["text"] == "From Deepgram."


def done(job: Any) -> Any:
    return job if job["status"] in ("completed", "failed") else None


@pytest.mark.parametrize("path", ["/v1/audio/stream", "/v1/audio/transcriptions/stream"])
def test_the_final_text_of_a_live_session_falls_back(client: TestClient, cloud: Upstream, path: str) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    with client.websocket_connect(f"{path}?sample_rate=16000&vad=false&interim_results=false") as socket:
        socket.send_bytes(to_pcm16(NOISE))
        socket.send_json({"type": "stop"})
        while not (message := socket.receive_json()).get("is_final"):
            assert message["type"] != "error", message
    assert message["text"] == "From Deepgram."


def test_a_detected_language_may_be_the_clouds(client: TestClient, cloud: Upstream) -> None:
    cloud.replies[LISTEN["deepgram"]] = [
        json_reply({"results": {"channels": [{"detected_language": "fr", "alternatives": [{"transcript": "Oui."}]}]}})
    ]
    cloud.replies[LISTEN["upstream"]] = [BROKEN]
    speech = (Path(__file__).parents[1] / "data/repeat_fox.wav").read_bytes()
    answer = client.post("/detect-language", files={"audio_file": speech}, params={"model": "upstream/whisper-1"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["language_code"], answer.headers[HEADER]) == ("fr", "deepgram/nova-3")


# -- speech


def test_the_first_cloud_speaks_what_the_local_model_cannot(client: TestClient, cloud: Upstream) -> None:
    cloud.replies[SPEAK["deepgram"]] = [SPEECH]
    answer = speak(client)
    assert (answer.status_code, answer.headers[HEADER]) == (200, "deepgram/aura-2")
    assert from_pcm16(answer.content, 24_000).seconds > 0.9
    (seen,) = cloud.asked(SPEAK["deepgram"])
    assert (seen.query["model"], seen.json) == (["aura-2-thalia-en"], {"text": "Hello there."})


def test_clouds_speak_in_order_past_failures_and_garbage(client: TestClient, cloud: Upstream) -> None:
    cloud.replies = {SPEAK["deepgram"]: [BROKEN], SPEAK["elevenlabs"]: [GARBAGE], SPEAK["cartesia"]: [SPEECH]}
    assert speak(client, stream_format="sse").headers[HEADER] == "cartesia/sonic-2"
    assert asked(cloud) == [SPEAK["deepgram"], SPEAK["elevenlabs"], SPEAK["cartesia"]]


def test_a_local_voice_becomes_the_clouds_own_in_the_same_language(client: TestClient, cloud: Upstream) -> None:
    cloud.replies = {SPEAK["deepgram"]: [SPEECH], SPEAK["elevenlabs"]: [SPEECH], SPEAK["upstream"]: [BROKEN]}
    assert speak(client, model=LOCAL_VOICE, voice="en_US-joe-medium").headers[HEADER] == "deepgram/aura-2"
    # Deepgram's voice speaks English only.
    assert speak(client, model="upstream/tts-1", language="de").headers[HEADER] == "elevenlabs/eleven_multilingual_v2"
    assert len(cloud.asked(SPEAK["deepgram"])) == 1


@pytest.mark.parametrize(("fields", "status"), [({"voice": "nobody"}, 400), ({"input": ""}, 400), ({"speed": 99}, 400)])
def test_an_invalid_speech_request_goes_to_no_cloud(client: TestClient, cloud: Upstream, fields: dict[str, Any], status: int) -> None:
    assert speak(client, **fields).status_code == status
    assert asked(cloud) == []


def test_speech_that_broke_off_after_its_first_audio_is_not_begun_again(client: TestClient, cloud: Upstream) -> None:
    cloud.replies = {SPEAK["upstream"]: [lambda desk: desk.say(200, "audio/pcm", PCM, end=False)], SPEAK["deepgram"]: [SPEECH]}
    with pytest.raises(Exception, match=r".*"):  # noqa: B017, PT011 - however the client notices that the response is incomplete
        speak(client, model="upstream/tts-1")
    assert asked(cloud) == [SPEAK["upstream"]]


def test_speech_of_a_cloud_is_not_kept_as_that_of_the_local_voice(settings: Settings, cloud: Upstream, tmp_path: Any) -> None:
    cloud.replies[SPEAK["deepgram"]] = [SPEECH]
    cached = settings.model_copy(update={"tts_cache_enabled": True, "tts_cache_dir": tmp_path / "speech"})
    with TestClient(create_app(cached, local_engine(cached))) as client:
        answers = [speak(client) for _ in range(2)]
    assert [(answer.headers["x-cache"], answer.headers[HEADER]) for answer in answers] == [("MISS", "deepgram/aura-2")] * 2


def test_text_that_is_still_being_written_is_spoken_from_its_beginning_by_a_cloud(client: TestClient, cloud: Upstream) -> None:
    cloud.replies[SPEAK["deepgram"]] = [SPEECH]
    with client.websocket_connect("/v1/audio/speech/stream") as socket:
        socket.send_json({"type": "config", "model": "tts-1", "voice": "alloy", "response_format": "pcm"})
        for text in ("The first ", "sentence is here. ", "And the second one, too. "):
            socket.send_json({"type": "text", "text": text})
        socket.send_json({"type": "end"})
        size = 0
        while (message := socket.receive())["type"] == "websocket.send" and "session.end" not in (message.get("text") or ""):
            assert '"error"' not in (message.get("text") or ""), message
            size += len(message.get("bytes") or b"")
    assert size > 0
    texts = " ".join(seen.json["text"] for seen in cloud.asked(SPEAK["deepgram"]))
    assert texts.split() == "The first sentence is here. And the second one, too.".split()


# -- keys

KEYED = {"os_api_key": "home:sesame-1,work:sesame-2", "os_local_only_keys": ("home",)}
HOME, WORK = {"Authorization": "Bearer sesame-1"}, {"Authorization": "Bearer sesame-2"}


def test_data_of_a_local_only_key_is_sent_nowhere(settings: Settings, cloud: Upstream) -> None:
    cloud.replies = {LISTEN["deepgram"]: [DEEPGRAM], SPEAK["deepgram"]: [SPEECH]}
    keyed = settings.model_copy(update=KEYED)
    with TestClient(create_app(keyed, local_engine(keyed))) as client:
        for ask in (transcribe, speak):
            answer = ask(client, headers=HOME)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "weights_unavailable")
        for answer in (transcribe(client, "deepgram/nova-3", headers=HOME), speak(client, model="deepgram/aura-2", headers=HOME)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_elsewhere")
        assert asked(cloud) == []
        assert transcribe(client, headers=WORK).headers[HEADER] == "deepgram/nova-3"
        assert speak(client, headers=WORK).headers[HEADER] == "deepgram/aura-2"


def test_a_local_only_key_still_has_local_fallback_models(settings: Settings, cloud: Upstream) -> None:
    keyed = settings.model_copy(update=KEYED | {"stt_fallback": ("deepgram/nova-3", "tones/listen")})
    with TestClient(create_app(keyed, local_engine(keyed))) as client:
        assert transcribe(client, headers=HOME).headers[HEADER] == "tones/listen"
    assert asked(cloud) == []


def test_live_sessions_and_jobs_of_a_local_only_key_stay_local(settings: Settings, cloud: Upstream) -> None:
    cloud.replies[LISTEN["deepgram"]] = [DEEPGRAM]
    with running(settings.model_copy(update=KEYED)) as client:
        made = client.post("/v1/audio/jobs", files={"file": CLIP}, data={"model": "whisper-1"}, headers=HOME).json()
        with client.websocket_connect("/v1/audio/stream?sample_rate=16000&vad=false&interim_results=false", headers=HOME) as socket:
            socket.send_bytes(to_pcm16(NOISE))
            socket.send_json({"type": "stop"})
            while (message := socket.receive_json())["type"] != "error":
                assert not message.get("is_final")
        other = client.post("/v1/audio/jobs", files={"file": CLIP}, data={"model": "whisper-1"}, headers=WORK).json()
        until(lambda: done(client.get(f"/v1/audio/jobs/{other['id']}", headers=WORK).json()))
        job = client.get(f"/v1/audio/jobs/{made['id']}", headers=HOME).json()
        assert job["status"] != "completed"
    assert len(asked(cloud)) == 1
