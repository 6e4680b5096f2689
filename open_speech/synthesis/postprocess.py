"""Postprocessing of speech: loudness normalization, trimming of silence at both ends, gain, limiting of peaks, resampling.

A piece is levelled as a whole. Pieces arrive complete, so the first audio is not delayed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio, StreamResampler, silence
from open_speech.backends import SpeechOptions
from open_speech.codecs.loudness import BLOCK_S, STEP_S, Blocks, LoudnessMeter, integrated
from open_speech.synthesis.limiter import Limiter
from open_speech.synthesis.pipeline import Synthesize

TARGET_LUFS = -19.0
"""Target loudness of speech in one channel; as loud as -16 LUFS in two channels."""
MOST_GAIN_DB = 24.0
"""Maximum gain and attenuation: audio that would need more is not speech."""
MOST_CORRECTION_DB = 2.0
"""Maximum dB by which one piece may be changed to bring the whole speech to the target."""
SLEW_DB_PER_S = 12.0
"""Maximum rate of change of the gain once a voice has begun."""
_MEASURED_BLOCKS = round(300 / STEP_S)
"""Number of blocks from which the gain is computed: the last five minutes of a long speech."""
UNKNOWN_S = 1.0
"""Seconds of a voice after which its audio is passed on unchanged if its loudness cannot be measured."""
LEAD_S, TAIL_S = 0.04, 0.2
"""Seconds of silence that are kept at the start and at the end of the speech."""
PAUSE_S = 0.1
"""Minimum seconds of a silent piece that counts as a requested pause; the silence of an engine is part of a piece with speech."""
_SHORT_S = 5.0
"""Maximum seconds of a piece that is processed on the event loop, in half a millisecond."""
_FRAME_S = 0.005
_FADE_S = 0.005
_QUIET = 10 ** (-50 / 20)
"""Maximum root mean square of a silent frame, relative to the loudest frame so far; with -40 dB the end of words such as `ship` is lost."""
_FLOOR = 10 ** (-72 / 20)

Samples = NDArray[np.float32]
_EMPTY: Samples = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Finish:
    """The postprocessing of a speech before it is encoded."""

    trim: bool = False
    """Trim silence at the beginning and the end, but not requested pauses."""
    normalize: bool = False
    """Bring each voice to TARGET_LUFS, and limit peaks below full scale."""
    rate: int | None = None
    """Sample rate of the output in Hertz; None uses that of the model."""
    gain_db: float = 0.0
    """Gain in dB after normalization. Peaks are limited below full scale if it is positive."""


class Leveller:
    """Brings one voice to TARGET_LUFS, piece by piece.

    The gain follows from all audio of the voice so far, so it settles within a sentence or two, and a loud sentence stays louder than its
    neighbours. If the speech as a whole would miss the target, the gain of a piece is adjusted a little.
    """

    def __init__(self, rate: int) -> None:
        """Level pieces at `rate` Hertz."""
        self._rate = rate
        self._meter = LoudnessMeter(rate)
        self._input: Blocks = np.zeros(0)
        self._output: Blocks = np.zeros(0)
        self._held: list[Samples] = []
        self._gain_db: float | None = None

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Take the next audio; return the audio that is ready. With `last`, at the end of a piece of text, nothing is held back.

        Audio is held back only while the loudness of the voice is unknown. Raises ValueError for another sample rate.
        """
        blocks = self._meter.feed(audio)
        self._held.append(audio.samples)
        target_db = self._target_db(blocks)
        if target_db is None:
            if not last and sum(map(len, self._held)) < UNKNOWN_S * self._rate:
                return Audio(_EMPTY, self._rate)
            blocks = self._meter.feed(silence(BLOCK_S, self._rate))
            target_db = self._target_db(blocks)
        samples = np.concatenate(self._held)
        self._held.clear()
        return Audio(samples if target_db is None else self._levelled(samples, blocks, target_db), self._rate)

    def _target_db(self, blocks: Blocks) -> float | None:
        """Return the gain in dB for the last audio; None while the loudness of the voice is unknown."""
        self._input = np.concatenate([self._input, blocks])[-_MEASURED_BLOCKS:]
        lufs = integrated(self._input)
        if lufs is None:
            return self._gain_db
        gain = TARGET_LUFS - lufs
        whole = integrated(np.concatenate([self._output, blocks + gain]))
        deviation = 0.0 if whole is None else whole - TARGET_LUFS
        return _clamped(gain - _clamped(deviation, MOST_CORRECTION_DB), MOST_GAIN_DB)

    def _levelled(self, samples: Samples, blocks: Blocks, target_db: float) -> Samples:
        before = target_db if self._gain_db is None else self._gain_db
        slope = math.copysign(SLEW_DB_PER_S / self._rate, target_db - before)
        moving = min(len(samples), math.floor((target_db - before) / slope))
        after = target_db if moving < len(samples) else before + moving * slope
        levelled = samples * np.float32(_factor(after))
        levelled[:moving] = samples[:moving] * np.power(10.0, (before + slope * np.arange(1, moving + 1)) / 20)
        self._gain_db = after
        self._output = np.concatenate([self._output, blocks + after])[-_MEASURED_BLOCKS:]
        return levelled


