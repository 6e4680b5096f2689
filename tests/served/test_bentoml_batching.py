"""A server whose windows of speech are batched by BentoML: transcripts, errors, and the batches themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from benchmarks.clips import clip
from benchmarks.served import Served, serve
from open_speech.testing.words import ALLOWED_ERRORS, word_errors
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.served, pytest.mark.weights]

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
CALLERS = 12


@pytest.fixture(scope="module")
def served(default_weights: None) -> Iterator[Served]:
    settings = {"OS_OFFLINE": "true", "TTS_ENABLED": "false", "OS_BATCHING": "bentoml", "STT_BACKENDS": "faster-whisper"}
    settings |= {"OS_QUEUE_TIMEOUT_S": "600"}  # a slow machine would refuse some of the requests
    with serve(settings) as served:
        yield served


def transcribed(served: Served, model: str = "whisper-1") -> httpx.Response:
    files = {"file": ("beckett.wav", clip("beckett").read_bytes())}
    data = {"model": model, "language": "en"}
    return httpx.post(f"{served.base_url}/audio/transcriptions", files=files, data=data, timeout=PATIENCE_S)


def batches(served: Served) -> tuple[float, float]:
    """Return the numbers of windows and of batches that were decoded."""
    text = httpx.get(f"{served.url}/metrics", timeout=PATIENCE_S).text
    windows, count = (re.search(rf"^open_speech_batch_size_{part}{{.*}} (\S+)$", text, re.MULTILINE) for part in ("sum", "count"))
    assert windows is not None
    assert count is not None
    return float(windows.group(1)), float(count.group(1))


def test_concurrent_requests_share_batches_and_each_gets_its_own_answer(served: Served) -> None:
    """In each half, one of them needs a model that does not exist: it fails alone. BentoML batches none of the first fourteen or so."""
    models = ["acme/no-such-whisper", *["whisper-1"] * CALLERS] * 2
    with ThreadPoolExecutor(len(models)) as pool:
        found = list(pool.map(lambda model: transcribed(served, model), models))
    for model, answer in zip(models, found, strict=True):
        assert (answer.status_code == 200) is (model == "whisper-1"), answer.text
        if model == "whisper-1":
            assert word_errors(BECKETT, answer.json()["text"]) <= ALLOWED_ERRORS
    windows, count = batches(served)
    assert windows >= 2 * CALLERS  # one whose connection broke is sent again
    assert count < windows
