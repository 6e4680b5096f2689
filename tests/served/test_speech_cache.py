"""Speech that was made before, over HTTP, from a server that was stopped and started again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from benchmarks.served import Served, serve
from open_speech.codecs.wav import with_true_sizes
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

BODY = {"model": "tts-1", "voice": "alloy", "input": "Hello there world. How are you?", "response_format": "mp3"}
CHANGES = [{"speed": 1.5}, {"response_format": "wav"}, {"sample_rate": 16000}, {"input": "Hello there world. How is she?"}]


def said(server: Served, **changes: object) -> tuple[str | None, bytes]:
    """What the server says of its cache, and the sound."""
    answer = httpx.post(f"{server.base_url}/audio/speech", json=BODY | changes, timeout=PATIENCE_S).raise_for_status()
    return answer.headers.get("x-cache"), with_true_sizes(answer.content, len(answer.content))  # only a kept WAV states its length


def test_a_speech_is_made_once_and_kept_over_a_restart(tones: dict[str, str], tmp_path: Path) -> None:
    settings = tones | {"TTS_CACHE_ENABLED": "true", "TTS_CACHE_DIR": str(tmp_path / "speech")}
    with serve(settings) as server:
        made, sound = said(server)
        assert (made, len(sound) > 1000) == ("MISS", True)
        assert said(server) == ("HIT", sound)
        kept = {}
        for number, change in enumerate(CHANGES):
            again, kept[number] = said(server, **change)
            assert again == "MISS", change
    with serve(settings) as server:
        assert said(server) == ("HIT", sound)
        assert [said(server, **change) for change in CHANGES] == [("HIT", kept[number]) for number in range(len(CHANGES))]
        assert said(server, cache=False)[0] is None
        assert said(server, voice="tone") == ("HIT", sound), "`alloy` stands for it here"


def test_without_the_setting_nothing_is_said_of_a_cache(tones_server: Served) -> None:
    assert said(tones_server)[0] is None
