"""Speech with pauses, repeated sentences, lone words and changing languages, through the file path and the live path on real weights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus import plain, word_errors
from benchmarks.wer_pauses import with_pauses
from open_speech import config
from open_speech.audio import Audio, concat, resample, silence
from open_speech.backends import STT_RATE, Setup, SpeechOptions, TranscribeOptions
from open_speech.codecs import decode, wav_bytes
from open_speech.engine import Engine
from open_speech.recognition.live.utterance import Utterance
from open_speech.recognition.request import RecognitionRequest
from open_speech.transcript import Transcript
from runners import catalog
from runners.kokoro import Kokoro
from runners.piper import Piper
from runners.wiring.engine import local_engine

pytestmark = pytest.mark.weights

DATA = Path(__file__).parent / "data"
PIPER = "piper/en_US-joe-medium"
ENGLISH = TranscribeOptions(language="en")
Say = Callable[[str, str], Audio]


@pytest.fixture(scope="module")
def engine(default_weights: None) -> Engine:
    return local_engine(config.load({"OS_OFFLINE": "true", "TTS_ENABLED": "false"}))


@pytest.fixture(scope="module")
def say(default_weights: None, model_folder: Callable[[str], Path]) -> Say:
    """Speak a text with a voice of Kokoro, or of Piper, at STT_RATE."""
    entries = {model.id: model for model in catalog.models()}
    kokoro = Kokoro(Setup(entries["kokoro"], model_folder("kokoro"), device="cpu"))
    piper = Piper(Setup(entries[PIPER], model_folder(PIPER), device="cpu"))
    kokoro.load()
    piper.load()

    def speak(voice: str, text: str) -> Audio:
        parts = list((piper if voice.startswith("en_US") else kokoro).synthesize(text, SpeechOptions(voice)))
        return resample(concat(parts, parts[0].rate), STT_RATE)

    return speak


def read(name: str) -> Audio:
    return decode(DATA / name, STT_RATE, max_seconds=60)


def transcribe(engine: Engine, audio: Audio, options: TranscribeOptions = ENGLISH) -> Transcript:
    return asyncio.run(engine.recognition.transcribe(wav_bytes(audio), RecognitionRequest("whisper-1", options)))


def live(engine: Engine, audio: Audio, options: TranscribeOptions = ENGLISH) -> str:
    async def run() -> str:
        utterance = Utterance(await engine.recognition.recognizer("whisper-1", options))
        for start in range(0, len(audio.samples), STT_RATE // 2):
            utterance.feed(Audio(audio.samples[start : start + STT_RATE // 2], STT_RATE))
            await utterance.room()
        return (await utterance.finish()).text

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("am_michael", "Play music."),
        ("am_michael", "Volume up."),
        ("bf_emma", "Yes, yes, yes."),
        ("af_heart", "Yes, yes, yes."),
        ("af_sky", "Thank you."),
        ("am_adam", "Bye."),
    ],
)
def test_a_command_of_a_few_words_is_written_as_often_as_it_is_spoken(engine: Engine, say: Say, voice: str, text: str) -> None:
    audio = say(voice, text)
    assert plain(transcribe(engine, audio).text) == plain(text)
    assert plain(live(engine, audio)) == plain(text)


PAUSED = {
    "pause_cold_hearted.wav": "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
    "pause_amiable.wav": "Had he married a more amiable woman, he might have been made still more respectable than he was.",
}


@pytest.mark.parametrize("name", PAUSED)
def test_recordings_with_pauses_are_one_sentence_and_the_same_twice(engine: Engine, name: str) -> None:
    first = transcribe(engine, read(name)).text
    assert word_errors(PAUSED[name], first) <= 1, first
    assert sum(first.count(mark) for mark in ".?!") <= 1, first
    assert transcribe(engine, read(name)).text == first
    assert word_errors(PAUSED[name], live(engine, read(name))) <= 1


@pytest.mark.parametrize(
    ("voice", "text", "pause_s"),
    [
        ("af_heart", "When the rain finally stopped, the children ran out into the garden.", 0.7),
        ("am_michael", "She had promised to bring the keys, but the office was locked.", 1.2),
        ("bm_george", "The doctor told him to rest for a week, yet he went back to work.", 2.0),
        ("bf_isabella", "Ask not what your country can do for you, ask what you can do for your country.", 1.2),
        ("en_US-joe-medium", "You should never open that door while the machine is running.", 3.0),
        ("am_fenrir", "We can fix the roof before winter, but only if the weather holds.", 5.0),
    ],
)
def test_a_speaker_who_pauses_is_understood(engine: Engine, say: Say, voice: str, text: str, pause_s: float) -> None:
    audio = with_pauses(say(voice, text), pause_s, "clause")
    heard = transcribe(engine, audio)
    assert word_errors(text, heard.text) <= 1, heard.text
    assert transcribe(engine, audio).text == heard.text
    assert heard.segments[-1].end == pytest.approx(audio.seconds, abs=1.0)


@pytest.mark.parametrize(("name", "phrase"), [("repeat_attention.wav", "london"), ("repeat_fox.wav", "brown fox")])
def test_recordings_of_a_sentence_said_three_times_have_it_three_times(engine: Engine, name: str, phrase: str) -> None:
    assert plain(transcribe(engine, read(name)).text).count(phrase) == 3
    assert plain(live(engine, read(name))).count(phrase) == 3


REPEATED = [
    ("af_bella", "The library closes in ten minutes.", "closes", 3, 0.8),
    ("am_michael", "Please mind the gap between the train and the platform.", "platform", 4, 1.5),
    ("bf_emma", "Dinner is ready, please come downstairs.", "downstairs", 2, 0.5),
    ("en_US-joe-medium", "This is a test of the alarm system.", "alarm", 5, 1.0),
    ("bm_george", "I would like another glass of water.", "water", 3, 0.0),
    ("am_puck", "The second door on the left is closed today.", "second door", 4, 3.0),
]


@pytest.mark.parametrize(("voice", "text", "phrase", "count", "pause_s"), REPEATED)
def test_a_sentence_is_written_as_often_as_it_is_said(  # noqa: PLR0913 - the columns of the table
    engine: Engine, say: Say, voice: str, text: str, phrase: str, count: int, pause_s: float
) -> None:
    said = say(voice, text)
    audio = concat([part for _ in range(count) for part in (said, silence(pause_s, STT_RATE))], STT_RATE)
    assert plain(transcribe(engine, audio).text).count(phrase) == count
    assert plain(live(engine, audio)).count(phrase) == count


ENGLISH_TEXT = "When the rain finally stopped, the children ran out into the garden."
FOREIGN = [
    ("es", "ef_dora", "Mañana por la mañana iremos juntos al mercado para comprar pan, fruta y un poco de queso.", "mercado"),
    ("fr", "ff_siwis", "Demain matin, nous irons ensemble au marché pour acheter du pain, des fruits et un peu de fromage.", "fromage"),
    ("it", "if_sara", "Domani mattina andremo insieme al mercato per comprare del pane, della frutta e un po' di formaggio.", "mercato"),
    ("pt", "pf_dora", "Amanhã de manhã vamos juntos ao mercado para comprar pão, fruta e um pouco de queijo.", "mercado"),
]


@pytest.mark.parametrize(("language", "voice", "text", "word"), FOREIGN)
@pytest.mark.parametrize("pause_s", [1.0, 9.0], ids=["in one window", "in windows of their own"])
def test_a_passage_in_another_language_is_written_in_it(  # noqa: PLR0913 - as above
    engine: Engine, say: Say, language: str, voice: str, text: str, word: str, pause_s: float
) -> None:
    english, foreign = say("af_heart", ENGLISH_TEXT), say(voice, text)
    gap = Audio(np.random.default_rng(0).normal(0, 1e-4, round(pause_s * STT_RATE)).astype(np.float32), STT_RATE)
    heard = transcribe(engine, concat([english, gap, foreign, gap, english], STT_RATE), TranscribeOptions())
    text_of = {code: plain("".join(s.text for s in heard.segments if s.language == code)) for code in ("en", language)}
    assert word in text_of[language]
    assert text_of["en"].count("children ran out") == 2
    assert heard.info.language == "en"


def test_a_given_language_is_not_changed_by_what_is_said(engine: Engine, say: Say) -> None:
    heard = transcribe(engine, concat([say("af_heart", ENGLISH_TEXT), silence(1.0, STT_RATE), say(*FOREIGN[1][1:3])], STT_RATE))
    assert {segment.language for segment in heard.segments} == {"en"}


def test_a_long_prompt_does_not_double_a_sentence(engine: Engine, say: Say) -> None:
    words = np.random.default_rng(0).choice(["lorem", "ipsum", "dolor", "sit", "amet", "quia", "porro"], 1500)
    options = TranscribeOptions(language="en", prompt=" ".join(words))
    heard = transcribe(engine, say("af_heart", ENGLISH_TEXT), options).text
    assert word_errors(ENGLISH_TEXT, heard) <= 2, heard
