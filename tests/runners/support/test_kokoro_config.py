import json
from importlib import resources

import pytest

from runners.support.kokoro_config import config, known, vocabulary


def test_every_sign_has_a_number_of_its_own_among_the_rows_of_the_model() -> None:
    numbers = vocabulary().values()
    assert len(set(numbers)) == len(numbers) == 114
    assert min(numbers) > 0  # 0 is the pad at the ends
    assert max(numbers) < config()["n_token"]
    assert all(len(sign) == 1 for sign in vocabulary())


def test_unknown_signs_are_left_out() -> None:
    assert known("həlˈO, ☃g wˈɜɹld. ɡ") == "həlˈO,  wˈɜɹld. ɡ"


def test_it_is_the_configuration_that_kokoro_onnx_ships() -> None:
    pytest.importorskip("kokoro_onnx", reason="needs kokoro-onnx, to compare with")
    assert config() == json.loads(resources.files("kokoro_onnx").joinpath("config.json").read_text(encoding="utf-8"))


def test_the_vocabulary_is_that_of_hibari() -> None:
    pytest.importorskip("hibari", reason="needs open-speech[hibari]")
    assert vocabulary() == json.loads(resources.files("hibari").joinpath("assets/vocab.json").read_text(encoding="utf-8"))
