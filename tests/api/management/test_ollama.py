from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from open_speech.api.management.ollama import running, step_of
from open_speech.api.management.states import ModelState
from open_speech.backends import Task


def test_what_is_loaded_is_listed_as_ollama_lists_it(client: TestClient) -> None:
    assert client.get("/api/ps").json() == {"models": []}
    assert client.post("/api/ps/toy/tones").json() == {"status": "success"}
    (model,) = client.get("/api/ps").json()["models"]
    assert (model["name"], model["model"], model["size"], model["size_vram"]) == ("toy/tones", "toy/tones", 65536, 0)
    assert datetime.fromisoformat(model["expires_at"]) > datetime.now(UTC)
    assert client.delete("/api/ps/toy%2Ftones").json() == {"status": "success"}
    assert client.get("/api/ps").json() == {"models": []}


def test_a_pull_is_one_answer_unless_a_stream_is_wanted(client: TestClient) -> None:
    assert client.post("/api/pull/toy/tones").json() == {"status": "success"}
    assert client.get("/api/models/toy/tones").json()["state"] == "downloaded"


@pytest.mark.parametrize("wish", [{"params": {"stream": "true"}}, {"json": {"stream": True}}])
def test_a_streamed_pull_is_lines_of_json_from_manifest_to_success(client: TestClient, wish: dict[str, Any]) -> None:
    answer = client.post("/api/pull/toy/tones", **wish)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0] == {"status": "pulling manifest"}
    assert lines[-1] == {"status": "success"}


def test_a_streamed_pull_that_fails_says_so_in_its_last_line(client: TestClient, file_host: Any) -> None:
    file_host.status = 500
    lines = [json.loads(line) for line in client.post("/api/pull/toy/tones?stream=true").text.splitlines()]
    assert "is missing a.bin" in lines[-1]["error"]


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (None, None),
        ({"state": "waiting", "file": "", "total_bytes": None, "done_bytes": 0}, None),
        (
            {"state": "downloading", "file": "model.bin", "total_bytes": 10, "done_bytes": 4},
            {"status": "pulling model.bin", "digest": "model.bin", "total": 10, "completed": 4},
        ),
        (
            {"state": "checking", "file": "model.bin", "total_bytes": 10, "done_bytes": 10},
            {"status": "verifying sha256 digest", "digest": "model.bin", "total": 10, "completed": 10},
        ),
    ],
)
def test_a_step_is_written_as_ollama_writes_it(progress: dict[str, Any] | None, expected: dict[str, Any] | None) -> None:
    assert step_of({"progress": progress}) == expected


def state(**changes: Any) -> ModelState:
    fields = {
        "id": "m", "task": Task.STT, "backend": "b", "where": "process", "reachable": True, "state": "loaded", "default": False,
        "description": "", "licence": "MIT", "languages": ("en",), "size_bytes": 100, "disk_bytes": 100, "device": "cuda:0",
        "memory_bytes": 200, "last_use_s": 40.0, "in_flight": 0, "progress": None, "error": None,
    }  # fmt: skip
    return ModelState(**{**fields, **changes})


def test_a_model_expires_when_its_time_to_live_is_over() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert running(state(), 100, now).expires_at == "2026-01-01T00:01:00+00:00"
    assert running(state(), 0, now).expires_at is None


def test_only_a_gpu_has_video_memory() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert running(state(), 100, now).size_vram == 100
    assert running(state(device="cpu"), 100, now).size_vram == 0
