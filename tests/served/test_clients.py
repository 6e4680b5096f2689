"""The programs in clients/, run as a person runs them: with a pipe at both ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import jiwer
import pytest

from benchmarks.served import Served
from open_speech.audio import from_pcm16, to_pcm16
from open_speech.codecs import decode, wav_bytes
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.served

CLIENTS = Path(__file__).parent.parent.parent / "clients"
BEST = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of light"
)
PLAIN = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveWhiteSpace(replace_by_space=True), jiwer.Strip()])


def run(program: str, *arguments: str, served: Served, fed: bytes) -> subprocess.CompletedProcess[bytes]:
    where = {**os.environ, "OPENAI_BASE_URL": served.base_url, "OPENAI_API_KEY": "unused"}
    command = [sys.executable, str(CLIENTS / program), *arguments]
    return subprocess.run(command, input=fed, capture_output=True, env=where, timeout=PATIENCE_S, check=False)


@pytest.mark.weights
def test_captions_are_written_of_what_is_said(real_server: Served, speech_clips: dict[str, Path]) -> None:
    said = decode(speech_clips["two_cities"].read_bytes(), 24_000, max_seconds=60)
    # Cut in the midst of a turn: what was said last is written down as well.
    written = run("live_captions.py", served=real_server, fed=to_pcm16(said)[: round(14.9 * 24_000) * 2])
    assert (written.returncode, written.stderr) == (0, b"")
    heard = " ".join(written.stdout.decode().split())
    assert jiwer.wer(PLAIN(BEST), PLAIN(heard)) <= 0.05, heard


def test_captions_of_silence_are_empty_and_end(tones_server: Served) -> None:
    written = run("live_captions.py", served=tones_server, fed=b"")
    assert (written.returncode, written.stdout, written.stderr) == (0, b"", b"")


def test_text_is_read_aloud(tones_server: Served) -> None:
    text = "The first sentence is written. Grüße, and the second one is read."
    spoken = run("read_aloud.py", "alloy", served=tones_server, fed=text.encode())
    assert (spoken.returncode, spoken.stderr) == (0, b"")
    wav = wav_bytes(from_pcm16(spoken.stdout, 24_000))
    answer = httpx.post(
        f"{tones_server.base_url}/audio/transcriptions", data={"model": "whisper-1"}, files={"file": wav}, timeout=PATIENCE_S
    )
    assert answer.json()["text"] == text


def test_a_voice_that_is_not_there_is_told(tones_server: Served) -> None:
    spoken = run("read_aloud.py", "nobody", served=tones_server, fed=b"Hello there.")
    assert spoken.returncode == 1
    assert b"nobody" in spoken.stderr
    assert b"Traceback" not in spoken.stderr
