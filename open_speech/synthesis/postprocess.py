"""The last touch on speech: one loudness for every voice, no silence at either end, no peak too high, the rate that was asked for.

A piece is levelled when it is whole, which it is when it comes: the first sound does not wait.
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
"""Loudness of speech in one channel; as loud as -16 LUFS in two."""
MOST_GAIN_DB = 24.0
"""Louder or quieter by this at most: what is further off is no speech."""
MOST_GIVEN_WAY_DB = 2.0
"""By this a single piece may be made quieter or louder for the sake of the whole speech."""
SLEW_DB_PER_S = 12.0
"""How fast a gain may change once a voice has begun."""
_MEMORY = round(300 / STEP_S)
"""Blocks that a gain follows from: the last five minutes of a long speech."""
UNKNOWN_S = 1.0
"""Seconds of a voice after which its sound is let through as it is, if no loudness was found in it."""
LEAD_S, TAIL_S = 0.04, 0.2
"""Seconds of silence kept before the first sound and after the last one."""
PAUSE_S = 0.1
"""Seconds of the shortest piece of silence that counts as a pause by itself; the silence of an engine comes with its sound."""
_SHORT_S = 5.0
"""Seconds of sound that are worked on at once: half a millisecond's work."""
_FRAME_S = 0.005
_FADE_S = 0.005
_QUIET = 10 ** (-50 / 20)
"""Root mean square of a silent frame, relative to the loudest so far; at -40 dB the end of a word such as `ship` is lost."""
_FLOOR = 10 ** (-72 / 20)

Samples = NDArray[np.float32]
_NOTHING: Samples = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done to a speech before it is encoded."""

    trim: bool = False
    """Cut the silence at the beginning and the end, but no pause that was asked for."""
    normalize: bool = False
    """Bring each voice to TARGET_LUFS, and hold peaks below full scale."""
    rate: int | None = None
    """Hertz of the sound that is given out; None is the model's own."""


