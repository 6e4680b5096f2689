"""Speech whose words are known: our clips, those of a neighbour folder, and of any folder one names."""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np

from benchmarks.clips import clip
from open_speech import audio as sound
from open_speech.audio import Audio
from open_speech.backends import STT_RATE
from open_speech.codecs import decode

NEIGHBOUR = Path(__file__).resolve().parent.parent.parent / "shared" / "audio"
"""Further clips, where a checkout has them beside it."""
TRANSCRIPTS = "transcripts.tsv"
"""In a corpus folder: file name, tab, text. Without it every recording needs a text file of its name."""
LONGEST_S = 4 * 3600
BECKETT = "ever tried ever failed no matter try again fail again fail better"
TWO_CITIES = (
    (2.89, "it was the best of times"),
    (8.54, "it was the worst of times it was the age of wisdom it was the age of foolishness"),
    (
        16.80,
        "it was the epoch of belief it was the epoch of incredulity it was the season of light it was the season of darkness",
    ),
    (24.37, "it was the spring of hope it was the winter of despair we had everything before us we had nothing before us"),
    (28.55, "we were all going direct to heaven we were all going direct the other way"),
    (
        44.37,
        "in short the period was so far like the present period that some of its noisiest authorities insisted on its being"
        " received for good or for evil in the superlative degree of comparison only",
    ),
)
"""The recording in pieces, cut in its pauses: where each ends, in seconds, and what is said in it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording as every contender gets it: 16-bit mono WAV at 16 kHz."""

    name: str
    path: Path
    seconds: float
    text: str
    """What is said, in plain words."""

    @property
    def words(self) -> int:
        """How many words are said."""
        return len(plain(self.text).split())


def plain(text: str) -> str:
    """Bring a text to what is compared: lower case, no punctuation, single spaces."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'")).split())


def word_errors(said: str, heard: str) -> int:
    """Count substituted, missing and added words."""
    if not plain(heard):
        return len(plain(said).split())
    found = jiwer.process_words(plain(said), plain(heard))
    return found.substitutions + found.deletions + found.insertions


def collect(folder: Path, named: Sequence[Path] = ()) -> list[Clip]:
    """Write every clip there is into `folder`; those of the neighbour folder and of `named` come last, each name once.

    Raises FileNotFoundError if a folder of `named` holds no recording with a text.
    """
    clips = {clip.name: clip for clip in _ours(folder)}
    found = texts(NEIGHBOUR) if NEIGHBOUR.is_dir() else []
    for corpus in named:
        found += texts(corpus)
    for path, text in found:
        if path.stem not in clips:
            clips[path.stem] = _write(folder, path.stem, decode(path, STT_RATE, max_seconds=LONGEST_S), text)
    return list(clips.values())


def texts(folder: Path) -> list[tuple[Path, str]]:
    """List the recordings of a folder with their texts. Raises FileNotFoundError if there is none."""
    table = folder / TRANSCRIPTS
    if table.is_file():
        rows = [line.split("\t", 1) for line in table.read_text(encoding="utf-8").splitlines() if "\t" in line]
        return [(folder / name, text) for name, text in rows]
    beside = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix != ".txt"}
    found = [(beside[path.stem], path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.txt")) if path.stem in beside]
    if not found:
        raise FileNotFoundError(f"{folder}: no {TRANSCRIPTS}, and no .txt beside a recording")
    return found


def long_recording(folder: Path, clips: list[Clip], minutes: float) -> Clip:
    """Make a recording of `minutes` out of clips and pauses of 0.5 to 6 s, the same every time."""
    dice = np.random.default_rng(0)
    parts: list[Audio] = []
    said: list[str] = []
    while sum(part.seconds for part in parts) < minutes * 60:
        clip = clips[int(dice.integers(len(clips)))]
        parts += [decode(clip.path, STT_RATE, max_seconds=LONGEST_S), sound.silence(float(dice.uniform(0.5, 6)), STT_RATE)]
        said.append(clip.text)
    return _write(folder, f"{minutes:g} minutes", sound.concat(parts, STT_RATE), " ".join(said))


def _ours(folder: Path) -> Iterator[Clip]:
    beckett, cities = (decode(clip(name), STT_RATE, max_seconds=60) for name in ("beckett", "two_cities"))
    yield _write(folder, "beckett", beckett, BECKETT)
    start = 0
    for number, (end_s, text) in enumerate(TWO_CITIES, 1):
        end = round(end_s * STT_RATE)
        yield _write(folder, f"two_cities {number}", Audio(cities.samples[start:end], STT_RATE), text)
        start = end
    yield _write(folder, "two_cities", cities, " ".join(text for _, text in TWO_CITIES))


def write(path: Path, audio: Audio) -> None:
    """Write a 16-bit mono WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        file.writeframes(sound.to_pcm16(audio))


def _write(folder: Path, name: str, audio: Audio, text: str) -> Clip:
    path = folder / f"{name.replace(' ', '-')}.wav"
    write(path, audio)
    return Clip(name, path, audio.seconds, text)
