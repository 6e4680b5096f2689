from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NothingToSpeak, WeightsCorrupt, WeightsUnavailable
from runners import catalog
from runners.hibari import Hibari

pytest.importorskip("hibari", reason="needs open-speech[hibari]")

ENTRY = next(model for model in catalog.models() if model.id == "hibari/heart")
OPTIONS = SpeechOptions("heart")


def opened(folder: Path, model_id: str = "hibari/heart") -> Hibari:
    entry = next(model for model in catalog.models() if model.id == model_id)
    backend = Hibari(Setup(entry, folder, threads=1))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def heart(model_folder: Callable[[str], Path]) -> Hibari:
    return opened(model_folder("hibari/heart"))


def say(backend: Hibari, text: str, options: SpeechOptions = OPTIONS) -> Audio:
    parts = list(backend.synthesize(text, options))
    return concat(parts, parts[0].rate)


def test_a_folder_without_the_voice_names_the_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"hibari\.onnx"):
        opened(tmp_path)


def test_a_broken_voice_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "hibari.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match=r"hibari\.onnx"):
        opened(tmp_path)


def test_every_voice_of_the_package_is_a_row_with_its_hash() -> None:
    from hibari.voices import VOICES

    rows = {model.default_voice: model for model in catalog.models() if model.backend == "hibari"}
    assert rows.keys() == VOICES.keys()
    for name, voice in VOICES.items():
        assert (rows[name].files[0].sha256, rows[name].files[0].size) == (voice["sha256"], voice["bytes"])
        assert (rows[name].voices[0].language, rows[name].voices[0].gender) == (voice["language"], voice["gender"])


@pytest.mark.weights
def test_the_same_text_is_the_same_audio(heart: Hibari) -> None:
    first, second = (say(heart, "The birch canoe slid.").samples for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.weights
@pytest.mark.parametrize("text", ["...", "?!", "👍", "[ ]"])
def test_a_text_without_words_is_refused(heart: Hibari, text: str) -> None:
    with pytest.raises(NothingToSpeak) as refused:
        heart.synthesize(text, OPTIONS)
    assert refused.value.param == "input"


@pytest.mark.weights
def test_sentences_come_one_by_one_each_with_its_pause(heart: Hibari) -> None:
    parts = list(heart.synthesize("Good morning. Is it late, Dr. Smith? Go!", OPTIONS))
    assert len(parts) == 3
    assert all(np.abs(part.samples[-round(0.1 * part.rate) :]).max() < 0.01 for part in parts)


@pytest.mark.weights
def test_a_sentence_longer_than_any_other_is_spoken_whole(heart: Hibari) -> None:
    clause = "the hogs were fed chopped corn and garbage, "
    once, often = (say(heart, clause * times).seconds for times in (1, 20))
    assert often == pytest.approx(20 * once, rel=0.2)