class Leveller:
    """Bring one voice to TARGET_LUFS, piece by piece.

    The gain is the one that would suit all that the voice has said so far, so it settles within a sentence or two and a loud sentence
    stays louder than its neighbours; where the speech as a whole would miss the target, a piece gives way a little.
    """

    def __init__(self, rate: int) -> None:
        """Level pieces at `rate` Hertz."""
        self._rate = rate
        self._meter = LoudnessMeter(rate)
        self._heard: Blocks = np.zeros(0)
        self._given: Blocks = np.zeros(0)
        self._held: list[Samples] = []
        self._gain_db: float | None = None

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Give the next sound, get what is ready; with `last`, at the end of a piece of text, nothing is kept back.

        Sound is kept back only while the voice is unknown. Raises ValueError if it has another rate than the voice.
        """
        blocks = self._meter.feed(audio)
        self._held.append(audio.samples)
        wanted = self._wanted(blocks)
        if wanted is None:
            if not last and sum(map(len, self._held)) < UNKNOWN_S * self._rate:
                return Audio(_NOTHING, self._rate)
            blocks = self._meter.feed(silence(BLOCK_S, self._rate))
            wanted = self._wanted(blocks)
        samples = np.concatenate(self._held)
        self._held.clear()
        return Audio(samples if wanted is None else self._levelled(samples, blocks, wanted), self._rate)

    def _wanted(self, blocks: Blocks) -> float | None:
        """Choose the gain in dB for what was heard last; None while nothing is known of the voice."""
        self._heard = np.concatenate([self._heard, blocks])[-_MEMORY:]
        lufs = integrated(self._heard)
        if lufs is None:
            return self._gain_db
        gain = TARGET_LUFS - lufs
        whole = integrated(np.concatenate([self._given, blocks + gain]))
        missed = 0.0 if whole is None else whole - TARGET_LUFS
        return _within(gain - _within(missed, MOST_GIVEN_WAY_DB), MOST_GAIN_DB)

    def _levelled(self, samples: Samples, blocks: Blocks, wanted: float) -> Samples:
        before = wanted if self._gain_db is None else self._gain_db
        slope = math.copysign(SLEW_DB_PER_S / self._rate, wanted - before)
        moving = min(len(samples), math.floor((wanted - before) / slope))
        after = wanted if moving < len(samples) else before + moving * slope
        levelled = samples * np.float32(_factor(after))
        levelled[:moving] = samples[:moving] * np.power(10.0, (before + slope * np.arange(1, moving + 1)) / 20)
        self._gain_db = after
        self._given = np.concatenate([self._given, blocks + after])[-_MEMORY:]
        return levelled


class Onset:
    """Cut a stream's silence before its first sound to LEAD_S. A stream without any sound stays as it is."""

    def __init__(self, rate: int) -> None:
        """Cut pieces at `rate` Hertz."""
        self._finder = _SoundFinder(rate)
        self._rate = rate
        self._held: list[Samples] = []
        self._begun = False

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Give the next piece, get what is ready: nothing, while all is silent. Raises ValueError for another rate."""
        if self._begun:
            return audio
        before = sum(map(len, self._held))
        self._held.append(audio.samples)
        sounding = self._finder.find(audio)
        if sounding is None and not last:
            return Audio(_NOTHING, self._rate)
        self._begun = True
        samples = np.concatenate(self._held)
        self._held.clear()
        if sounding is not None and (cut := before + sounding[0] - round(LEAD_S * self._rate)) > 0:
            samples = _faded_in(samples[cut:], round(_FADE_S * self._rate))
        return Audio(samples, self._rate)


class Ending:
    """Cut a stream's silence after its last sound to TAIL_S. A piece of PAUSE_S or more of nothing but zeros was asked for: it stays."""

    def __init__(self, rate: int) -> None:
        """Cut pieces at `rate` Hertz."""
        self._finder = _SoundFinder(rate)
        self._rate = rate
        self._held: list[Samples] = []
        self._room = round(TAIL_S * rate)

    def feed(self, audio: Audio) -> Audio:
        """Give the next piece, get what is ready: silence waits until sound comes after it. Raises ValueError for another rate."""
        samples = audio.samples
        if len(samples) >= PAUSE_S * self._rate and not samples.any():
            self._room = 0
            return Audio(np.concatenate([*self._taken(), samples]), self._rate)
        sounding = self._finder.find(audio)
        if sounding is None:
            return Audio(self._silent(samples), self._rate)
        self._room = round(TAIL_S * self._rate)
        return Audio(np.concatenate([*self._taken(), samples[: sounding[1]], self._silent(samples[sounding[1] :])]), self._rate)

    def _silent(self, samples: Samples) -> Samples:
        """Let through as much of a silence as may come last, and hold the rest."""
        ready = samples[: self._room]
        self._room -= len(ready)
        if len(ready) < len(samples):
            self._held.append(samples[len(ready) :])
        return ready

    def _taken(self) -> list[Samples]:
        held, self._held = self._held, []
        return held


class _SoundFinder:
    """Finds where there is sound in the pieces of a stream."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._loudest = 0.0

    def find(self, audio: Audio) -> tuple[int, int] | None:
        """Tell where, in samples, a piece's first sound begins and its last one ends; None if there is none."""
        if audio.rate != self._rate:
            raise ValueError(f"stream is at {self._rate} Hz, piece at {audio.rate} Hz")
        frame = max(1, round(_FRAME_S * self._rate))
        frames = np.pad(audio.samples, (0, -len(audio.samples) % frame)).reshape(-1, frame)
        levels = np.sqrt(np.einsum("ij,ij->i", frames, frames) / frame)
        self._loudest = max(self._loudest, float(levels.max(initial=0.0)))
        loud = np.flatnonzero(levels > max(self._loudest * _QUIET, _FLOOR))
        return (int(loud[0]) * frame, min(len(audio.samples), (int(loud[-1]) + 1) * frame)) if len(loud) else None


