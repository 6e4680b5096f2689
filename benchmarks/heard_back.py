"""Rows of the table of written forms, spoken by Kokoro and transcribed by Whisper: does what is heard mean what is written?

`python -m benchmarks.heard_back` speaks 100 rows, chosen with a seed over all kinds, and prints those that differ.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from open_speech.audio import concat, resample
from open_speech.backends import STT_RATE, Setup, SpeechOptions, TranscribeOptions
from open_speech.text.spoken_form import spoken
from open_speech.transcript import Segment
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.kokoro import Kokoro

SEED, ROWS = 20261128, 100
VOICE = "af_heart"
DATA = Path(__file__).parent.parent / "tests" / "data" / "normalization" / "en"
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {name: value for value, name in enumerate(_ONES)} | {name: 10 * value for value, name in enumerate(_TENS, 2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ALIKE = {"oh": "zero", "o": "zero", "ok": "okay", "vs": "versus", "missus": "mrs", "mister": "mr", "doctor": "dr"}
_DROPPED = {"and", "a", "the"}


@dataclass(frozen=True)
class Row:
    """What is written, what is meant, and what was heard."""

    kind: str
    written: str
    said: str
    heard: str

    @property
    def agrees(self) -> bool:
        """Whether what was heard means what is written, in any of the ways in which Whisper may have written it."""
        return meaning(self.said) in {meaning(way) for way in ways(self.heard)}


def ways(heard: str) -> Iterator[str]:
    """Yield what a transcript may stand for: Whisper writes `4-8` for four eight and four to eight, `10.30` for a time, `$5 dollars`."""
    heard = re.sub(r"\$(?=[^$]*\bdollars?\b)", "", heard, flags=re.IGNORECASE)
    yield spoken(heard, "en-US")
    apart = re.sub(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)", " ", re.sub(r"(\d)(st|nd|rd|th)\b", r"\1\2", heard))
    for joint in (" ", " to ", " minus ", " over ", " point ", " dot "):
        parts = re.split(r"(?<=\w)[-–.:/](?=\w)", apart)
        yield " ".join(spoken(word, "en-US") for word in joint.join(parts).split())
    yield " ".join(" ".join(spoken(char, "en-US") if char.isdigit() else char for char in word) for word in apart.split())
    yield " ".join(spoken(word, "en-US") for word in re.split(r"[-\s]+", heard))


def meaning(words: str) -> str:
    """Write words so that texts of one meaning are alike: numbers as digits, no marks, no articles.

    `nineteen eighty-four`, `one thousand nine hundred eighty-four` and `one nine eight four` are all `1984`.
    """
    tokens = [_ALIKE.get(token, token) for token in re.findall(r"[a-zöø]+", words.lower())]
    out: list[str] = []
    number: list[str] = []
    for token in [*(token for token in tokens if token not in _DROPPED), ""]:
        if token in _SMALL or token == "hundred" or token in _SCALES:
            number.append(token)
            continue
        if number:
            out.append(_digits(number))
            number = []
        out.append(token)
    return "".join(out)


def _digits(words: list[str]) -> str:
    """Write number words as digits; what does not add up is written one after the other."""
    values: list[int] = []
    for word in words:
        last = values[-1] if values else None
        if word in _SCALES and last is not None:
            values[-1] = last * _SCALES[word]
        elif word == "hundred" and last is not None:
            high = last // 1000 * 1000
            values[-1] = high + (last - high) * 100
        elif word in _SMALL:
            value = _SMALL[word]
            fits = last is not None and last % (10 if value < 10 else 100) == 0 and last >= 20
            if fits and last is not None:
                values[-1] = last + value
            else:
                values.append(value)
    return _merged(values)


def _merged(values: list[int]) -> str:
    out: list[int] = []
    for value in values:
        if out and out[-1] >= 1000 and out[-1] % 1000 == 0 and value < 1000 and out[-1] % 10**6 == 0:
            out[-1] += value
        else:
            out.append(value)
    return "".join(map(str, out))


def rows() -> list[tuple[str, str, str]]:
    """Return every row as (kind, written, said)."""
    return [(path.stem, *line.split("\t")) for path in sorted(DATA.glob("*.tsv")) for line in path.read_text(encoding="utf-8").splitlines()]  # type: ignore[misc]


def sample(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Choose rows, as many of each kind as of any other."""
    chance = random.Random(seed)
    kinds: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row in rows():
        kinds[row[0]].append(row)
    for members in kinds.values():
        chance.shuffle(members)
    chosen: list[tuple[str, str, str]] = []
    while len(chosen) < count:
        chosen += [members.pop() for members in kinds.values() if members][: count - len(chosen)]
    return chosen


def transcribe_windows(chosen: list[tuple[str, str, str]], kokoro: Kokoro, whisper: FasterWhisper) -> list[Row]:
    """Speak and transcribe rows; what is written goes the way of any text."""
    found = []
    for kind, written, said in chosen:
        speech = list(kokoro.synthesize(spoken(written, "en-US"), SpeechOptions(voice=VOICE)))
        audio = resample(concat(speech, speech[0].rate), STT_RATE)
        segments = whisper.transcribe(audio, TranscribeOptions(language="en"))
        heard = " ".join(item.text.strip() for item in segments if isinstance(item, Segment))
        found.append(Row(kind, written, said, heard))
    return found


def engines(folder: Path | None = None) -> tuple[Kokoro, FasterWhisper]:
    """Load Kokoro and Whisper base from the folder of pulled models."""
    entries = {model.id: model for model in catalog.models()}
    folder = folder or Path.home() / ".cache" / "open-speech" / "models"
    mouth, ear = entries["kokoro"], entries["Systran/faster-whisper-base"]
    kokoro = Kokoro(Setup(mouth, folder_of(folder, mouth.id), device="cpu", threads=2))
    whisper = FasterWhisper(Setup(ear, folder_of(folder, ear.id), device="cpu", threads=2))
    kokoro.load()
    whisper.load()
    return kokoro, whisper


def folder_of(root: Path, model: str) -> Path:
    """Return the folder of a model."""
    return root / model


def main() -> None:
    """Print the rows that were heard otherwise than meant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    found = transcribe_windows(sample(given.rows, given.seed), *engines())
    for row in found:
        if not row.agrees:
            print(f"{row.kind}: {row.written}\n  meant {row.said}\n  heard {row.heard}")
    print(f"{sum(row.agrees for row in found)} of {len(found)} rows were transcribed as intended")


if __name__ == "__main__":
    main()
