"""Every voice heard back: what each English voice says is understood by Whisper, and voices of other languages speak at a sane pace."""

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
"""The same in each language: some five seconds of speech."""
PACE_S = (2.5, 9.0)
"""Within which a voice of any language takes for its text."""


def run() -> int:
    """Print the tables; 1 if English is not understood, or another language is too short or too long."""
    ear = FasterWhisper(Setup(entry(WHISPER), model_folder(WHISPER), device="cpu"))
    ear.load()
    mouths = {name: loaded(backend, name) for name, backend in (("kokoro", Kokoro), (PIPER, Piper))}
    english = [(name, voice) for name in mouths for voice in entry(name).voices if voice.language.startswith("en")]
    rows, wrong = [], []
    for name, voice in english:
        started = time.perf_counter()
        sounds = [said(mouths[name], sentence, voice.id) for sentence in SENTENCES]
        took = time.perf_counter() - started
        errors = [word_errors(text, heard(ear, sound)) / len(plain(text).split()) for text, sound in zip(SENTENCES, sounds, strict=True)]
        wrong.append(sum(errors) / len(errors))
        rows.append([voice.id, f"{100 * wrong[-1]:.1f}", f"{sum(sound.seconds for sound in sounds):.1f}", f"{took:.1f}"])
    average = sum(wrong) / len(wrong)
    print(markdown(["English voice", "word errors, %", "audio, s", "made in, s"], [*rows, ["all", f"{100 * average:.1f}", "", ""]]))
    paces = {voice.id: pace(mouths["kokoro"], voice) for voice in entry("kokoro").voices if not voice.language.startswith("en")}
    print(markdown(["other voice", "audio, s"], [[name, "not installed" if s is None else f"{s:.1f}"] for name, s in paces.items()]))
    sane = all(s is None or PACE_S[0] <= s <= PACE_S[1] for s in paces.values())
    return 0 if average <= 0.10 and sane else 1


def entry(model: str) -> ModelEntry:
    """Find a model of the catalog."""
    return next(each for each in catalog.models() if each.id == model)


def loaded(backend: type[Synthesizer], model: str) -> Synthesizer:
    """Load a synthesiser on the CPU."""
    mouth = backend(Setup(entry(model), model_folder(model), device="cpu"))
    mouth.load()
    return mouth


def said(mouth: Synthesizer, text: str, voice: str) -> Audio:
    """Speak a sentence."""
    parts = list(mouth.synthesize(text, SpeechOptions(voice)))
    return concat(parts, parts[0].rate)


def heard(ear: FasterWhisper, sound: Audio) -> str:
    """Write down English speech."""
    found = ear.transcribe(resample(sound, STT_RATE), TranscribeOptions(language="en"))
    return "".join(item.text for item in found if isinstance(item, Segment))


def pace(mouth: Synthesizer, voice: Voice) -> float | None:
    """Tell how many seconds a voice takes for the text of its language; None if what it needs is not installed."""
    try:
        return said(mouth, TEXTS[voice.language.partition("-")[0]], voice.id).seconds
    except NotInstalled:
        return None
