"""Speech that another engine understands: ten sentences spoken by each real synthesiser, heard back by Whisper base."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import jiwer
import pytest

from benchmarks import tts_voices
from open_speech.audio import concat, resample
from open_speech.backends import STT_RATE, Setup, SpeechOptions, Synthesizer, TranscribeOptions
from open_speech.text.chunking import pieces
from open_speech.text.cleanup import speakable
from open_speech.transcript import Segment
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.kokoro import Kokoro
from runners.piper import Piper

MAX_WER = 0.10
SENTENCES = (
    "The birch canoe slid on the smooth planks, and a large size in stockings is hard to sell.",
    "Please schedule a meeting with Dr. Johnson on Thursday morning.",
    "Our weather forecast predicts heavy rain and strong winds over the mountains.",
    "She wrote to her brother every week, but nobody knows why.",
    "Could you tell me how far it is to the nearest railway station?",
    "Artificial intelligence changes the way people learn, work and communicate.",
    "The judge enjoyed a joyful voyage around the royal town house!",
    "My brother's garden has many yellow flowers and a lonely oak tree.",
    "Nobody expected the kettle to whistle in the middle of the battle.",
    "**Thank you** for calling; your request will be answered within two hours. 🙂",
)
ENTRIES = {model.id: model for model in catalog.models()}


@pytest.fixture(scope="module")
def ear(model_folder: Callable[[str], Path]) -> FasterWhisper:
    name = "Systran/faster-whisper-base"
    whisper = FasterWhisper(Setup(ENTRIES[name], model_folder(name), device="cpu", threads=2))
    whisper.load()
    return whisper


def words_of(text: str) -> str:
    plain = re.sub(r"[^\w\s']", " ", speakable(text).lower().replace("’", "'"))
    return " ".join(plain.replace("dr ", "doctor ").split())


@pytest.mark.weights
@pytest.mark.parametrize(
    ("backend", "model", "voice"),
    [(Kokoro, "kokoro", "af_heart"), (Kokoro, "kokoro", "am_michael(2)+bm_george"), (Piper, "piper/en_US-joe-medium", "en_US-joe-medium")],
)
def test_what_is_spoken_is_heard_back_with_at_most_ten_percent_word_errors(
    ear: FasterWhisper, model_folder: Callable[[str], Path], backend: type[Synthesizer], model: str, voice: str
) -> None:
    mouth = backend(Setup(ENTRIES[model], model_folder(model), device="cpu", threads=2))
    mouth.load()
    said, heard = [], []
    for sentence in SENTENCES:
        texts = pieces(speakable(sentence), first_chars=80, piece_chars=400)
        parts = [part for text in texts for part in mouth.synthesize(text, SpeechOptions(voice))]
        sound = resample(concat(parts, parts[0].rate), STT_RATE)
        found = ear.transcribe(sound, TranscribeOptions(language="en"))
        said.append(words_of(sentence))
        heard.append(words_of("".join(item.text for item in found if isinstance(item, Segment))))
    errors = jiwer.wer(said, heard)
    different = [pair for pair in zip(said, heard, strict=True) if pair[0] != pair[1]]
    assert errors <= MAX_WER, f"{errors:.1%}: {different}"


@pytest.mark.weights
def test_every_english_voice_of_kokoro_is_understood(ear: FasterWhisper, model_folder: Callable[[str], Path]) -> None:
    mouth = Kokoro(Setup(ENTRIES["kokoro"], model_folder("kokoro"), device="cpu", threads=2))
    mouth.load()
    voices = [voice.id for voice in ENTRIES["kokoro"].voices if voice.language.startswith("en")]
    assert len(voices) == 28
    errors = {}
    for number, voice in enumerate(voices):
        sentence = tts_voices.SENTENCES[number % len(tts_voices.SENTENCES)]
        heard = tts_voices.transcribed(ear, tts_voices.synthesized(mouth, sentence, voice))
        errors[voice] = jiwer.wer(words_of(sentence), words_of(heard))
    assert sum(errors.values()) / len(errors) <= MAX_WER, {voice: wrong for voice, wrong in errors.items() if wrong}


@pytest.mark.weights
@pytest.mark.parametrize("language", sorted(tts_voices.TEXTS))
def test_a_voice_of_another_language_takes_a_sane_time_for_its_own_text(model_folder: Callable[[str], Path], language: str) -> None:
    mouth = Kokoro(Setup(ENTRIES["kokoro"], model_folder("kokoro"), device="cpu", threads=2))
    mouth.load()
    voice = next(voice for voice in ENTRIES["kokoro"].voices if voice.language.partition("-")[0] == language)
    seconds = tts_voices.duration_s(mouth, voice)
    if seconds is None:
        pytest.skip(f"needs open-speech[kokoro-{language}]")
    assert tts_voices.DURATION_S[0] <= seconds <= tts_voices.DURATION_S[1]
