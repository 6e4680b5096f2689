"""A server started with the settings of an earlier one."""

from __future__ import annotations

import pytest

from benchmarks.served import serve
from open_speech.config.old_names import BY_NAME
from tests.cli.test_old_settings import loaded
from tests.settings_of_others import OPEN_SPEECH_FIRST

pytestmark = pytest.mark.served


def test_old_names_work_and_are_in_the_log_once(tones: dict[str, str]) -> None:
    old = {"STT_MODEL": "STT_DEFAULT_MODEL", "TTS_MODEL": "TTS_DEFAULT_MODEL", "TTS_VOICE": "TTS_DEFAULT_VOICE"}
    given = dict(line.split("=") for line in OPEN_SPEECH_FIRST.strip().splitlines())
    given |= {old.get(name, name): value for name, value in tones.items()}
    with serve(given) as served, served.client() as client:
        assert client.get("/health").status_code == 200
        body = {"model": "tts-1", "voice": "alloy", "input": "quick"}
        assert client.post("/v1/audio/speech", json=body).status_code == 401
        spoken = client.post("/v1/audio/speech", json=body, headers={"Authorization": "Bearer my-secret-key"})
        assert (spoken.status_code, spoken.headers["content-type"]) == (200, "audio/mpeg")
        log = served.log.read_text(encoding="utf-8")
    lines = loaded("\n".join(f"{name}={value}" for name, value in given.items()))[1]
    assert len(lines) == len(set(given) & set(BY_NAME)) == 19
    assert {line: log.count(line + "\n") for line in lines} == dict.fromkeys(lines, 1)
    assert "my-secret-key" not in log