class LeadTrimmer:
    """Shortens the silence at the start of a stream to LEAD_S. A silent stream is not changed."""

    def __init__(self, rate: int) -> None:
        """Process pieces at `rate` Hertz."""
        self._finder = _ActivityFinder(rate)
        self._rate = rate
        self._held: list[Samples] = []
        self._begun = False

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Take the next piece; return the audio that is ready, which is empty while all is silent. Raises ValueError for another rate."""
        if self._begun:
            return audio
        before = sum(map(len, self._held))
        self._held.append(audio.samples)
        active = self._finder.find(audio)
        if active is None and not last:
            return Audio(_EMPTY, self._rate)
        self._begun = True
        samples = np.concatenate(self._held)
        self._held.clear()
        if active is not None and (cut := before + active[0] - round(LEAD_S * self._rate)) > 0:
            samples = _faded_in(samples[cut:], round(_FADE_S * self._rate))
        return Audio(samples, self._rate)


class TailTrimmer:
    """Shortens the silence at the end of a stream to TAIL_S. A piece of only zeros of PAUSE_S or more is a requested pause and is kept."""

    def __init__(self, rate: int) -> None:
        """Process pieces at `rate` Hertz."""
        self._finder = _ActivityFinder(rate)
        self._rate = rate
        self._held: list[Samples] = []
        self._room = round(TAIL_S * rate)

    def feed(self, audio: Audio) -> Audio:
        """Take the next piece; return the audio that is ready: silence waits for audio after it. Raises ValueError for another rate."""
        samples = audio.samples
        if len(samples) >= PAUSE_S * self._rate and not samples.any():
            self._room = 0
            return Audio(np.concatenate([*self._take_held(), samples]), self._rate)
        active = self._finder.find(audio)
        if active is None:
            return Audio(self._hold(samples), self._rate)
        self._room = round(TAIL_S * self._rate)
        return Audio(np.concatenate([*self._take_held(), samples[: active[1]], self._hold(samples[active[1] :])]), self._rate)

    def _hold(self, samples: Samples) -> Samples:
        """Return as much silence as may remain at the end, and hold the rest."""
        ready = samples[: self._room]
        self._room -= len(ready)
        if len(ready) < len(samples):
            self._held.append(samples[len(ready) :])
        return ready

    def _take_held(self) -> list[Samples]:
        held, self._held = self._held, []
        return held


class _ActivityFinder:
    """Finds the parts of a stream that are not silent."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._loudest = 0.0

    def find(self, audio: Audio) -> tuple[int, int] | None:
        """Return the start and end, in samples, of the part of a piece that is not silent; None if all of it is silent."""
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        frame = max(1, round(_FRAME_S * self._rate))
        frames = np.pad(audio.samples, (0, -len(audio.samples) % frame)).reshape(-1, frame)
        levels = np.sqrt(np.einsum("ij,ij->i", frames, frames) / frame)
        self._loudest = max(self._loudest, float(levels.max(initial=0.0)))
        loud = np.flatnonzero(levels > max(self._loudest * _QUIET, _FLOOR))
        return (int(loud[0]) * frame, min(len(audio.samples), (int(loud[-1]) + 1) * frame)) if len(loud) else None


