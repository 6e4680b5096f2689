"""The figures, log lines and probes of a server as users run it: what it tells is what was done to it."""

from __future__ import annotations

import asyncio
import http.server
import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from benchmarks.served import Served, free_port, serve
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

WAV_HEAD_BYTES = 44
SENTENCES = ("Hello there.", "The quick brown fox jumps over the lazy dog.", "Who is it?")


@pytest.fixture(scope="module")
def watched(tones: dict[str, str]) -> Iterator[Served]:
    """A server that writes JSON, with all its doors."""
    settings = {"OS_LOG_FORMAT": "json", "OS_LOG_LEVEL": "debug", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(free_port())}
    with serve({**tones, **settings, "OS_RATE_LIMIT": "0"}) as served:
        served.wyoming = int(settings["OS_WYOMING_PORT"])  # type: ignore[attr-defined]
        yield served


class Told:
    """One scrape, read by Prometheus's own client library."""

    def __init__(self, served: Served) -> None:
        answer = httpx.get(served.url + "/metrics", timeout=PATIENCE_S)
        assert answer.status_code == 200
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def one(self, name: str, **labels: str) -> float:
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def by(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Sum the samples of one name by some of their labels."""
        sums: Counter[tuple[str, ...]] = Counter()
        for (sample, told), value in self.samples.items():
            if sample == name:
                sums[tuple(dict(told)[label] for label in labels)] += int(value)
        return +sums


def seconds(sound: bytes) -> float:
    """Measure a WAV that was sent as it was made, whose head does not know its length."""
    return (len(sound) - WAV_HEAD_BYTES) / 2 / 24_000


def settled(served: Served) -> Told:
    """Scrape when every answer and session has ended: its client may have it a moment before it is counted."""

    def scrape() -> Told | None:
        told = Told(served)
        requests = sum(told.by("open_speech_http_requests_under_way", "door").values()) - 1  # the scrape itself
        return None if requests > 0 or told.by("open_speech_sessions", "door") else told

    return until(scrape)


def access_line(served: Served, request_id: str) -> dict[str, Any]:
    """Find the access line of a request, which is written when its client has the answer already."""
    (line,) = until(lambda: [line for line in log_lines(served) if line.get("request_id") == request_id and "route" in line])
    return line


def log_lines(served: Served) -> list[dict[str, Any]]:
    lines = served.log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


class Load:
    """Asks for things, side by side, and counts what it did and what came back."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_S)
        self.requests: Counter[tuple[str, ...]] = Counter()
        self.errors: Counter[tuple[str, ...]] = Counter()
        self.characters = 0
        self.spoken_s = self.heard_s = 0.0
        self.lock = threading.Lock()

    def run(self, number: int) -> None:
        text = SENTENCES[number % len(SENTENCES)]
        body = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
        sound = self.client.post("/v1/audio/speech", json=body)
        heard = self.client.post("/v1/audio/transcriptions", files={"file": ("a.wav", sound.content)}, data={"model": "whisper-1"})
        assert heard.json()["text"] == text
        wrong = self.client.post("/v1/audio/speech", json={**body, "voice": f"nobody-{number}"})
        absent = self.client.get(f"/v1/models/none-{number}")
        listed = self.client.head("/v1/models")
        with self.lock:
            self.characters += len(text)
            self.spoken_s += seconds(sound.content)
            self.heard_s += seconds(sound.content)
            for route, answer in (
                ("/v1/audio/speech", sound), ("/v1/audio/transcriptions", heard), ("/v1/audio/speech", wrong),
                ("/v1/models/{name:path}", absent), ("/v1/models", listed),
            ):  # fmt: skip
                self.requests[answer.request.method, route, str(answer.status_code)] += 1
                if answer.is_error:
                    self.errors["openai", answer.json()["error"]["code"]] += 1

    def talk(self, url: str) -> None:
        with connect(url.replace("http", "ws") + "/v1/audio/speech/stream") as socket:
            socket.send("nonsense")
            assert json.loads(socket.recv())["type"] == "error"
        with self.lock:
            self.errors["live-speech", "invalid_request_error"] += 1


def test_a_scrape_agrees_with_what_was_asked_for(watched: Served) -> None:
    before = Told(watched)
    load = Load(watched.url)
    with load.client, ThreadPoolExecutor(4) as pool:
        work = [pool.submit(load.run, number) for number in range(12)] + [pool.submit(load.talk, watched.url) for _ in range(3)]
        for done in work:
            done.result(PATIENCE_S)
    told = settled(watched)

    def grown(name: str, *labels: str) -> Counter[tuple[str, ...]]:
        return told.by(name, *labels) - before.by(name, *labels)

    requests = {key: count for key, count in grown("open_speech_http_requests_total", "method", "route", "status").items()}
    probes = ("/metrics", "/readyz")
    assert {key: count for key, count in requests.items() if key[1] not in probes} == load.requests
    assert grown("open_speech_errors_total", "door", "code") == load.errors
    assert grown("open_speech_sessions_begun_total", "door") == {("live-speech",): 3}
    assert told.one("open_speech_sessions", door="live-speech") == 0
    assert told.one("open_speech_characters_total", model="tones/speak") == load.characters
    assert told.one("open_speech_audio_out_seconds_total", model="tones/speak") == pytest.approx(load.spoken_s)
    assert told.one("open_speech_audio_in_seconds_total", model="tones/listen") == pytest.approx(load.heard_s, abs=0.001 * 12)
    for task, model in (("tts", "tones/speak"), ("stt", "tones/listen")):
        assert told.one("open_speech_real_time_factor_count", task=task, model=model) == 12
    assert told.one("open_speech_queue_accepted_total", backend="tones-stt") == 12
    assert told.one("open_speech_queue_accepted_total", backend="tones-tts") == 12
    spoken = {"door": "openai", "route": "/v1/audio/speech"}
    assert told.one("open_speech_http_first_byte_seconds_count", **spoken) == 24
    assert told.one("open_speech_http_request_duration_seconds_bucket", **spoken, le="+Inf") == 24
    assert told.one("app_http_requests_total", method="POST", path="/v1/audio/transcriptions", status_code="200") == 12
    assert told.one("open_speech_runner_up", backend="tones-tts") == 1
    assert told.one("open_speech_runner_memory_bytes", backend="tones-tts") > 10_000_000


def test_what_went_through_the_wyoming_process_is_told_by_the_front(watched: Served) -> None:
    async def refused() -> Event | None:
        async with AsyncTcpClient("127.0.0.1", watched.wyoming) as client:  # type: ignore[attr-defined]
            await client.write_event(Event("audio-stop"))
            return await client.read_event()

    before = Told(watched)
    answers = [asyncio.run(refused()) for _ in range(2)]
    assert [answer.type for answer in answers if answer] == ["error", "error"]
    until(lambda: Told(watched).one("open_speech_sessions_begun_total", door="wyoming") >= 2)
    told = Told(watched)
    assert told.one("open_speech_errors_total", door="wyoming", code="invalid_request_error") == 2
    assert told.by("open_speech_errors_total", "door")["openai",] == before.by("open_speech_errors_total", "door")["openai",]


def test_a_failing_call_has_its_request_id_in_the_log_of_its_runner(watched: Served) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": "\N{GRINNING FACE} swordfish", "language": "xx"}
    name = "the-one-that-fails"
    answer = httpx.post(watched.url + "/v1/audio/speech", json=body, headers={"X-Request-ID": name}, timeout=PATIENCE_S)
    assert answer.status_code == 400
    access = access_line(watched, name)
    lines = [line for line in log_lines(watched) if line.get("request_id") == name]
    assert (access["service"], access["status"], access["route"]) == ("open_speech", 400, "/v1/audio/speech")
    assert (access["door"], access["model"], access["method"]) == ("openai", "tones/speak", "POST")
    (failure,) = [line for line in lines if line["logger"] == "open_speech.runner"]
    assert failure["service"] == "tones_tts"
    assert "swordfish" not in watched.log.read_text(encoding="utf-8")


def test_every_line_is_json_once_the_server_has_its_settings(watched: Served) -> None:
    first, *lines = watched.log.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("{")] == []
    assert {"time", "level", "logger", "message", "service"} <= set.intersection(*(set(line) for line in log_lines(watched)))
    assert {line["service"] for line in log_lines(watched)} >= {"open_speech", "tones_stt", "tones_tts", "wyoming_door"}


