"""Written forms synthesized by Kokoro and transcribed by Whisper, to check that the transcript means the same as the written form.

`python -m benchmarks.heard_back` checks 100 rows, sampled with a seed over all kinds, and prints those that differ.
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
    """A written form, its spoken form, and the transcript of its speech."""

    kind: str
    written: str
    spoken_text: str
    transcript: str

    @property
    def agrees(self) -> bool:
        """Whether the transcript means the same as the written form, in any of the ways in which Whisper may write it."""
        return meaning(self.spoken_text) in {meaning(reading) for reading in readings(self.transcript)}


def readings(transcript: str) -> Iterator[str]:
    """Yield possible readings of a transcript: Whisper writes `4-8` for four eight and four to eight, `10.30` for a time, `$5 dollars`."""
    transcript = re.sub(r"\$(?=[^$]*\bdollars?\b)", "", transcript, flags=re.IGNORECASE)
    yield spoken(transcript, "en-US")
    split = re.sub(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)", " ", re.sub(r"(\d)(st|nd|rd|th)\b", r"\1\2", transcript))
    for joint in (" ", " to ", " minus ", " over ", " point ", " dot "):
        parts = re.split(r"(?<=\w)[-–.:/](?=\w)", split)
        yield " ".join(spoken(word, "en-US") for word in joint.join(parts).split())
    yield " ".join(" ".join(spoken(char, "en-US") if char.isdigit() else char for char in word) for word in split.split())
    yield " ".join(spoken(word, "en-US") for word in re.split(r"[-\s]+", transcript))


def meaning(words: str) -> str:
    """Normalize words so that texts of the same meaning are equal: numbers as digits, no punctuation, no articles.

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
    """Convert number words to digits; numbers that do not combine are concatenated."""
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
    """Return every row as (kind, written form, spoken form)."""
    return [(path.stem, *line.split("\t")) for path in sorted(DATA.glob("*.tsv")) for line in path.read_text(encoding="utf-8").splitlines()]  # type: ignore[misc]


def sample(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Sample rows, equally many of each kind."""
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


def speak_and_transcribe(chosen: list[tuple[str, str, str]], kokoro: Kokoro, whisper: FasterWhisper) -> list[Row]:
    """Synthesize and transcribe rows; the written form is processed like any text."""
    found = []
    for kind, written, spoken_text in chosen:
        speech = list(kokoro.synthesize(spoken(written, "en-US"), SpeechOptions(voice=VOICE)))
        audio = resample(concat(speech, speech[0].rate), STT_RATE)
        segments = whisper.transcribe(audio, TranscribeOptions(language="en"))
        transcript = " ".join(item.text.strip() for item in segments if isinstance(item, Segment))
        found.append(Row(kind, written, spoken_text, transcript))
    return found


def engines(folder: Path | None = None) -> tuple[Kokoro, FasterWhisper]:
    """Load Kokoro and Whisper base from the models folder."""
    entries = {model.id: model for model in catalog.models()}
    folder = folder or Path.home() / ".cache" / "open-speech" / "models"
    synthesizer, recognizer = entries["kokoro"], entries["Systran/faster-whisper-base"]
    kokoro = Kokoro(Setup(synthesizer, folder_of(folder, synthesizer.id), device="cpu", threads=2))
    whisper = FasterWhisper(Setup(recognizer, folder_of(folder, recognizer.id), device="cpu", threads=2))
    kokoro.load()
    whisper.load()
    return kokoro, whisper


def folder_of(root: Path, model: str) -> Path:
    """Return the folder of a model."""
    return root / model


def main() -> None:
    """Print the rows whose transcript has another meaning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    found = speak_and_transcribe(sample(given.rows, given.seed), *engines())
    for row in found:
        if not row.agrees:
            print(f"{row.kind}: {row.written}\n  meant {row.spoken_text}\n  heard {row.transcript}")
    print(f"{sum(row.agrees for row in found)} of {len(found)} rows were transcribed as intended")


if __name__ == "__main__":
    main()
