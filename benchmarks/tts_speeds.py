"""Intelligibility of speech at each speed, and its real speed: `python -m benchmarks tts-speeds`.

Within a range the model itself changes its speed, beyond it the audio is stretched; faster-whisper transcribes the result. The first
half of the voices and texts is used to choose the range, the second half only to check it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace

from jiwer import process_words

from open_speech import config
from open_speech.audio import Audio, concat
from open_speech.backends import TranscribeOptions
from open_speech.codecs import wav_bytes
from open_speech.engine import Engine
from open_speech.recognition.request import RecognitionRequest
from open_speech.synthesis.plan import SynthesisRequest
from runners.wiring.engine import local_engine

SPEEDS = (0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0)
TEXTS = (
    "Please bring the green umbrella, because it might rain before we reach the station tonight. After that we will walk along the river, "
    "and then we can decide whether the old bridge or the new one is better. My brother thinks that the new one is ugly.",
    "Whoever wrote this letter did not want to be found. The paper is thin, the ink is pale, and every word was chosen with great care. "
    "I have read it seven times, and each time I notice something that I had missed before.",
)
VOICES = {
    "kokoro": (("af_heart", "am_michael"), ("bf_emma", "af_nicole")),
    "piper": (("en_US-joe-medium",), ("en_US-joe-medium",)),
    "hibari": (("heart",), ("heart",)),
}

REQUEST = RecognitionRequest("whisper-1", TranscribeOptions(language="en"))


async def speak(engine: Engine, model: str, voice: str, text: str, speed: float) -> Audio:
    """Synthesize a text, with silence trimmed and loudness normalized as in the server."""
    speech = await engine.synthesis.speak(SynthesisRequest(model, text, voice=voice, speed=speed))
    async with aclosing(speech):
        return concat([piece async for piece in speech], speech.rate)


async def measured(engine: Engine, model: str, cases: Iterable[tuple[str, str]], speed: float) -> tuple[int, int, float]:
    """Return the number of word errors, the number of words, and the seconds of audio of all cases at one speed."""
    errors = words = 0
    seconds = 0.0
    for voice, text in cases:
        audio = await speak(engine, model, voice, text, speed)
        seconds += audio.seconds
        transcript = await engine.recognition.transcribe(wav_bytes(audio), REQUEST)
        compared = process_words(_plain(text), _plain(transcript.text))
        errors += compared.substitutions + compared.deletions + compared.insertions
        words += len(text.split())
    return errors, words, seconds


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ")


async def compare(ranges: dict[str, tuple[float, float]], model: str, backend: str) -> None:
    """Print a table: for each range of the model's own speed, word errors and real speed at each requested speed."""
    for place, kind in enumerate(("tuning", "check")):
        cases = [(voice, TEXTS[place]) for voice in VOICES[backend][place]]
        for name, speed_range in ranges.items():
            engine = local_engine(config.load())
            entry = engine.registry.backends[backend]
            engine.registry.backends[backend] = replace(entry, speed_range=speed_range)
            _, _, usual = await measured(engine, model, cases, 1.0)
            for speed in SPEEDS:
                errors, words, seconds = await measured(engine, model, cases, speed)
                print(f"| {kind} | {backend} | {name} | {speed} | {errors} of {words} | {usual / seconds:.2f} |", flush=True)


def main() -> None:
    """Measure Kokoro, Piper and hibari with only their own speed, with the range in the catalog, and with stretching alone."""
    print("| data | backend | model's own speed | asked for | word errors | real speed |\n|---|---|---|---|---|---|")
    for backend, model, widest in (
        ("kokoro", "kokoro", (0.5, 2.0)),
        ("piper", "piper/en_US-joe-medium", (0.25, 4.0)),
        ("hibari", "hibari/heart", (0.5, 2.0)),
    ):
        chosen = local_engine(config.load()).registry.backends[backend].speed_range
        ranges = {f"{low} to {high}": (low, high) for low, high in dict.fromkeys((widest, chosen, (1.0, 1.0)))}
        asyncio.run(compare(ranges, model, backend))