class PiecePostprocessor:
    """The postprocessing of single pieces of text, before pauses and cues: start trimming and loudness."""

    def __init__(self, finish: Finish) -> None:
        """Process the pieces of one speech."""
        self._finish = finish
        self._lead: LeadTrimmer | None = None
        self._voices: dict[SpeechOptions, Leveller] = {}

    def feed(self, audio: Audio, options: SpeechOptions, *, last: bool = False) -> Audio:
        """Take the next audio of a piece that is spoken with `options`; return the audio that is ready, with `last` all the rest."""
        if self._finish.trim:
            self._lead = self._lead or LeadTrimmer(audio.rate)
            audio = self._lead.feed(audio, last=last)
        if self._finish.normalize:
            voice = replace(options, speed=1.0, language=None, instructions=None)
            if voice not in self._voices:
                self._voices[voice] = Leveller(audio.rate)
            audio = self._voices[voice].feed(audio, last=last)
        return audio


class SpeechPostprocessor:
    """The postprocessing of a whole speech before it is encoded: end trimming, gain, peaks and rate."""

    def __init__(self, rate: int, finish: Finish) -> None:
        """Take pieces at `rate` Hertz; return them at the rate of `finish`."""
        self._tail = TailTrimmer(rate) if finish.trim else None
        self._gain = np.float32(_factor(finish.gain_db))
        self._limiter = Limiter(rate) if finish.normalize or finish.gain_db > 0 else None
        self._resampler = StreamResampler(rate, finish.rate or rate)
        self.is_quick = finish.rate in (None, rate)
        """Whether no resampling is needed, which takes longer than all other steps together."""

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Take the next piece; return the audio that is ready, with `last` all the rest. Raises ValueError for another rate."""
        if self._tail is not None:
            audio = self._tail.feed(audio)
        if self._gain != 1:
            audio = Audio(audio.samples * self._gain, audio.rate)
        if self._limiter is not None:
            audio = self._limiter.feed(audio, last=last)
        return self._resampler.feed(audio, last=last)


def prepared(synthesize: Synthesize, finish: Finish) -> Synthesize:
    """Wrap a synthesis function so that the pieces of one speech are trimmed and levelled as `finish` specifies, off the event loop."""
    if not (finish.trim or finish.normalize):
        return synthesize
    postprocessor = PiecePostprocessor(finish)

    async def speak(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        rate = 0
        async with aclosing(synthesize(text, options)) as chunks:
            async for audio in chunks:
                rate = audio.rate
                if len((ready := await _processed(partial(postprocessor.feed, options=options), audio)).samples):
                    yield ready
        if rate and len((rest := postprocessor.feed(Audio(_EMPTY, rate), options, last=True)).samples):
            yield rest

    return speak


async def postprocessed(speech: AsyncGenerator[Audio, None], finish: Finish) -> AsyncGenerator[Audio, None]:
    """Trim the end, apply the gain, limit the peaks and resample a speech as it arrives, off the event loop, without empty pieces."""
    postprocessor: SpeechPostprocessor | None = None
    rate = 0
    async with aclosing(speech):
        async for audio in speech:
            rate = audio.rate
            postprocessor = postprocessor or SpeechPostprocessor(rate, finish)
            if len((ready := await _processed(postprocessor.feed, audio, quick=postprocessor.is_quick)).samples):
                yield ready
    if postprocessor is not None and len((rest := postprocessor.feed(Audio(_EMPTY, rate), last=True)).samples):
        yield rest


async def _processed(work: Callable[[Audio], Audio], audio: Audio, *, quick: bool = True) -> Audio:
    """Process a piece, in a thread unless it is `quick` work on a short piece: a thread would take longer to start."""
    return work(audio) if quick and audio.seconds < _SHORT_S else await asyncio.to_thread(work, audio)


def _factor(db: float) -> float:
    return float(10.0 ** (db / 20))


def _clamped(value: float, most: float) -> float:
    return min(max(value, -most), most)


def _faded_in(samples: Samples, length: int) -> Samples:
    samples[:length] *= np.linspace(0.0, 1.0, length, dtype=np.float32)[: len(samples)]
    return samples
