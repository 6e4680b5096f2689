"""A synthesizer and a recognizer without weights: text becomes tones, and the tones become the same text. For tests and smoke checks.

A word is encoded as UTF-8 and one check byte, with four 2-bit steps per byte. Each step changes to another one of five data tones, so
neighboring tones always differ and every change of tone is one symbol: the recognizer needs no clock, and works at any speed or time
stretch. A sixth tone marks the start and end of words. All six are between 0.7 and 3.3 kHz, within the band of a telephone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, Setup, SpeechOptions, TranscribeOptions
from open_speech.transcript import Segment, TranscriptInfo, Word
from runners.wiring.bento_service import Resources, stt_service, tts_service

TTS_RATE = 24_000
"""Sample rate in hertz of the generated audio."""
VOICE = "tone"
SYMBOL_S = 0.006
"""Seconds per symbol at speed 1; an ASCII character is four symbols."""

_HERTZ = np.array([750, 1250, 1750, 2250, 2750, 3250], np.float64)
_STEPS = 5
_MARK = 5
_EDGE_MARKS = 4
"""Mark symbols at each end of a piece: codecs distort the first and last milliseconds of an audio."""
_PEAK = 0.5
_WORD = re.compile(r"\s+\S+")

_WINDOW = 64
"""Samples at STT_RATE. A Hann window of this length has its zeros 500 Hz from its center: on the neighboring tones."""
_HOP = 8
_BLOCK = 60 * STT_RATE
_GAP = round(0.05 * STT_RATE / _HOP)
"""Frames without a tone that end a segment."""
_NONE = -1
_FAINTEST = 1e-3
"""Amplitude below which audio is ignored."""
_PURITY = 0.1
"""Minimum share of a frame's energy in its strongest tone. Halfway between two tones the share is 0.25; in white noise 0.05."""


def _symbols(word: str) -> NDArray[np.int64]:
    """Encode one word as tone numbers, from its opening mark up to, but without, the next mark."""
    data = word.encode("utf-8", "replace")
    octets = np.frombuffer(data + bytes([zlib.crc32(data) & 0xFF]), np.uint8)
    steps = (octets[:, None] >> np.array([6, 4, 2, 0], np.uint8) & 3).ravel().astype(np.int64)
    return np.concatenate([[_MARK], np.cumsum(steps + 1) % _STEPS])


def _word(tones: NDArray[np.int64]) -> str | None:
    """Decode the data tones between two marks; None if they are not a word: wrong length, check byte or encoding."""
    if len(tones) < 8 or len(tones) % 4:
        return None
    steps = (np.diff(tones, prepend=0) - 1) % _STEPS
    if steps.max() > 3:
        return None
    *data, check = (steps.reshape(-1, 4) @ np.array([64, 16, 4, 1])).tolist()
    if zlib.crc32(bytes(data)) & 0xFF != check:
        return None
    try:
        word = bytes(data).decode()
    except UnicodeDecodeError:
        return None
    # Noise passes the check byte in one of 256 cases: the space at the start of a word is the second part of the check.
    return word if _WORD.fullmatch(word) else None


class TonesSynthesizer:
    """Text to tones: one voice, `tone`, at TTS_RATE; any Unicode text."""

    def __init__(self, setup: Setup) -> None:
        """Accept the setup, like every backend; nothing in it is used."""

    def load(self) -> None:
        """Load nothing: there are no weights."""

    def synthesize(self, text: str, options: SpeechOptions) -> Iterator[Audio]:
        """Yield the tones of a text word by word; `speed` shortens or lengthens them at the same pitch.

        They can be recognized at speeds from 0.25 to 4, up to 2 after MP3 at 32 kbit/s, and up to 1.5 after Opus at 32 kbit/s.
        """
        return self._sound(_WORD.findall(" " + text.strip()), SYMBOL_S * TTS_RATE / options.speed)

    def _sound(self, words: list[str], samples_per_symbol: float) -> Iterator[Audio]:
        """Yield the audio of the words, with a continuous phase so that there are no clicks between them."""
        edge = np.full(_EDGE_MARKS, _MARK)
        phase = 0.0
        for at, word in enumerate(words):
            parts = [edge if at == 0 else edge[:0], _symbols(word), edge if at == len(words) - 1 else edge[:0]]
            tones = np.concatenate(parts)
            lengths = np.diff(np.rint(np.arange(len(tones) + 1) * samples_per_symbol).astype(np.int64))
            phases = phase + np.cumsum(np.repeat(_HERTZ[tones] * (2 * np.pi / TTS_RATE), lengths))
            phase = float(phases[-1] % (2 * np.pi))
            yield Audio((_PEAK * np.sin(phases)).astype(np.float32), TTS_RATE)


@dataclass(frozen=True, slots=True)
class _Run:
    """A section with one tone; times in seconds."""

    tone: int
    start: float
    end: float


