"""The clips of `python -m benchmarks wer`: recordings and synthesized texts, clean, with pauses, with noise; half of them held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks import tts_voices
from benchmarks.clips import clip
from benchmarks.corpus import LONGEST_S, TWO_CITIES, Clip, texts, write
from benchmarks.wer_pauses import with_noise, with_pauses
from benchmarks.wer_texts import COMMANDS, HESITATIONS, PARAGRAPHS, SENTENCES, Line
from open_speech import config
from open_speech.audio import Audio, resample
from open_speech.backends import STT_RATE
from open_speech.codecs import decode
from runners.kokoro import Kokoro
from runners.piper import Piper

PAUSES_S = (0.3, 0.7, 1.2, 2.0, 3.0)
SNR_DB = 10.0
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
HELD_OUT_READERS = ("two_cities", "LJ050", "spk2")
"""Prefixes of recordings that are held out, as is every second text. No constant of the recognizer was chosen by them."""
PIPER = "piper/en_US-joe-medium"


@dataclass(frozen=True, slots=True)
class Base:
    """An unmodified clip."""

    name: str
    kind: str
    """`read`, `paragraph`, `hesitation` or `command`."""
    audio: Audio
    """Audio at STT_RATE."""
    text: str
    held_out: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table: a modification of some kinds of clips."""

    name: str
    kinds: tuple[str, ...]
    change: Callable[[Base, int], Audio]


def folder() -> Path:
    """Return the folder in which clips and the results of the library are stored between runs."""
    path = config.load().models_dir.parent / "benchmarks" / "wer"
    path.mkdir(parents=True, exist_ok=True)
    return path


def cells() -> list[Cell]:
    """List the rows of the table."""
    long = ("read", "paragraph")

    def paused(seconds: float) -> Callable[[Base, int], Audio]:
        return lambda base, number: with_pauses(base.audio, seconds, "word" if number % 3 == 2 else "clause")

    def noisy(seconds: float) -> Callable[[Base, int], Audio]:
        return lambda base, number: with_noise(paused(seconds)(base, number) if seconds else base.audio, SNR_DB, number)

    return [
        Cell("clean", long, lambda base, _: base.audio),
        *(Cell(f"pauses {seconds:g} s", long, paused(seconds)) for seconds in PAUSES_S),
        Cell("noise", long, noisy(0)),
        Cell("noise, pauses 1.2 s", long, noisy(1.2)),
        Cell("hesitations", ("hesitation",), lambda base, _: base.audio),
        Cell("hesitations, pauses 1.2 s", ("hesitation",), paused(1.2)),
        Cell("commands", ("command",), lambda base, _: base.audio),
    ]


KINDS = ("read", "paragraph", "hesitation", "command")
"""Kinds of texts that are synthesized."""


def bases(corpora: Sequence[Path], kinds: Collection[str] = KINDS) -> list[Base]:
    """Synthesize or read every unmodified clip: the project's own recordings, those of `corpora`, and the texts of some kinds."""
    found = [*_recordings(corpora)]
    for kind, lines in zip(KINDS, (SENTENCES, PARAGRAPHS, HESITATIONS, COMMANDS), strict=True):
        for number, line in enumerate(lines if kind in kinds else ()):
            found.append(Base(f"{kind} {number} {line.voice}", kind, synthesized(line), line.text, held_out=number % 2 == 1))
    return found


def clips(cell: Cell, found: Iterable[Base]) -> list[Clip]:
    """Return the clips of one row; they are written unless they exist."""
    chosen = [base for base in found if base.kind in cell.kinds]
    return [_written(f"{cell.name} {base.name}", cell.change(base, number), base.text) for number, base in enumerate(chosen)]


def synthesized(line: Line) -> Audio:
    """Return the speech of a line, which is synthesized at its first use and stored."""
    path = folder() / f"said-{hashlib.sha1(repr(line).encode()).hexdigest()[:16]}.wav"
    if not path.is_file():
        name = PIPER if line.voice == "piper" else "kokoro"
        entry = tts_voices.entry(name)
        voice = entry.voices[0].id if line.voice == "piper" else line.voice
        write(path, resample(tts_voices.synthesized(_synthesizer(name), line.text, voice), STT_RATE))
    return decode(path, STT_RATE, max_seconds=LONGEST_S)


@cache
def _synthesizer(name: str) -> Kokoro | Piper:
    synthesizer = tts_voices.loaded(Piper if name == PIPER else Kokoro, name)
    assert isinstance(synthesizer, Kokoro | Piper)
    return synthesizer


def _recordings(corpora: Sequence[Path]) -> Iterator[Base]:
    beckett, cities = (decode(clip(name), STT_RATE, max_seconds=60) for name in ("beckett", "two_cities"))
    yield _recording("beckett", beckett, BECKETT)
    start = 0
    for number, (end_s, text) in enumerate(TWO_CITIES, 1):
        end = round(end_s * STT_RATE)
        yield _recording(f"two_cities {number}", Audio(cities.samples[start:end], STT_RATE), text)
        start = end
    for corpus in corpora:
        for path, text in texts(corpus):
            yield _recording(path.stem[-16:], decode(path, STT_RATE, max_seconds=LONGEST_S), text)


def _recording(name: str, audio: Audio, text: str) -> Base:
    return Base(name, "read", audio, text, name.startswith(HELD_OUT_READERS))


def _written(name: str, audio: Audio, text: str) -> Clip:
    key = hashlib.sha1(audio.samples.tobytes()).hexdigest()[:16]
    path = folder() / f"clip-{key}.wav"
    if not path.is_file():
        write(path, audio)
    return Clip(name, path, audio.seconds, text)
