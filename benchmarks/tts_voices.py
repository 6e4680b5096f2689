"""A check of every voice: Whisper understands each English voice, and voices of other languages have a plausible speed."""

from __future__ import annotations

import time

from benchmarks.clips import model_folder
from benchmarks.corpus import plain, word_errors
from benchmarks.tts import PIPER
from benchmarks.tts_report import markdown
from open_speech.audio import Audio, concat, resample
from open_speech.backends import STT_RATE, ModelEntry, Setup, SpeechOptions, Synthesizer, TranscribeOptions, Voice
from open_speech.errors import NotInstalled
from open_speech.transcript import Segment
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.kokoro import Kokoro
from runners.piper import Piper

WHISPER = "Systran/faster-whisper-base"
SENTENCES = (
    "The weather was so bad that nobody wanted to leave the house.",
    "Please send the letter to my sister before the end of the week.",
    "Seven small boats came back to the beach when it grew dark.",
)
TEXTS = {
    "es": "Mañana por la mañana iremos juntos al mercado para comprar pan, fruta y un poco de queso.",
    "fr": "Demain matin, nous irons ensemble au marché pour acheter du pain, des fruits et un peu de fromage.",
    "hi": "कल सुबह हम सब मिलकर बाज़ार जाएँगे और रोटी, फल और थोड़ा पनीर ख़रीदेंगे।",
    "it": "Domani mattina andremo insieme al mercato per comprare del pane, della frutta e un po' di formaggio.",
    "ja": "明日の朝、みんなで市場へ行って、パンと果物とチーズを少し買います。",
    "pt": "Amanhã de manhã vamos juntos ao mercado para comprar pão, fruta e um pouco de queijo.",
    "zh": "明天早上我们一起去市场买面包、水果和一点奶酪。",
}
"""The same sentence in each language: about five seconds of speech."""
DURATION_S = (2.5, 9.0)
"""Plausible range of the length of speech of these texts, in seconds."""


def run() -> int:
    """Print the tables; return 1 if English is not understood, or speech in another language is too short or too long."""
    recognizer = FasterWhisper(Setup(entry(WHISPER), model_folder(WHISPER), device="cpu"))
    recognizer.load()
    synthesizers = {name: loaded(backend, name) for name, backend in (("kokoro", Kokoro), (PIPER, Piper))}
    english = [(name, voice) for name in synthesizers for voice in entry(name).voices if voice.language.startswith("en")]
    rows, wrong = [], []
    for name, voice in english:
        started = time.perf_counter()
        clips = [synthesized(synthesizers[name], sentence, voice.id) for sentence in SENTENCES]
        took = time.perf_counter() - started
        errors = [
            word_errors(text, transcribed(recognizer, audio)) / len(plain(text).split())
            for text, audio in zip(SENTENCES, clips, strict=True)
        ]
        wrong.append(sum(errors) / len(errors))
        rows.append([voice.id, f"{100 * wrong[-1]:.1f}", f"{sum(audio.seconds for audio in clips):.1f}", f"{took:.1f}"])
    average = sum(wrong) / len(wrong)
    print(markdown(["English voice", "word errors, %", "audio, s", "made in, s"], [*rows, ["all", f"{100 * average:.1f}", "", ""]]))
    others = [voice for voice in entry("kokoro").voices if not voice.language.startswith("en")]
    durations = {voice.id: duration_s(synthesizers["kokoro"], voice) for voice in others}
    print(markdown(["other voice", "audio, s"], [[name, "not installed" if s is None else f"{s:.1f}"] for name, s in durations.items()]))
    plausible = all(s is None or DURATION_S[0] <= s <= DURATION_S[1] for s in durations.values())
    return 0 if average <= 0.10 and plausible else 1


def entry(model: str) -> ModelEntry:
    """Return a model of the catalog."""
    return next(each for each in catalog.models() if each.id == model)


def loaded(backend: type[Synthesizer], model: str) -> Synthesizer:
    """Load a synthesizer on the CPU."""
    synthesizer = backend(Setup(entry(model), model_folder(model), device="cpu"))
    synthesizer.load()
    return synthesizer


def synthesized(synthesizer: Synthesizer, text: str, voice: str) -> Audio:
    """Synthesize a sentence."""
    parts = list(synthesizer.synthesize(text, SpeechOptions(voice)))
    return concat(parts, parts[0].rate)


def transcribed(recognizer: FasterWhisper, audio: Audio) -> str:
    """Transcribe English speech."""
    items = recognizer.transcribe(resample(audio, STT_RATE), TranscribeOptions(language="en"))
    return "".join(item.text for item in items if isinstance(item, Segment))


def duration_s(synthesizer: Synthesizer, voice: Voice) -> float | None:
    """Return the length of a voice's speech of the text in its language, in seconds; None if a package that it needs is missing."""
    try:
        return synthesized(synthesizer, TEXTS[voice.language.partition("-")[0]], voice.id).seconds
    except NotInstalled:
        return None
