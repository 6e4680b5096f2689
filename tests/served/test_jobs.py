"""Jobs of a server that is killed, or stopped while it is busy: what was accepted is done, once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jiwer
import psutil
import pytest

from benchmarks.served import Served, serve
from open_speech.audio import concat, silence
from open_speech.codecs import decode, wav_bytes
from tests.served.conftest import TONES
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.served

SENTENCE = "A sentence that is said and heard."
WORDS = jiwer.Compose(
    [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
)


def kill_everything(served: Served) -> None:
    """SIGKILL to every process of a server, as a power cut would."""
    processes = served.processes()
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE_S)


def job(served: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{served.base_url}/audio/jobs/{name}", timeout=PATIENCE_S).json()
    return found


def until_job(served: Served, name: str, is_so: Callable[[dict[str, Any]], bool], within_s: float = PATIENCE_S) -> dict[str, Any]:
    """Ask for a job until something is true of it."""

    def found() -> dict[str, Any] | None:
        asked = job(served, name)
        return asked if is_so(asked) else None

    return until(found, within_s=within_s, why=lambda: (job(served, name), served.log.read_text(errors="replace")[-3000:]))


def is_over(job: dict[str, Any]) -> bool:
    return job["status"] in ("completed", "failed", "cancelled")


def result(served: Served, name: str) -> httpx.Response:
    return httpx.get(f"{served.base_url}/audio/jobs/{name}/result", timeout=PATIENCE_S)


@pytest.fixture
def hooks() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address for webhooks, and what came there."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_jobs_of_a_server_that_is_killed_are_done_once_by_the_next(tmp_path: Path, hooks: tuple[str, list[dict[str, Any]]]) -> None:
    settings = {**TONES, "OS_JOBS_DIR": str(tmp_path), "OS_BATCH_WORKERS": "1", "OS_WEBHOOK_ALLOW_PRIVATE": "true"}
    url, came = hooks
    said = {"model": "tts-1", "voice": "alloy", "input": f"{SENTENCE} " * 300, "response_format": "wav", "webhook_url": url}
    with serve(settings) as served:
        running = httpx.post(f"{served.base_url}/audio/jobs", json=said, timeout=PATIENCE_S).json()["id"]
        clip = httpx.post(f"{served.base_url}/audio/speech", json={**said, "input": SENTENCE}, timeout=PATIENCE_S).content
        queued = httpx.post(
            f"{served.base_url}/audio/jobs",
            files={"file": ("a.wav", clip)}, data={"model": "whisper-1", "webhook_url": url}, timeout=PATIENCE_S,
        ).json()["id"]  # fmt: skip
        until_job(served, running, lambda job: job["status"] == "running" and 0 < job["progress"] < 1)
        assert job(served, queued)["status"] == "queued"
        kill_everything(served)
    with serve(settings) as served:
        assert until_job(served, running, is_over)["status"] == "completed"
        assert until_job(served, queued, is_over)["status"] == "completed"
        assert result(served, queued).json()["text"] == SENTENCE
        sound = result(served, running).content
        heard = httpx.post(
            f"{served.base_url}/audio/transcriptions", files={"file": sound}, data={"model": "whisper-1"}, timeout=PATIENCE_S
        ).json()["text"]
        assert heard.split() == said["input"].split()
        until_job(served, running, lambda job: job["webhook"]["status"] == "delivered")
        until_job(served, queued, lambda job: job["webhook"]["status"] == "delivered")
        assert sorted(message["data"]["id"] for message in came) == sorted([running, queued])


def test_a_stop_under_load_loses_no_job_that_was_accepted(tmp_path: Path) -> None:
    settings = {**TONES, "OS_JOBS_DIR": str(tmp_path), "OS_BATCH_MAX_PENDING": "1000", "OS_MAX_QUEUE": "4"}
    accepted: list[str] = []
    with serve(settings) as served:
        said = {"model": "tts-1", "voice": "alloy", "input": SENTENCE, "response_format": "wav"}
        clip = httpx.post(f"{served.base_url}/audio/speech", json=said, timeout=PATIENCE_S).content

        def hand_in() -> None:
            with httpx.Client(timeout=PATIENCE_S) as client, suppress(httpx.HTTPError):
                while True:
                    files = {"file": ("a.wav", clip)}
                    answer = client.post(f"{served.base_url}/audio/jobs", files=files, data={"model": "whisper-1"})
                    if answer.status_code != 202:
                        return
                    accepted.append(answer.json()["id"])

        threads = [threading.Thread(target=hand_in) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(accepted) < 40:
            time.sleep(0.01)
        served.process.terminate()
        served.process.wait(PATIENCE_S)
        for thread in threads:
            thread.join(PATIENCE_S)
    with serve(settings) as served:
        for name in accepted:
            assert until_job(served, name, is_over)["status"] == "completed"
            assert result(served, name).json()["text"] == SENTENCE


@pytest.mark.weights
def test_a_transcription_that_a_kill_interrupts_goes_on_where_it_was(
    tmp_path: Path, default_weights: None, speech_clips: dict[str, Path]
) -> None:
    clip = decode(speech_clips["two_cities"].read_bytes(), 16_000, max_seconds=60)
    times = 6
    film = wav_bytes(concat([part for _ in range(times) for part in (clip, silence(1.5, 16_000))], 16_000))
    settings = {"OS_OFFLINE": "true", "OS_JOBS_DIR": str(tmp_path), "TTS_BACKENDS": "piper"}
    with serve(settings) as served:
        once = httpx.post(
            f"{served.base_url}/audio/transcriptions", files={"file": speech_clips["two_cities"].read_bytes()},
            data={"model": "whisper-1"}, timeout=PATIENCE_S,
        ).json()["text"]  # fmt: skip
        files = {"file": ("film.wav", film)}
        name = httpx.post(f"{served.base_url}/audio/jobs", files=files, data={"model": "whisper-1"}, timeout=PATIENCE_S).json()["id"]
        kept = tmp_path / name / "heard.jsonl"
        found = until_job(served, name, lambda job: kept.exists() and kept.read_bytes().count(b"\n") >= 3)
        assert found["audio_seconds_total"] in (None, pytest.approx(times * (clip.seconds + 1.5), abs=0.1))
        kill_everything(served)
    lines = kept.read_bytes()
    with serve(settings) as served:

        def is_done(job: dict[str, Any]) -> bool:
            nonlocal lines
            with suppress(FileNotFoundError):
                lines = kept.read_bytes()
            return is_over(job)

        assert until_job(served, name, is_done, within_s=5 * PATIENCE_S)["status"] == "completed"
        body = httpx.get(f"{served.base_url}/audio/jobs/{name}/result?response_format=verbose_json", timeout=PATIENCE_S).json()
    # Windows end elsewhere than in the short file, and words at their ends differ from CPU to CPU.
    wrong = jiwer.wer(" ".join([once] * times), body["text"], reference_transform=WORDS, hypothesis_transform=WORDS)
    assert wrong <= 0.1
    edges = [0.0, *(edge for segment in body["segments"] for edge in (segment["start"], segment["end"])), body["duration"]]
    assert max(later - earlier for earlier, later in zip(edges[::2], edges[1::2], strict=True)) < 10, "a window was lost"
    assert body["duration"] == pytest.approx(times * (clip.seconds + 1.5), abs=0.1)
    starts = [segment["start"] for segment in body["segments"]]
    assert starts == sorted(starts)
    # No stretch of the film was heard twice.
    heard_to = [json.loads(line)["info"]["duration"] for line in lines.splitlines()]
    assert len(heard_to) > 3
    assert heard_to == sorted(set(heard_to))
    assert not kept.exists()
