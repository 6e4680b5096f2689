"""Jobs on files whose clock or channels matter: the same answer as at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from open_speech.audio import Audio
from open_speech.codecs import decode
from tests.api.openai.test_channels import stereo
from tests.codecs.timed import gaps_at, timed

PATH = "/v1/audio/jobs"
RATE = 16_000
Until = Callable[..., dict[str, Any]]
Say = Callable[[TestClient, str], bytes]


def both(client: TestClient, until_job: Until, file: bytes, **fields: str) -> tuple[Any, Any]:
    """The answer of a job, and that of the endpoint that answers at once."""
    data = {"model": "whisper-1", "response_format": "verbose_json", **fields}
    made = client.post(PATH, files={"file": ("media", file)}, data=data)
    assert made.status_code == 202, made.text
    done = until_job(client, made.json()["id"])
    assert done["status"] == "completed", done
    result = client.get(f"{PATH}/{done['id']}/result")
    assert result.text == client.post("/v1/audio/transcriptions", files={"file": ("media", file)}, data=data).text
    return result.json(), done


def test_channels_are_labelled_in_the_result_of_a_job(client: TestClient, say: Say, until_job: Until) -> None:
    left, right = (decode(say(client, text), RATE, max_seconds=60).samples for text in ("Hello there world.", "Good morning."))
    later = np.concatenate([np.zeros(4 * RATE, np.float32), right])
    file = stereo([Audio(left, RATE), Audio(later, RATE)])
    body, done = both(client, until_job, file, channels="separate")
    labelled = [(s["text"], s["channel"], s["speaker"]) for s in body["segments"]]
    assert labelled == [(" Hello there world.", 0, "A"), (" Good morning.", 1, "B")]
    srt = client.get(f"{PATH}/{done['id']}/result", params={"response_format": "srt"}).text
    assert "[B] Good morning." in srt


@pytest.mark.parametrize(("container", "codec", "rate"), [("matroska", "flac", 16_000), ("mov", "alac", 16_000)])
def test_a_gap_counts_in_the_result_and_the_length_of_a_job(
    client: TestClient, say: Say, until_job: Until, container: str, codec: str, rate: int
) -> None:
    audio = decode(say(client, "Hello there world."), rate, max_seconds=60)
    twice = Audio(np.concatenate([audio.samples, np.zeros(rate, np.float32), audio.samples]), rate)
    file = timed(container, codec, twice, gaps_at([(audio.seconds + 0.5, 20.0)]))
    body, _ = both(client, until_job, file)
    assert body["duration"] == pytest.approx(twice.seconds + 20, abs=0.1)
    assert body["usage"]["seconds"] == pytest.approx(body["duration"], abs=1)
    assert [s["start"] for s in body["segments"]][-1] <= body["duration"]
