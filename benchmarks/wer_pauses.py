"""Inserts pauses and adds noise to clips. Pure: the same clip gives the same result every time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

Samples = NDArray[np.float32]
Where = Literal["clause", "word"]
FRAME_S = 0.02
SMOOTH_FRAMES = 3
EDGE_S = 0.5
"""Minimum distance of a pause from the beginning and the end of a clip, in seconds."""
APART_S = 0.9
"""Minimum distance between two pauses, in seconds."""
EVERY_S = 3.0
"""Seconds of a clip per pause; every clip has at least one."""
ROOM_S = 0.24
"""Length in seconds of the quietest section of a clip, which fills the pauses."""
NEAR_S = 0.25
"""A pause between words is inserted at the quietest point within this distance in seconds of an evenly spaced time."""
FADE = 80
"""Samples over which the edges of a pause are blended."""


def with_pauses(audio: Audio, seconds: float, where: Where) -> Audio:
    """Insert pauses of `seconds` into a clip, filled with its own background noise.

    `clause` uses the quietest points of the clip, which are mostly at commas; `word` uses evenly spaced ones, moved to the nearest
    quiet frame.
    """
    return paused(audio, seconds, where)[0]


def paused(audio: Audio, seconds: float, where: Where) -> tuple[Audio, list[tuple[float, float]]]:
    """Do the same; return the clip and the start and end of each inserted pause in it, in seconds."""
    level = _levels(audio)
    count = max(1, round(audio.seconds / EVERY_S))
    places = _quietest(level, count) if where == "clause" else _spaced(level, count)
    fill = room(audio, seconds)
    joined, start = np.zeros(0, np.float32), 0
    spans: list[tuple[float, float]] = []
    for place in sorted(places):
        at = round((place + 0.5) * FRAME_S * audio.rate)
        joined = _blend(joined, audio.samples[start:at])
        begun = len(joined)
        joined = _blend(joined, fill)
        spans.append((begun / audio.rate, len(joined) / audio.rate))
        start = at
    return Audio(_blend(joined, audio.samples[start:]), audio.rate), spans


def room(audio: Audio, seconds: float) -> Samples:
    """Return `seconds` of the background noise of a clip: its quietest section, alternately forwards and backwards."""
    length = round(ROOM_S * audio.rate)
    power = np.convolve(np.square(audio.samples, dtype=np.float64), np.ones(length) / length, "valid")
    start = int(np.argmin(power))
    quiet = audio.samples[start : start + length]
    turns = -(-round(seconds * audio.rate) // (2 * length))
    return np.tile(np.concatenate([quiet, quiet[::-1]]), turns)[: round(seconds * audio.rate)]


def with_noise(audio: Audio, snr_db: float, seed: int) -> Audio:
    """Add pink noise, `snr_db` below the level of the loud half of the clip's frames."""
    dice = np.random.default_rng(seed)
    spectrum = np.fft.rfft(dice.standard_normal(len(audio.samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise = np.fft.irfft(spectrum, len(audio.samples))
    frames = np.square(audio.samples[: len(audio.samples) // 320 * 320].reshape(-1, 320)).mean(axis=1)
    speech = float(np.sort(frames)[len(frames) // 2 :].mean())
    gain = np.sqrt(speech / np.square(noise).mean() / 10 ** (snr_db / 10))
    mixed = audio.samples + gain * noise
    return Audio((mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32), audio.rate)


def _levels(audio: Audio) -> NDArray[np.float64]:
    size = round(FRAME_S * audio.rate)
    frames = audio.samples[: len(audio.samples) // size * size].reshape(-1, size)
    decibels = 10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-9))
    return np.convolve(decibels, np.ones(SMOOTH_FRAMES) / SMOOTH_FRAMES, "same")


def _quietest(level: NDArray[np.float64], count: int) -> list[int]:
    edge, apart = round(EDGE_S / FRAME_S), round(APART_S / FRAME_S)
    places: list[int] = []
    for place in np.argsort(level, kind="stable"):
        inside = edge <= place < len(level) - edge
        if inside and all(abs(int(place) - other) >= apart for other in places):
            places.append(int(place))
        if len(places) == count:
            break
    return places or [len(level) // 2]


def _spaced(level: NDArray[np.float64], count: int) -> list[int]:
    near = round(NEAR_S / FRAME_S)
    places = []
    for number in range(1, count + 1):
        middle = len(level) * number // (count + 1)
        first = max(0, middle - near)
        places.append(first + int(np.argmin(level[first : middle + near])))
    return places


def _blend(one: Samples, other: Samples) -> Samples:
    fade = min(FADE, len(one), len(other))
    if not fade:
        return np.concatenate([one, other])
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    return np.concatenate([one[:-fade], one[-fade:] * (1 - ramp) + other[:fade] * ramp, other[fade:]])