def test_a_runner_that_was_killed_is_counted_when_it_is_back(watched: Served) -> None:
    Told(watched)
    watched.kill("tones_stt")

    def is_back() -> Told | None:
        told = Told(watched)
        return told if told.one("open_speech_runner_restarts_total", backend="tones-stt") else None

    told = until(is_back)
    assert told.one("open_speech_runner_up", backend="tones-stt") == 1
    assert told.one("open_speech_runner_restarts_total", backend="tones-tts") == 0


def test_probes_are_answered_by_us_and_not_by_bentoml(watched: Served) -> None:
    assert httpx.get(watched.url + "/livez", timeout=PATIENCE_S).json() == {"status": "ok"}
    assert set(httpx.get(watched.url + "/readyz", timeout=PATIENCE_S).json()["backends"]) == {"tones-stt", "tones-tts"}
    assert httpx.get(watched.url + "/healthz", timeout=PATIENCE_S).json()["status"] == "ok"
    for path in ("/livez", "/readyz", "/healthz", "/health", "/healthcheck", "/metrics", "/v1/models", "/openapi.json"):
        head = httpx.head(watched.url + path, timeout=PATIENCE_S)
        assert (head.status_code, head.content) == (200, b""), path


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Listen as an OpenTelemetry collector does, and keep what comes: its path and its bytes."""
    came: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join(PATIENCE_S)
    server.server_close()


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.exporter") is None, reason="opentelemetry-exporter-otlp-proto-http is not installed"
)
def test_traces_of_the_front_and_its_runner_reach_a_collector(tones: dict[str, str]) -> None:
    with collector() as (url, came):
        tracing = {"exporter_type": "otlp", "sample_rate": 1.0, "otlp": {"protocol": "http", "endpoint": url + "/v1/traces"}}
        overrides = json.dumps({"services": {"tracing": tracing}})
        settings = {"BENTOML_CONFIG_OVERRIDES": overrides, "OTEL_BSP_SCHEDULE_DELAY": "200", "OS_LOG_FORMAT": "json"}
        with serve({**tones, **settings}) as served:
            body = {"model": "tts-1", "voice": "alloy", "input": "Hello there."}
            answer = httpx.post(served.url + "/v1/audio/speech", json=body, headers={"X-Request-ID": "traced"}, timeout=PATIENCE_S)
            assert answer.status_code == 200
            trace_id = bytes.fromhex(access_line(served, "traced")["trace_id"])
            until(
                lambda: all(any(name in data and trace_id in data for _, data in came) for name in (b"open_speech", b"tones_tts")),
                why=lambda: f"{len(came)} requests came",
            )
    assert {path for path, _ in came} == {"/v1/traces"}


def test_the_figures_tell_of_jobs(watched: Served) -> None:
    before = Told(watched).one("open_speech_jobs", type="speech", status="completed")
    body = {"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}
    made = httpx.post(watched.base_url + "/audio/jobs", json=body, timeout=PATIENCE_S)
    assert made.status_code == 202, made.text

    def is_counted() -> Told | None:
        told = Told(watched)
        return told if told.one("open_speech_jobs", type="speech", status="completed") > before else None

    told = until(is_counted, why=lambda: "the job is never counted as completed")
    assert told.one("open_speech_jobs_bytes") > WAV_HEAD_BYTES
