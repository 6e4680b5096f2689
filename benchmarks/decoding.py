"""The cost of decoding an upload in a sandboxed process: the same files in this process and in a child, by turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from open_speech.audio import Audio
from open_speech.codecs import decode, encoder, isolation, wav_bytes
from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import blocks as blocks_here
from open_speech.codecs.isolated import ForkServer

RATE, FILE_RATE = 16_000, 24_000
ROUNDS = 15
LONGEST_S = 3600.0
MEMORY_MB, QUIET_S = 512, 60.0
SECONDS = (3, 10, 600)
"""Lengths of the MP3 files."""


def run() -> None:
    """Print a row per file: median milliseconds in this process and in a child, and the median of their ratios."""
    files = {"WAV, 16 bit, 10 s": wav_bytes(_audio(10))} | {f"MP3, {seconds} s": _mp3(_audio(seconds)) for seconds in SECONDS}
    with isolation(memory_mb=MEMORY_MB, quiet_s=QUIET_S) as fork_server:
        print(f"  in effect in a child process: {_layers(fork_server)}")
        print(f"  {'':<20}{'front ms':>10}{'child ms':>10}{'ratio':>8}")
        for name, data in files.items():
            here: list[float] = []
            child: list[float] = []
            for number in range(ROUNDS + 1):
                both = (
                    _ms(lambda data=data: collect(blocks_here(data, RATE, max_seconds=LONGEST_S), RATE)),
                    _ms(lambda data=data: decode(data, RATE, max_seconds=LONGEST_S)),
                )
                if number:  # the first round is a warm-up
                    here.append(both[0])
                    child.append(both[1])
                time.sleep(0.1)  # time to fork the next child, as between two requests
            ratio = statistics.median(second / first for first, second in zip(here, child, strict=True))
            print(f"  {name:<20}{statistics.median(here):>10.1f}{statistics.median(child):>10.1f}{ratio:>8.2f}", flush=True)


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _audio(seconds: float) -> Audio:
    """Return noise with the level and the dynamics of speech."""
    rng = np.random.default_rng(0)
    count = round(seconds * FILE_RATE)
    swell = np.repeat(rng.uniform(0, 0.3, count // 2400 + 1), 2400)[:count]
    return Audio((rng.standard_normal(count) * swell * 0.3).astype(np.float32), FILE_RATE)


def _mp3(audio: Audio) -> bytes:
    file = encoder("mp3", audio.rate)
    return file.encode(audio) + file.finish()


def _layers(fork_server: ForkServer) -> str:
    return str(fork_server.in_force())
