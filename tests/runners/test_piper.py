import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import UnknownVoice, WeightsCorrupt, WeightsUnavailable
from open_speech.text.ipa import marked
from runners import catalog
from runners.piper import Piper, _as_piper_reads
from tests.waiting import PATIENCE_S

pytest.importorskip("piper", reason="needs open-speech[piper]")

ENTRY = next(model for model in catalog.models() if model.id == "piper/en_US-joe-medium")
VOICE = ENTRY.default_voice
PHONEMIZER = """
import sys
from piper.phonemize_espeak import EspeakPhonemizer
print(len(EspeakPhonemizer().phonemize("en-us", sys.argv[1])[0]))
"""


def loaded(folder: Path) -> Piper:
    backend = Piper(Setup(ENTRY, folder, threads=2))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def piper(model_folder: Callable[[str], Path]) -> Piper:
    return loaded(model_folder(ENTRY.id))


@pytest.fixture(scope="module")
def crowd(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Piper:
    """Joe's voice whose settings say that it has three speakers: enough to choose one, not to speak."""
    folder = tmp_path_factory.mktemp("crowd")
    for suffix in (".onnx", ".onnx.json"):
        shutil.copy(model_folder(ENTRY.id) / f"{VOICE}{suffix}", folder)
    settings = folder / f"{VOICE}.onnx.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"num_speakers": 3, "speaker_id_map": {"ann": 0, "bob": 1, "7": 2}}))
    return loaded(folder)


def test_a_folder_without_the_voice_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=VOICE):
        Piper(Setup(ENTRY, tmp_path)).load()


def test_phonemes_stand_in_double_brackets_and_nothing_else_does() -> None:
    assert _as_piper_reads(f"say [[it]] {marked('wɪn tˈu')}]]]") == "say [it] [[wɪn tˈu]]]"


@pytest.mark.weights
def test_phonemes_sound_like_the_word_they_write(piper: Piper) -> None:
    def seconds(text: str) -> float:
        return sum(audio.seconds for audio in piper.synthesize(text, SpeechOptions(VOICE)))

    assert seconds(f"I say {marked('təmˈɑːɾoʊ')} twice.") == pytest.approx(seconds("I say tomato twice."), rel=0.25)


@pytest.mark.weights
@pytest.mark.parametrize("settings", ["", "{}", "[]", '{"num_symbols": 1}'])
def test_broken_settings_are_named(model_folder: Callable[[str], Path], tmp_path: Path, settings: str) -> None:
    shutil.copy(model_folder(ENTRY.id) / f"{VOICE}.onnx", tmp_path)
    (tmp_path / f"{VOICE}.onnx.json").write_text(settings)
    with pytest.raises(WeightsCorrupt, match=r"onnx\.json"):
        Piper(Setup(ENTRY, tmp_path)).load()


@pytest.mark.weights
@pytest.mark.parametrize(("voice", "expected"), [(VOICE, None), (f"{VOICE}#1", 1), (f"{VOICE}#bob", 1), ("bob", 1), (f"{VOICE}#7", 2)])
def test_a_speaker_is_chosen_by_number_or_name(crowd: Piper, voice: str, expected: int | None) -> None:
    assert crowd._speaker(voice) == expected


@pytest.mark.weights
@pytest.mark.parametrize("speaker", ["#3", "#nobody", "#", "#-1", "#²", f"#{'9' * 5000}"])
def test_a_speaker_that_is_not_there_is_an_unknown_voice(crowd: Piper, speaker: str) -> None:
    with pytest.raises(UnknownVoice) as refused:
        crowd.synthesize("hello", SpeechOptions(VOICE + speaker))
    assert refused.value.param == "voice"


@pytest.mark.weights
@pytest.mark.parametrize("voice", ["", "#", "#2", "nobody#1", "nobody"])
def test_a_speaker_of_no_voice_is_an_unknown_voice(crowd: Piper, voice: str) -> None:
    with pytest.raises(UnknownVoice) as refused:
        crowd.synthesize("hello", SpeechOptions(voice))
    assert refused.value.param == "voice"


@pytest.mark.weights
def test_sentences_come_one_by_one_each_with_its_pause(piper: Piper) -> None:
    parts = list(piper.synthesize("Good morning. It is late, is it not? Go!", SpeechOptions(VOICE)))
    assert len(parts) == 3
    assert all(np.abs(part.samples[-round(0.1 * part.rate) :]).max() < 0.01 for part in parts)


@pytest.mark.weights
def test_a_sentence_is_not_blown_up_to_full_scale(piper: Piper) -> None:
    text = "I saw the ship. It was quite a large one. Yes."
    peaks = [np.abs(part.samples).max() for part in piper.synthesize(text, SpeechOptions(VOICE))]
    assert all(0.1 < peak < 0.95 for peak in peaks)


@pytest.mark.weights
def test_double_brackets_are_text_and_no_phonemes(piper: Piper) -> None:
    brackets, plain = (
        sum(part.seconds for part in piper.synthesize(text, SpeechOptions(VOICE))) for text in ("See [[house]] now.", "See house now.")
    )
    assert brackets == pytest.approx(plain, rel=0.4)


@pytest.mark.parametrize("letters", ["a.", "é.", "Ж.", "A.", "a.."])
def test_a_row_of_letters_with_dots_does_not_end_the_process(letters: str) -> None:
    text = _as_piper_reads((letters * 300)[:300])
    done = subprocess.run([sys.executable, "-c", PHONEMIZER, text], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, int(done.stdout or 0) > 100) == (0, True)
