"""The turns of the evaluation: recordings and synthesized lines with pauses at known positions, and dialogues of two voices with noise.

The readers of `wer_corpus.HELD_OUT_READERS` are held out, and every second text: no constant of a turn detector may be chosen by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.dialogue.values import Scene, Turn
from benchmarks.wer_corpus import Base, bases, synthesized
from benchmarks.wer_pauses import paused, with_noise
from benchmarks.wer_texts import Line
from open_speech.audio import Audio
from open_speech.backends import STT_RATE

PAUSES_S = (0.4, 0.8, 1.2, 2.0)
TURNS = 6
"""Turns with pauses in a conversation."""
SNR_DB = 15.0
SPEECH_DB = 30.0
"""Frames that are less than this much quieter than the loudest one belong to the speech."""
FRAME = STT_RATE // 50
KINDS = ("read", "hesitation")
TAIL_S = 0.1
"""Seconds of a clip that are kept after its speech: a pause in the silence after it would be the end of the turn."""
SHORTEST_S = 2.0
"""Shorter clips get no pauses."""
ASKING, ANSWERING = "af_heart", "am_michael"
DIALOGUE = (
    "Could you tell me whether the last train to the coast has left already?",
    "I would like a table for two people, if possible near the window.",
    "What do I have to do when the machine does not start in the morning?",
    "My brother and I are looking for a small house with a garden.",
    "Please explain how the heating in the kitchen works.",
    "How long does it take to get from here to the airport?",
)
"""Turns of a dialogue, spoken by the two voices in turn."""
INTERRUPTIONS = ("Wait, that is not what I meant.", "Stop, please, I have another question.")
BACKCHANNELS = ("Yeah.", "Okay.", "Right.")


def turns(corpora: Sequence[Path], *, quick: bool = False) -> list[Turn]:
    """Return all turns with pauses, at STT_RATE; with `quick` every fourth of them."""
    found = [base for base in bases(corpora, KINDS) if base.name != "beckett"]  # whose sentences are turns of their own
    chosen = found[:: 4 if quick else 1]
    return [turn for number, base in enumerate(chosen) for turn in _paused(base, number)]


def scenes(corpora: Sequence[Path]) -> list[Scene]:
    """Return the scenes of one conversation: recordings with pauses, then the dialogue with noise, whose answers are spoken into."""
    recorded = [turn for turn in turns(corpora) if turn.pauses and turn.audio.seconds < 12]  # noqa: PLR2004 - a conversation stays short
    found = [Scene("turn", turn) for turn in recorded[:: max(1, len(recorded) // TURNS)][:TURNS]]
    asked = list(_dialogue())
    for number, text in enumerate(INTERRUPTIONS):
        found.append(Scene("interruption", asked[number % len(asked)], _said(f"interruption {number}", text, ANSWERING)))
    for number, text in enumerate(BACKCHANNELS):
        found.append(Scene("backchannel", asked[(number + 3) % len(asked)], _said(f"backchannel {number}", text, ASKING)))
    found += [Scene("noise", asked[number + 2], noise(number)) for number in range(2)]
    return found


def noise(seed: int) -> Turn:
    """Return a sound that is no speech: a knock on the table, twice."""
    dice = np.random.default_rng(seed)
    length = round(0.12 * STT_RATE)
    knock = dice.standard_normal(length) * np.exp(-np.arange(length) / (0.02 * STT_RATE))
    gap = np.zeros(round(0.15 * STT_RATE))
    samples = np.concatenate([knock, gap, knock])
    audio = Audio((0.5 * samples / np.abs(samples).max()).astype(np.float32), STT_RATE)
    return Turn(f"noise {seed}", audio, audio.seconds)


def speech_end(audio: Audio) -> float:
    """Return the end of the speech in a clip, in seconds: of the last frame that is not much quieter than the loudest."""
    frames = np.square(audio.samples[: len(audio.samples) // FRAME * FRAME].reshape(-1, FRAME)).mean(axis=1)
    decibels = 10 * np.log10(np.maximum(frames, 1e-9))
    return float((np.flatnonzero(decibels > decibels.max() - SPEECH_DB)[-1] + 1) * FRAME / audio.rate)


def _paused(base: Base, number: int) -> Iterator[Turn]:
    if base.audio.seconds < SHORTEST_S:
        return
    seconds = PAUSES_S[number % len(PAUSES_S)]
    speech = Audio(base.audio.samples[: round((speech_end(base.audio) + TAIL_S) * STT_RATE)], STT_RATE)
    audio, spans = paused(speech, seconds, "word" if number % 3 == 2 else "clause")  # noqa: PLR2004 - a third of the clips
    yield Turn(f"{base.name}, pauses of {seconds:g} s", audio, speech_end(audio), tuple(spans), base.held_out)


def _dialogue() -> Iterator[Turn]:
    for number, text in enumerate(DIALOGUE):
        clean = _said(f"dialogue {number}", text, (ASKING, ANSWERING)[number % 2])
        yield Turn(clean.name, with_noise(clean.audio, SNR_DB, number), clean.end_s, held_out=number % 2 == 1)


def _said(name: str, text: str, voice: str) -> Turn:
    audio = synthesized(Line(voice, text))
    return Turn(name, audio, speech_end(audio))
