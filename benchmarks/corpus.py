"""Speech with known text: the project's clips, those of a shared folder, and those of any folder given on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import soundfile

from benchmarks.clips import clip
from open_speech.audio import Audio, concat, silence, to_pcm16
from open_speech.backends import STT_RATE
from open_speech.codecs import decode

SHARED_CLIPS = Path(__file__).resolve().parent.parent.parent / "shared" / "audio"
"""Further clips, if the checkout has this folder beside it."""
TRANSCRIPTS = "transcripts.tsv"
"""Table in a corpus folder: file name, tab, text. Without it, every recording needs a text file of the same name."""
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
"""The recording in pieces, cut in its pauses: the end of each in seconds, and its text."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording in the format for every contender: 16-bit mono WAV at 16 kHz."""

    name: str
    path: Path
    seconds: float
    text: str
    """The spoken text."""

    @property
    def words(self) -> int:
        """Number of words in the text."""
        return len(plain(self.text).split())


def plain(text: str) -> str:
    """Normalize a text for comparison: lower case, no punctuation, single spaces."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'")).split())


def word_errors(text: str, transcript: str) -> int:
    """Count substituted, missing and added words of a transcript."""
    if not plain(transcript):
        return len(plain(text).split())
    compared = jiwer.process_words(plain(text), plain(transcript))
    return compared.substitutions + compared.deletions + compared.insertions


def collect(folder: Path, named: Sequence[Path] = ()) -> list[Clip]:
    """Write all clips into `folder` and return them; those of SHARED_CLIPS and of `named` are last, each name once.

    Raises FileNotFoundError if a folder of `named` contains no recording with a text.
    """
    clips = {clip.name: clip for clip in _ours(folder)}
    found = texts(SHARED_CLIPS) if SHARED_CLIPS.is_dir() else []
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
    """Build a recording of `minutes` from clips and pauses of 0.5 to 6 s, the same every time."""
    dice = np.random.default_rng(0)
    parts: list[Audio] = []
    spoken_texts: list[str] = []
    while sum(part.seconds for part in parts) < minutes * 60:
        clip = clips[int(dice.integers(len(clips)))]
        parts += [decode(clip.path, STT_RATE, max_seconds=LONGEST_S), silence(float(dice.uniform(0.5, 6)), STT_RATE)]
        spoken_texts.append(clip.text)
    return _write(folder, f"{minutes:g} minutes", concat(parts, STT_RATE), " ".join(spoken_texts))


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
    soundfile.write(path, np.frombuffer(to_pcm16(audio), "<i2"), audio.rate, "PCM_16", format="WAV")


def _write(folder: Path, name: str, audio: Audio, text: str) -> Clip:
    path = folder / f"{name.replace(' ', '-')}.wav"
    write(path, audio)
    return Clip(name, path, audio.seconds, text)
