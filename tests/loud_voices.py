"""Voices for tests that need no weights: a runner for which each loudness is a voice of its own, and one that reads words from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.dispatch.client import RunnerClient
from open_speech.dispatch.frames import END, TranscribeCall, VoiceprintsCall, transcript_frame
from open_speech.dispatch.link import RunnerGone
from open_speech.dispatch.voiceprints import voiceprints_frame
from open_speech.recognition.live.speaker_tracker import SpeakerTracker
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Segment, Transcript, TranscriptInfo, Word
from tests.fake_runner import FakeRunner

RATE = 16_000
WORD_S = 0.5
BACKENDS = [
    BackendEntry("reader", Task.STT, "x:X", (), "", "MIT"),
    BackendEntry("voices", Task.DIARIZE, "x:X", (), "", "MIT", diarizes=False, voiceprints=True),
]
MODELS = [
    ModelEntry("reader/one", "reader", Task.STT, "MIT", ("en",), word_times=True),
    ModelEntry("voices/one", "voices", Task.DIARIZE, "MIT", ("en",)),
]


def spoken(*levels: int, seconds: float = WORD_S) -> Audio:
    """Audio of words: each number from 1 to 9 is a word of its own loudness, 0 is silence."""
    return Audio(np.repeat(np.array(levels, np.float32) / 10, round(seconds * RATE)), RATE)


class LevelReader(FakeRunner):
    """A recognizer that reads `spoken`: the word `w3` is half a second of level 3."""

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        audio, options = call.unpack()
        levels = np.rint(audio.samples[1000 :: round(WORD_S * RATE)] * 10).astype(int).tolist()
        words = tuple(Word(f" w{level}", at * WORD_S, (at + 1) * WORD_S, 0.9) for at, level in enumerate(levels) if level)
        yield transcript_frame(TranscriptInfo("en", 1.0, audio.seconds)).encode()
        if words:
            text = "".join(word.text for word in words)
            yield transcript_frame(Segment(words[0].start, words[-1].end, text, words if options.word_times else ())).encode()
        yield END.encode()


class LoudVoices(FakeRunner):
    """A backend whose voiceprint is the mean loudness of a window."""

    def __init__(self) -> None:
        self.calls = 0
        self.delay_s = 0.0
        self.is_dead = False

    async def voiceprints(self, call: VoiceprintsCall) -> AsyncGenerator[bytes, None]:
        self.calls += 1
        if self.is_dead:
            raise RunnerGone("killed")
        await asyncio.sleep(self.delay_s)
        audio, windows = call.unpack()
        levels = [np.abs(audio.samples[round(start * RATE) : round(end * RATE)]) for start, end in windows]
        counts = [np.bincount(np.rint(level * 10).astype(int), minlength=11)[1:11] for level in levels]
        yield voiceprints_frame(np.array(counts, np.float32).reshape(len(windows), 10)).encode()
        yield END.encode()


def parts(voices: FakeRunner) -> tuple[Registry, dict[str, RunnerClient]]:
    """Return a registry and the clients of both runners."""
    registry = Registry(BACKENDS, MODELS, {"reader": "process", "voices": "process"}, Defaults("reader/one", "", ""))
    clients = {
        "reader": RunnerClient("reader", LevelReader(), deadline_s=5),
        "voices": RunnerClient("voices", voices, deadline_s=5),
    }
    return registry, clients


async def said_by(tracker: SpeakerTracker, *levels: int) -> list[tuple[str, str | None]]:
    """Let a session hear `spoken(*levels)` as one window; return the text and the speaker of each segment."""
    words = tuple(Word(f" w{level}", at * WORD_S, (at + 1) * WORD_S) for at, level in enumerate(levels))
    text = Transcript(TranscriptInfo("en", 1.0, 0.0), (Segment(0.0, len(levels) * WORD_S, "".join(word.text for word in words), words),))
    audio = spoken(*levels)
    decoded = await tracker.decoded(audio, ((0.0, audio.seconds),), asyncio.sleep(0, text))
    return [(one.text, one.speaker) for one in tracker.labelled(decoded).segments]