class Preparation:
    """What is done to the sound of single pieces of text, before anything is counted or mixed: onset and loudness."""

    def __init__(self, finish: Finish) -> None:
        """Prepare one speech."""
        self._finish = finish
        self._onset: Onset | None = None
        self._voices: dict[SpeechOptions, Leveller] = {}

    def feed(self, audio: Audio, options: SpeechOptions, *, last: bool = False) -> Audio:
        """Give the next sound of a piece that is spoken with `options`, get what is ready; with `last`, at its end, all that is left."""
        if self._finish.trim:
            self._onset = self._onset or Onset(audio.rate)
            audio = self._onset.feed(audio, last=last)
        if self._finish.normalize:
            voice = replace(options, speed=1.0, language=None, instructions=None)
            if voice not in self._voices:
                self._voices[voice] = Leveller(audio.rate)
            audio = self._voices[voice].feed(audio, last=last)
        return audio


class Polish:
    """What is done to a whole speech before it is encoded: ending, peaks and rate."""

    def __init__(self, rate: int, finish: Finish) -> None:
        """Take pieces at `rate` Hertz, give them at the rate of `finish`."""
        self._ending = Ending(rate) if finish.trim else None
        self._limiter = Limiter(rate) if finish.normalize else None
        self._resampler = StreamResampler(rate, finish.rate or rate)
        self.is_quick = finish.rate in (None, rate)
        """Resampling takes longer than all the rest together."""

    def feed(self, audio: Audio, *, last: bool = False) -> Audio:
        """Give the next piece, get what is ready; with `last` the rest comes out too. Raises ValueError for another rate."""
        if self._ending is not None:
            audio = self._ending.feed(audio)
        if self._limiter is not None:
            audio = self._limiter.feed(audio, last=last)
        return self._resampler.feed(audio, last=last)


def prepared(synthesize: Synthesize, finish: Finish) -> Synthesize:
    """Make what speaks single pieces of one speech speak them trimmed and levelled, as `finish` says. Works off the event loop."""
    if not (finish.trim or finish.normalize):
        return synthesize
    preparation = Preparation(finish)

    async def speak(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        rate = 0
        async with aclosing(synthesize(text, options)) as sound:
            async for audio in sound:
                rate = audio.rate
                if len((ready := await _worked_off(partial(preparation.feed, options=options), audio)).samples):
                    yield ready
        if rate and len((rest := preparation.feed(Audio(_NOTHING, rate), options, last=True)).samples):
            yield rest

    return speak


async def polished(sound: AsyncGenerator[Audio, None], finish: Finish) -> AsyncGenerator[Audio, None]:
    """Give a speech its ending, peaks and rate as it is made, off the event loop. Pieces without a sample are left out."""
    polish: Polish | None = None
    rate = 0
    async with aclosing(sound):
        async for audio in sound:
            rate = audio.rate
            polish = polish or Polish(rate, finish)
            if len((ready := await _worked_off(polish.feed, audio, quick=polish.is_quick)).samples):
                yield ready
    if polish is not None and len((rest := polish.feed(Audio(_NOTHING, rate), last=True)).samples):
        yield rest


async def _worked_off(work: Callable[[Audio], Audio], audio: Audio, *, quick: bool = True) -> Audio:
    """Work on a piece, off the event loop unless it is `quick` work on a short one: a thread would take longer to wake up."""
    return work(audio) if quick and audio.seconds < _SHORT_S else await asyncio.to_thread(work, audio)


def _factor(db: float) -> float:
    return float(10.0 ** (db / 20))


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)


def _faded_in(samples: Samples, length: int) -> Samples:
    samples[:length] *= np.linspace(0.0, 1.0, length, dtype=np.float32)[: len(samples)]
    return samples
