"""The recordings of `python -m benchmarks speakers`: a telephone conversation, and readers who take turns, with the true speakers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import clip
from benchmarks.corpus import SHARED_CLIPS
from open_speech import config
from open_speech.backends import STT_RATE, Turn
from open_speech.codecs import decode
from open_speech.model_rows import read_models
from open_speech.weights import Store

FRAME = STT_RATE // 50
LOUD = 0.05
"""Share of the peak from which a frame of a reading counts as speech."""
LEVEL = 0.2
"""Amplitude to which each turn is scaled; 2 % of its samples are louder."""
CUTS_S = (1.0, 7.2, 13.0, 20.0, 27.5, 34.5, 44.0)
"""Seconds at which the reading of A Tale of Two Cities is divided, in its pauses."""

Samples = NDArray[np.float32]
Readers = Mapping[str, Sequence[Samples]]


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio at STT_RATE with the true turns."""

    name: str
    held_out: bool
    """No constant of the live labels was chosen by it."""
    samples: Samples
    turns: Sequence[Turn]


def recordings() -> list[Recording]:
    """Return the recordings that this machine has: those of readers need the shared clips, the telephone call needs a package index."""
    found = [telephone()]
    if not SHARED_CLIPS.is_dir():
        print(f"no dialogs of readers: {SHARED_CLIPS} is missing")
        return found
    readers = {
        "austen": [_samples(path) for path in sorted(SHARED_CLIPS.glob("sense*.wav"))],
        "lj": [_samples(SHARED_CLIPS / "readers/LJ050-0131.wav")],
        **{name: [_samples(path) for path in sorted((SHARED_CLIPS / "readers").glob(f"{name}_*.wav"))] for name in ("spk1", "spk2")},
    }
    whole = _samples(clip("two_cities"))
    readers["dickens"] = [whole[round(start * STT_RATE) : round(end * STT_RATE)] for start, end in zip(CUTS_S, CUTS_S[1:], strict=False)]
    tuned, held = np.random.default_rng(1), np.random.default_rng(7)
    return [
        *found,
        dialog("Dickens and a Harvard reader, short turns", readers, ("dickens", "spk2"), held, turn_s=(0.7, 2.5)),
        dialog("the same readers, turns of 1.5 to 4 s", readers, ("dickens", "spk2"), held, turn_s=(1.5, 4.0)),
        dialog("the same readers, long turns", readers, ("dickens", "spk2"), held, turn_s=(3.0, 8.0)),
        dialog("the same readers, noise at 12 dB", readers, ("dickens", "spk2"), held, turn_s=(1.0, 5.0), snr_db=12.0),
        dialog("the same readers, no pauses between turns", readers, ("dickens", "spk2"), held, turn_s=(1.5, 4.0), pause_s=(0.0, 0.1)),
        dialog("Austen and a Harvard reader, short turns", readers, ("austen", "spk1"), tuned, turn_s=(0.7, 2.5), held_out=False),
        dialog("Austen and a Harvard reader, long turns", readers, ("austen", "spk1"), tuned, turn_s=(2.0, 6.0), held_out=False),
        dialog("Austen and LJ", readers, ("austen", "lj"), tuned, turn_s=(0.7, 2.5), held_out=False),
    ]


def telephone() -> Recording:
    """Return a telephone call of 30 s between two speakers, with overlapping speech; downloaded first if necessary."""
    (row,) = read_models(Path(__file__).parent / "telephone.toml")
    folder = Store(config.load().models_dir.parent).pull(row)
    rows = [line.split() for line in (folder / "sample.rttm").read_text(encoding="utf-8").splitlines() if line.strip()]
    turns = [Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]
    return Recording("a telephone call", held_out=True, samples=_samples(folder / "sample.wav"), turns=turns)


def dialog(  # noqa: PLR0913 - the properties of a dialog
    name: str,
    readers: Readers,
    speakers: Sequence[str],
    random: np.random.Generator,
    *,
    turn_s: tuple[float, float],
    pause_s: tuple[float, float] = (0.1, 0.8),
    snr_db: float | None = None,
    held_out: bool = True,
) -> Recording:
    """Let readers take turns of about `turn_s` seconds, with pauses of `pause_s`, until one has nothing left to say."""
    left = {speaker: list(_parts(readers[speaker], random, *turn_s)) for speaker in speakers}
    audio: list[Samples] = []
    turns: list[Turn] = []
    at, speaker = 0.0, ""
    while left[speaker := random.choice([one for one in speakers if one != speaker])]:
        part = left[speaker].pop(0)
        part = np.asarray(part / np.sort(np.abs(part))[-max(1, len(part) // 50)] * LEVEL, np.float32)
        turns += [Turn(at + start, at + end, speaker) for start, end in loud(part)]
        audio += [part, np.zeros(round(random.uniform(*pause_s) * STT_RATE), np.float32)]
        at = sum(map(len, audio)) / STT_RATE
    samples = np.concatenate(audio)
    if snr_db is not None:
        noise = np.convolve(random.standard_normal(len(samples)), np.ones(8) / 8, "same")
        samples = samples + noise / np.sqrt(np.square(noise).mean()) * np.sqrt(np.square(samples).mean()) * 10 ** (-snr_db / 20)
    return Recording(name, held_out, np.clip(samples, -1.0, 1.0).astype(np.float32), turns)


def loud(samples: Samples) -> list[tuple[float, float]]:
    """Return where a reading is louder than LOUD of its peak, pauses of up to 0.2 s included, in seconds."""
    level = np.sqrt(np.square(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)).mean(axis=1))
    marks = "".join("x" if frame > LOUD * level.max() else "." for frame in level)
    marks = re.sub(r"(?<=x)\.{1,10}(?=x)", lambda pause: "x" * len(pause[0]), marks)
    return [(run.start() * FRAME / STT_RATE, run.end() * FRAME / STT_RATE) for run in re.finditer("x+", marks)]


def _parts(clips: Sequence[Samples], random: np.random.Generator, shortest_s: float, longest_s: float) -> list[Samples]:
    """Divide the clips of a reader at quiet places into parts of random length; parts that are mostly silence are left out."""
    found = []
    for samples in clips:
        at, loudness = 0, float(np.square(samples).mean())
        while at < len(samples) - STT_RATE // 2:
            end = _quiet_end(samples, at, at + int(random.uniform(shortest_s, longest_s) * STT_RATE))
            if np.square(samples[at:end]).mean() > 0.1 * loudness:
                found.append(samples[at:end])
            at = end
    return found


def _quiet_end(samples: Samples, start: int, wanted: int) -> int:
    """Return the quietest place within a quarter of a second of a position; the end, if little would remain after it."""
    if len(samples) - wanted < STT_RATE // 2:
        return len(samples)
    first = max(start, wanted - STT_RATE // 2) + STT_RATE // 4
    near = samples[first : wanted + STT_RATE // 4]
    frames = np.square(near[: len(near) // FRAME * FRAME].reshape(-1, FRAME)).mean(axis=1)
    return first + (int(np.argmin(frames)) * FRAME + FRAME // 2 if len(frames) else 0)


def _samples(path: Path) -> Samples:
    return decode(path, STT_RATE, max_seconds=120).samples
