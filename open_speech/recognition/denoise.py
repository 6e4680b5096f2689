"""Preprocessing of recordings: noise reduction, and amplification of very quiet recordings. Pure; works in blocks, whatever the length.

docs/performance.md has measurements of the effect of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from open_speech.audio import Audio, concat

FRAME_S = 0.03
"""Seconds over which the level is measured: shorter than a syllable, longer than a click."""
BLOCK_S = 10.0
"""Seconds that are processed at a time: a few hundred kilobytes beside the result, whatever the length."""
STRETCH_S = 30.0
"""Seconds of a stream that are analysed together: long enough to contain speech, in most recordings."""
QUIET_DB = -38.0
"""Level of the loudest speech, in dBFS, below which a recording is too quiet: the speech detector begins to miss words there."""
TARGET_DB = -23.0
"""Level in dBFS to which the loudest speech of a quiet recording is amplified, as in broadcasting."""
MOST_GAIN_DB = 50.0
"""Maximum gain: audio that would need more is the noise of a microphone, or of its 16 bits."""
SPEECH_QUANTILE = 0.95
"""Quantile of the frame levels that is the level of speech: a twentieth of the frames exceed it, so clicks and silence do not count."""
NOISE_QUANTILE = 0.1
"""Quantile of the frame levels that is the level of noise: a tenth of the frames are quieter, because speech contains pauses."""
LEAST_SNR_DB = 6.0
"""Minimum dB of speech above the noise. Audio below it, such as an empty room or a carrier, is not amplified."""
NOISE_REDUCTION_DB = 12
"""dB by which noise is reduced: with 6, fewer words were gained; with more than 12, the voice is distorted."""
NOISE_RANGE_DB = (-80.0, -20.0)
"""Bounds in dB of the noise floor that is passed to FFmpeg's filter. Without it the filter changes next to nothing."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """The preprocessing of a recording before recognition."""

    noise_reduce: bool = False
    """Remove steady noise."""
    normalize: bool = True
    """Raise the level of a very quiet recording."""


def clean(audio: Audio, how: Cleaning) -> Audio:
    """Clean a recording: same rate, same number of samples, no delay. Returns `audio` itself if nothing is to be done.

    Blocking. Needs memory for the result and a block of BLOCK_S seconds; `audio` is not changed.
    """
    cleaned = reduce_noise(audio) if how.noise_reduce else audio
    return amplify(cleaned, gain_db(speech_db(cleaned))) if how.normalize else cleaned


def clean_blocks(pieces: Iterable[Audio], how: Cleaning) -> Iterator[Audio]:
    """Clean a recording that arrives in pieces, STRETCH_S seconds at a time; memory does not grow with the recording.

    All pieces are at one rate; the output has as many samples as the input. The gain follows from the loudest speech so far, so that a
    pause in a recording that is loud enough stays quiet.
    """
    if how == Cleaning(noise_reduce=False, normalize=False):
        yield from pieces
        return
    loudest = -np.inf
    for stretch in _stretches(pieces):
        cleaned = reduce_noise(stretch) if how.noise_reduce else stretch
        if how.normalize:
            loudest = max(loudest, speech_db(cleaned))
            cleaned = amplify(cleaned, gain_db(loudest))
        yield cleaned


def speech_db(audio: Audio) -> float:
    """Measure the level of speech in dBFS; -inf if nothing is louder than the noise by LEAST_SNR_DB."""
    level = level_db(audio, SPEECH_QUANTILE)
    return level if level - level_db(audio, NOISE_QUANTILE) > LEAST_SNR_DB else -np.inf


def gain_db(speech: float) -> float:
    """Return the gain in dB for speech of this level: 0 unless it is below QUIET_DB, and at most MOST_GAIN_DB."""
    return 0.0 if speech >= QUIET_DB or speech == -np.inf else min(TARGET_DB - speech, MOST_GAIN_DB)


def amplify(audio: Audio, gain: float) -> Audio:
    """Amplify by `gain` dB; return `audio` itself for 0.

    Peaks beyond [-1, 1] are clipped: they are clicks, because speech at TARGET_DB has 23 dB of headroom.
    """
    if gain == 0:
        return audio
    louder = np.multiply(audio.samples, np.float32(10 ** (gain / 20)))
    return Audio(np.clip(louder, -1, 1, out=louder), audio.rate)


def level_db(audio: Audio, quantile: float) -> float:
    """Measure a quantile, in [0, 1], of the frame levels, in dBFS; -inf for digital silence or no samples."""
    size = max(1, round(FRAME_S * audio.rate))
    powers = [
        np.square(block[: len(block) // size * size].reshape(-1, size)).mean(axis=1)
        for block in _blocks(audio.samples, size * round(BLOCK_S / FRAME_S))
    ]
    power = np.quantile(np.concatenate(powers), quantile) if sum(map(len, powers)) else 0.0
    return float(10 * np.log10(power)) if power > 0 else -np.inf


def reduce_noise(audio: Audio) -> Audio:
    """Reduce steady noise, such as a fan, hiss or hum; voices in the background are kept."""
    graph = _denoiser(audio.rate, level_db(audio, NOISE_QUANTILE))
    result = np.empty_like(audio.samples)
    delay = 2 * (audio.rate // 80)
    filled = -delay
    for block in _blocks(audio.samples, round(BLOCK_S * audio.rate)):
        graph.push(_frame(block, audio.rate))
        filled = _drain(graph, result, filled)
    # The filter has a delay of 25 ms: silence after the end flushes the last samples, and the first output is discarded.
    graph.push(_frame(np.zeros(delay, np.float32), audio.rate))
    graph.push(None)
    filled = _drain(graph, result, filled)
    result[filled:] = 0
    return Audio(result, audio.rate)


def _stretches(pieces: Iterable[Audio]) -> Iterator[Audio]:
    waiting: list[Audio] = []
    seconds = 0.0
    for piece in pieces:
        waiting.append(piece)
        seconds += piece.seconds
        if seconds >= STRETCH_S:
            yield concat(waiting, piece.rate)
            waiting, seconds = [], 0.0
    if waiting:
        yield concat(waiting, waiting[0].rate)


def _blocks(samples: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _denoiser(rate: int, floor_db: float) -> Graph:
    low, high = NOISE_RANGE_DB
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=rate, format="flt", layout="mono"),
        graph.add("afftdn", f"noise_reduction={NOISE_REDUCTION_DB}:noise_floor={min(max(floor_db, low), high)}"),
        graph.add("aformat", "sample_fmts=flt"),
        graph.add("abuffersink"),
    )
    graph.configure()
    return graph


def _frame(block: NDArray[np.float32], rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(block[np.newaxis]), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame


def _drain(graph: Graph, result: NDArray[np.float32], filled: int) -> int:
    """Write the output that is ready after the `filled` samples of the result, as far as there is room; return the new count.

    A negative count is the number of samples still to be discarded.
    """
    while True:
        try:
            ready = graph.pull().to_ndarray()[0]
        except (av.BlockingIOError, av.EOFError):
            return filled
        end = min(filled + len(ready), len(result))
        if end > 0:
            first = max(filled, 0)
            result[first:end] = ready[first - filled : end - filled]
        filled = end
