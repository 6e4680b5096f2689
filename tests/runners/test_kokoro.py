from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat
from open_speech.backends import Setup, SpeechOptions
from open_speech.errors import NotInstalled, UnknownVoice, WeightsCorrupt, WeightsUnavailable
from runners import catalog
from runners.kokoro import RATE, VOICE_SHAPE, Kokoro, parse_blend

pytest.importorskip("kokoro_onnx", reason="needs open-speech[kokoro]")

ENTRY = next(model for model in catalog.models() if model.id == "kokoro")


@pytest.fixture(scope="module")
def kokoro(model_folder: Callable[[str], Path]) -> Kokoro:
    backend = Kokoro(Setup(ENTRY, model_folder("kokoro"), threads=2))
    backend.load()
    return backend


def say(kokoro: Kokoro, text: str, voice: str = "af_heart", **options: object) -> Audio:
    return concat(kokoro.synthesize(text, replace(SpeechOptions(voice), **options)), RATE)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("af_heart", [("af_heart", 1.0)]),
        ("af_bella(2)+af_sky(1)", [("af_bella", 2.0), ("af_sky", 1.0)]),
        ("af_bella + af_sky(0.5)", [("af_bella", 1.0), ("af_sky", 0.5)]),
    ],
)
def test_a_blend_is_names_with_weights(written: str, expected: list[tuple[str, float]]) -> None:
    assert parse_blend(written) == expected


@pytest.mark.parametrize("written", ["", "+", "af_bella+", "af_bella(-1)", "af_bella(0)", "af_bella(2", "../x", "a+" * 8 + "a", "a(99999)"])
def test_what_is_no_blend_is_an_unknown_voice(written: str) -> None:
    with pytest.raises(UnknownVoice) as refused:
        parse_blend(written)
    assert refused.value.param == "voice"


def test_a_folder_without_the_model_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"kokoro-v1\.0\.int8\.onnx"):
        Kokoro(Setup(ENTRY, tmp_path)).load()


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kokoro-v1.0.int8.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsCorrupt, match=r"kokoro-v1\.0\.int8\.onnx"):
        Kokoro(Setup(ENTRY, tmp_path)).load()


@pytest.mark.weights
def test_a_blend_is_the_weighted_mean_of_its_voices(kokoro: Kokoro, model_folder: Callable[[str], Path]) -> None:
    files = [model_folder("kokoro") / "voices" / f"{name}.bin" for name in ("af_bella", "af_sky")]
    bella, sky = (np.fromfile(file, "<f4").reshape(VOICE_SHAPE) for file in files)
    np.testing.assert_allclose(kokoro._style(parse_blend("af_bella(2)+af_sky")), (2 * bella + sky) / 3, atol=1e-6)


@pytest.mark.weights
def test_a_blend_sounds_and_differs_from_its_voices(kokoro: Kokoro) -> None:
    blend, alone = say(kokoro, "Good morning.", "af_bella+bm_george"), say(kokoro, "Good morning.", "af_bella")
    assert blend.seconds > 0.5
    assert not np.array_equal(blend.samples[:10_000], alone.samples[:10_000])


@pytest.mark.weights
def test_one_voice_given_its_own_weight_is_itself(kokoro: Kokoro) -> None:
    np.testing.assert_array_equal(say(kokoro, "Yes.", "af_sky(3)").samples, say(kokoro, "Yes.", "af_sky").samples)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("bf_emma", "Good morning."),
        ("ef_dora", "Buenos días."),
        ("ff_siwis", "Bonjour."),
        ("hf_alpha", "नमस्ते।"),
        ("if_sara", "Buongiorno."),
        ("pf_dora", "Bom dia."),
    ],
)
def test_each_voice_speaks_the_language_of_its_prefix(kokoro: Kokoro, voice: str, text: str) -> None:
    assert 0.4 < say(kokoro, text, voice).seconds < 4.0


@pytest.mark.weights
def test_a_voice_may_read_another_language(kokoro: Kokoro) -> None:
    french, english = say(kokoro, "Des six chaises.", language="fr"), say(kokoro, "Des six chaises.")
    assert not np.array_equal(french.samples, english.samples)


@pytest.mark.weights
@pytest.mark.parametrize(("voice", "extra"), [("jf_alpha", "kokoro-ja"), ("zf_xiaobei", "kokoro-zh")])
def test_japanese_and_chinese_speak_or_name_their_extra(kokoro: Kokoro, voice: str, extra: str) -> None:
    try:
        assert say(kokoro, "你好世界", voice).seconds > 0.5
    except NotInstalled as missing:
        assert extra in missing.message


@pytest.mark.weights
def test_a_text_longer_than_the_models_context_comes_in_parts(kokoro: Kokoro) -> None:
    parts = list(kokoro.synthesize("word " * 130, SpeechOptions("af_heart", speed=2.0)))
    assert len(parts) == 2
    assert sum(part.seconds for part in parts) > 15


@pytest.mark.weights
def test_an_unbroken_run_of_letters_is_spoken(kokoro: Kokoro) -> None:
    assert say(kokoro, "a" * 600, speed=2.0).seconds > 5