class TonesTranscriber:
    """Tones to text: all words whose check byte is intact; any other audio is treated as no speech."""

    def __init__(self, setup: Setup) -> None:
        """Accept the setup, like every backend; nothing in it is used."""

    def load(self) -> None:
        """Load nothing: there are no weights."""

    def transcribe(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        """Yield the info, then a segment for each sequence of words; 50 ms without a tone start a new segment.

        Prompt, hotwords, beam size and temperatures are accepted and have no effect.
        """
        return self._listen(audio, options)

    def _listen(self, audio: Audio, options: TranscribeOptions) -> Iterator[TranscriptInfo | Segment]:
        yield TranscriptInfo("en", 1.0, audio.seconds)
        for runs in _stretches(_tones(audio.samples)):
            words = list(_words(runs, audio.seconds))
            if words:
                text = "".join(word.text for word in words)
                yield Segment(words[0].start, words[-1].end, text, tuple(words) if options.word_times else ())


def _tones(samples: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the tone in each frame of _WINDOW samples, one frame every _HOP samples; _NONE for frames without a tone."""
    window = np.hanning(_WINDOW + 1)[:-1]
    angles = 2 * np.pi / STT_RATE * np.outer(np.arange(_WINDOW), _HERTZ)
    waves = np.hstack([np.cos(angles), np.sin(angles)]) * (window * 2 / window.sum())[:, None]
    powers = [_powers(samples[at : at + _BLOCK + _WINDOW - _HOP], waves.astype(np.float32)) for at in range(0, len(samples), _BLOCK)]
    if not powers:
        return np.zeros(0, np.int8)
    best = np.concatenate([power for _, power in powers])
    # A codec adds echoes before and after a tone, 30 dB below it; these are not symbols.
    floor = max(float(best.max(initial=0.0)) / 400, _FAINTEST**2)
    return np.where(best > floor, np.concatenate([tone for tone, _ in powers]), np.int8(_NONE))


def _powers(samples: NDArray[np.float32], waves: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return each frame's strongest tone and its squared amplitude, which is 0 for silence and for audio without a clear tone."""
    count = max(0, (len(samples) - _WINDOW) // _HOP + 1)
    if count == 0 or max(samples.max(), -samples.min()) < _FAINTEST:
        return np.zeros(count, np.int8), np.zeros(count, np.float32)
    parts = sliding_window_view(samples, _WINDOW)[::_HOP] @ waves
    power = parts[:, : len(_HERTZ)] ** 2 + parts[:, len(_HERTZ) :] ** 2
    tones = power.argmax(axis=1)
    best = np.take_along_axis(power, tones[:, None], 1)[:, 0]
    squares = np.square(samples[: (count - 1) * _HOP + _WINDOW]).reshape(-1, _HOP).sum(axis=1)
    energy = np.convolve(squares, np.ones(_WINDOW // _HOP, np.float32), "valid") * (2 / _WINDOW)
    return tones.astype(np.int8), np.where(best > _PURITY * energy, best, np.float32(0))


def _stretches(labels: NDArray[np.int8]) -> Iterator[list[_Run]]:
    """Split the frames at gaps into sections, each as its runs of one tone, without the short runs between symbols."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    tones, starts, lengths = labels[edges[:-1]] if len(labels) else labels, edges[:-1], np.diff(edges)
    gaps = np.flatnonzero((tones == _NONE) & (lengths >= _GAP))
    for first, last in zip(np.concatenate([[-1], gaps]) + 1, np.concatenate([gaps, [len(tones)]]), strict=True):
        if last > first:
            yield _runs(tones[first:last], starts[first:last], lengths[first:last])


def _runs(tones: NDArray[np.int8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[_Run]:
    """Drop runs that are much shorter than a symbol, then merge neighboring runs of the same tone."""
    data = lengths[(tones != _MARK) & (tones != _NONE) & (lengths > 1)]
    symbol = float(np.median(data)) if len(data) else 1.0
    kept = (lengths >= 0.4 * symbol) & (tones != _NONE)
    tones, starts, ends = tones[kept], starts[kept], (starts + lengths)[kept]
    if not len(tones):
        return []
    first = np.flatnonzero(np.diff(tones, prepend=_NONE))
    last = np.append(first[1:], len(tones)) - 1
    seconds = _HOP / STT_RATE
    middle = _WINDOW / 2 / STT_RATE
    return [
        _Run(int(tone), float(start) * seconds + middle, float(end) * seconds + middle)
        for tone, start, end in zip(tones[first], starts[first], ends[last], strict=True)
    ]


def _words(runs: list[_Run], duration: float) -> Iterator[Word]:
    """Yield the valid words between two marks; all other tones are ignored. Times are within `duration`."""
    marks = [at for at, run in enumerate(runs) if run.tone == _MARK]
    for left, right in zip(marks, marks[1:], strict=False):
        text = _word(np.array([run.tone for run in runs[left + 1 : right]], np.int64))
        if text is not None:
            yield Word(text, round(min(runs[left].end, duration), 3), round(min(runs[right].start, duration), 3))


Listener = stt_service("tones-stt", TonesTranscriber, Resources(threads=4, cpu=0.5, memory="256Mi"))
Speaker = tts_service("tones-tts", TonesSynthesizer, Resources(threads=4, cpu=0.5, memory="256Mi"))
