import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corpus import word_errors
from open_speech.audio import Audio, concat
from open_speech.backends import STT_RATE, Setup, SpeechOptions, TranscribeOptions
from open_speech.codecs import decode
from open_speech.errors import NotInstalled, UnknownVoice, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment
from runners import catalog
from runners.faster_whisper import FasterWhisper
from runners.kokoro import RATE, VOICE_SHAPE, Kokoro, parse_blend
from runners.support.g2p import language_for
from runners.support.phoneme_pieces import phoneme_pieces
from tests.waiting import PATIENCE_S

pytest.importorskip("phonemizer", reason="needs open-speech[kokoro]")

ENTRIES = {model.id: model for model in catalog.models()}
ENTRY = ENTRIES["kokoro"]


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


PARAGRAPH = (
    "The birch canoe slid on the smooth planks; glue the sheet to the dark blue background. It is easy to tell the depth of a well, "
    "and these days a chicken leg is a rare dish. Rice is often served in round bowls. "
)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("voice", "text", "speed"),
    [
        ("af_heart", "Good morning. Is it late, Dr. Smith?", 1.0), ("bm_george", PARAGRAPH * 3, 1.3), ("ff_siwis", "Bonjour !", 0.75),
        ("hf_alpha", "नमस्ते।", 1.0), ("af_sky", "a" * 600, 1.0),
    ],
)  # fmt: skip
def test_the_samples_are_those_of_kokoro_onnx(
    kokoro: Kokoro, model_folder: Callable[[str], Path], tmp_path: Path, voice: str, text: str, speed: float
) -> None:
    """It is another code for the same model: its pieces, its numbers for phonemes and its styles are the same."""
    package = pytest.importorskip("kokoro_onnx", reason="needs kokoro-onnx, to compare with")
    chunker = pytest.importorskip("kokoro_onnx.chunker")
    style = np.fromfile(model_folder("kokoro") / "voices" / f"{voice}.bin", "<f4").reshape(VOICE_SHAPE)
    np.savez(tmp_path / "voices.npz", **{voice: style})
    library = package.Kokoro.from_session(kokoro._model._session, str(tmp_path / "voices.npz"))
    phonemes = library.tokenizer.known(kokoro._g2p.phonemes(text, language_for(voice, None)))
    pieces = chunker.split_phonemes(phonemes)
    assert pieces == phoneme_pieces(phonemes)
    for piece in pieces:
        theirs, _ = library.create(piece, style, speed, is_phonemes=True, trim=False)
        np.testing.assert_array_equal(kokoro._model.speak(piece, style, speed), theirs)
    library.voices.close()


SENTENCE = "Please send the letter to my sister before the end of the week."
WITHOUT_ESPEAK = """
import sys
sys.modules.update(dict.fromkeys(("phonemizer", "espeakng_loader", "kokoro_onnx", "piper")))  # None: they are not found
from pathlib import Path
from open_speech.audio import concat
from open_speech.backends import Setup, SpeechOptions
from open_speech.codecs import wav_bytes
from open_speech.errors import NotInstalled
from runners import catalog
from runners.kokoro import RATE, Kokoro
entry = next(model for model in catalog.models() if model.id == "kokoro")
assert catalog.installed(next(backend for backend in catalog.BACKENDS if backend.name == "kokoro"))
kokoro = Kokoro(Setup(entry, Path(sys.argv[1]), device="cpu", threads=2))
kokoro.load()
for voice in ("af_heart", "bf_emma", "af_bella+bm_george"):
    audio = concat(kokoro.synthesize(sys.argv[3], SpeechOptions(voice)), RATE)
    Path(sys.argv[2], voice + ".wav").write_bytes(wav_bytes(audio))
try:
    kokoro.synthesize("Bonjour.", SpeechOptions("ff_siwis"))
except NotInstalled as missing:
    print(missing.param, missing.message)
"""


@pytest.mark.weights
def test_english_is_spoken_without_espeak_and_other_languages_name_the_extra(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="needs open-speech[kokoro-en]")
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_ESPEAK, str(model_folder("kokoro")), str(tmp_path), SENTENCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "language Kokoro needs espeak-ng for the language `fr-fr`: `pip install 'open-speech[kokoro]'`.\n"
    name = "Systran/faster-whisper-base"
    whisper = FasterWhisper(Setup(ENTRIES[name], model_folder(name), device="cpu", threads=2))
    whisper.load()
    for file in tmp_path.glob("*.wav"):
        audio = decode(file, STT_RATE, max_seconds=60)
        items = whisper.transcribe(audio, TranscribeOptions(language="en"))
        heard = "".join(item.text for item in items if isinstance(item, Segment))
        assert word_errors(SENTENCE, heard) <= 1, (file.name, heard)


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
