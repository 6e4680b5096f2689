"""The two converters of English to phonemes, for each English voice of Kokoro: word errors of Whisper base in the same sentences."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.clips import model_folder
from benchmarks.corpus import plain, word_errors
from benchmarks.tts_report import markdown
from benchmarks.tts_voices import WHISPER, entry, synthesized, transcribed
from open_speech.backends import Setup
from runners.faster_whisper import FasterWhisper
from runners.kokoro import Kokoro

SENTENCES = (
    "Please send the letter to my sister before the end of the week.",
    "The photographer recorded a record number of economic reports in Massachusetts.",
    "Doctor Johnson will present the present to the engineers on Thursday morning.",
    "Artificial intelligence changes the way people learn, work and communicate.",
    "The weather was so bad that nobody wanted to leave the house.",
    "Seven small boats came back to the beach when it grew dark.",
    "My brother's garden has many yellow flowers and a lonely oak tree.",
    "Nobody expected the kettle to whistle in the middle of the battle.",
    "The judge enjoyed a joyful voyage around the royal town house.",
    "Could you tell me how far it is to the nearest railway station?",
)
QUICK = 4
"""Sentences of each voice in a quick run."""
CONVERTERS = ("espeak", "hibari")


def run(*, only: str = "", quick: bool = False) -> int:
    """Print the word errors of each voice, as soon as it has spoken; return 1 if hibari has more of them in all than espeak-ng, else 0.

    `only` selects voices by the beginnings of their names, separated by commas: a run of all takes half an hour on two cores.
    """
    sentences = SENTENCES[:QUICK] if quick else SENTENCES
    recognizer = FasterWhisper(Setup(entry(WHISPER), model_folder(WHISPER), device="cpu"))
    recognizer.load()
    model = entry("kokoro")
    chosen = tuple(only.split(",")) if only else ("",)
    voices = [voice.id for voice in model.voices if voice.language.startswith("en") and voice.id.startswith(chosen)]
    engines = {name: Kokoro(Setup(model, model_folder("kokoro"), device="cpu", settings={"tts_kokoro_g2p": name})) for name in CONVERTERS}
    for engine in engines.values():
        engine.load()
    rows = []
    for voice in voices:
        wrong = {name: [errors(engine, recognizer, voice, sentence) for sentence in sentences] for name, engine in engines.items()}
        rows.append({name: sum(counts) for name, counts in wrong.items()})
        print(voice, rows[-1], flush=True)
    words = sum(len(plain(sentence).split()) for sentence in sentences)
    total = {name: sum(row[name] for row in rows) for name in CONVERTERS}
    print(table(voices, rows, total, words))
    return int(total["hibari"] > total["espeak"])


def errors(engine: Kokoro, recognizer: FasterWhisper, voice: str, sentence: str) -> int:
    """Return the word errors in a sentence that is spoken and transcribed again."""
    return word_errors(sentence, transcribed(recognizer, synthesized(engine, sentence, voice)))


def table(voices: list[str], rows: list[dict[str, int]], total: Mapping[str, int], words: int) -> str:
    """Return the table of the errors of each voice, of `words` words each, and of all voices."""
    head = ["Voice", *(f"{name}, errors of {words}" for name in CONVERTERS)]
    body = [[voice, *(str(row[name]) for name in CONVERTERS)] for voice, row in zip(voices, rows, strict=True)]
    shares = [f"{total[name]} ({100 * total[name] / (words * len(voices)):.1f} %)" for name in CONVERTERS]
    return markdown(head, [*body, ["all", *shares]])
