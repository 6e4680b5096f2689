"""Moonshine's own ways, on the real weights: batches, loops and guesses, what it refuses, files that are broken."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, Setup, TranscribeOptions, Window, WindowResult
from open_speech.codecs import decode
from open_speech.errors import BackendFailed, SpeechError, UnsupportedLanguage, WeightsCorrupt, WeightsUnavailable
from open_speech.testing.clips import TWO_CITIES
from open_speech.testing.words import words as words_of
from open_speech.transcript import Segment, TranscriptInfo
from runners import catalog
from runners.moonshine import WINDOW_S, Moonshine
from runners.support.moonshine_model import MoonshineModel

ENTRIES = {model.id: model for model in catalog.models() if model.backend == "moonshine"}
TINY = ENTRIES["moonshine/tiny"]
PLAIN = TranscribeOptions()
FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")


@pytest.fixture(scope="module", params=ENTRIES)
def moonshine(request: pytest.FixtureRequest, model_folder: Callable[[str], Path]) -> Moonshine:
    """Tiny, which is told where a padded clip ends, and base, which is not."""
    backend = Moonshine(Setup(ENTRIES[request.param], model_folder(request.param), threads=2))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def beckett(speech_clips: dict[str, Path]) -> Audio:
    return decode(speech_clips["beckett"], STT_RATE, max_seconds=60)


@pytest.fixture(scope="module")
def reading(speech_clips: dict[str, Path]) -> Audio:
    return decode(speech_clips["two_cities"], STT_RATE, max_seconds=60)


def part(audio: Audio, start: float, end: float) -> Audio:
    return Audio(audio.samples[round(start * STT_RATE) : round(end * STT_RATE)], STT_RATE)


def text(heard: WindowResult | SpeechError) -> str:
    assert isinstance(heard, WindowResult), heard
    return "".join(segment.text for segment in heard.segments)


def words(heard: WindowResult | SpeechError) -> list[str]:
    """The words alone: base sets a comma more or less when a clip is padded."""
    return re.findall(r"[\w']+", text(heard).lower())


def test_before_it_is_loaded_it_says_so() -> None:
    with pytest.raises(BackendFailed):
        Moonshine(Setup(TINY, Path())).transcribe(silence(1.0, STT_RATE), PLAIN)


def test_a_folder_without_the_model_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="tokenizer"):
        Moonshine(Setup(TINY, tmp_path)).load()


@pytest.mark.weights
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("data", [b"", b"junk" * 5])
def test_a_broken_file_is_named(model_folder: Callable[[str], Path], tmp_path: Path, name: str, data: bytes) -> None:
    for file in FILES:
        shutil.copy(model_folder(TINY.id) / file, tmp_path)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsCorrupt, match=name):
        Moonshine(Setup(TINY, tmp_path)).load()


@pytest.mark.weights
def test_clips_heard_together_say_the_words_that_each_says_alone(moonshine: Moonshine, beckett: Audio, reading: Audio) -> None:
    clips = [part(beckett, 0.0, 5.9), part(reading, 17.3, 20.8), part(reading, 21.0, 28.7)]
    alone = [words(moonshine.transcribe_windows([Window(clip, PLAIN)])[0]) for clip in clips]
    assert all(alone)
    assert [words(heard) for heard in moonshine.transcribe_windows([Window(clip, PLAIN) for clip in clips])] == alone


@pytest.mark.weights
def test_what_is_wrong_with_one_window_is_its_own_result(moonshine: Moonshine, beckett: Audio) -> None:
    wrong = [
        TranscribeOptions(language="de"),
        TranscribeOptions(languages=("de", "fr")),
    ]
    results = moonshine.transcribe_windows([Window(beckett, options) for options in (*wrong, PLAIN)])
    refused = [(type(error), error.param) for error in results if isinstance(error, SpeechError)]
    assert refused == [
        (UnsupportedLanguage, "language"),
        (UnsupportedLanguage, "languages"),
    ]
    assert "Try again" in text(results[-1]).replace("try", "Try")


@pytest.mark.weights
def test_no_window_is_no_work_and_silence_is_no_speech(moonshine: Moonshine, beckett: Audio) -> None:
    assert moonshine.transcribe_windows([]) == []
    quiet = [silence(1.0, STT_RATE), silence(0.0, STT_RATE), part(beckett, 2.0, 2.05), Audio(np.zeros(100, np.float32), STT_RATE)]
    assert moonshine.transcribe_windows([Window(audio, PLAIN) for audio in quiet]) == [WindowResult("en", 1.0)] * 4
    assert moonshine.transcribe_windows([Window(beckett, TranscribeOptions(detect_only=True))]) == [WindowResult("en", 1.0)]


@pytest.mark.weights
@pytest.mark.parametrize("level", [0.001, 0.01, 0.1])
def test_noise_and_tones_are_not_guessed_at(moonshine: Moonshine, level: float) -> None:
    random, at = np.random.default_rng(1), np.arange(3 * STT_RATE)
    sounds = [random.normal(0, level, len(at)), random.normal(0, level, STT_RATE), level * np.sin(at * 0.17), 0 * at + level]
    windows = [Window(Audio(sound.astype(np.float32), STT_RATE), PLAIN) for sound in sounds]
    assert [text(heard) for heard in moonshine.transcribe_windows(windows)] == [""] * len(sounds)


@pytest.mark.weights
def test_speech_in_noise_is_no_guess(moonshine: Moonshine, beckett: Audio) -> None:
    noise = np.random.default_rng(2).normal(0, float(np.sqrt(np.mean(beckett.samples**2))) / 3, len(beckett.samples))
    noisy = Audio(beckett.samples + noise.astype(np.float32), STT_RATE)
    assert "fail" in text(moonshine.transcribe_windows([Window(noisy, PLAIN)])[0]).lower()


@pytest.mark.weights
def test_base_hears_the_window_whose_text_it_would_rather_end_at_once(model_folder: Callable[[str], Path], reading: Audio) -> None:
    # Found by cutting the clip at its quietest places: END had a probability of 0.67 here, before the first word.
    base = MoonshineModel(model_folder("moonshine/base"), 2)
    (said,) = base.decode([part(reading, 20.97, 28.75).samples])
    assert "direct to heaven" in base.text(said.tokens)


@pytest.mark.weights
def test_log_probabilities_are_told_when_they_are_asked_for(moonshine: Moonshine, beckett: Audio) -> None:
    plain, told = moonshine.transcribe_windows([Window(beckett, PLAIN), Window(beckett, TranscribeOptions(logprobs=True))])
    assert isinstance(plain, WindowResult) and isinstance(told, WindowResult)
    assert plain.segments[0].logprobs == ()
    tokens = told.segments[0].logprobs
    assert "".join(token.text for token in tokens) == told.segments[0].text
    assert len(tokens) == len(told.segments[0].tokens)
    assert np.mean([token.logprob for token in tokens]) == pytest.approx(told.segments[0].avg_logprob)
    assert all(token.logprob <= 0 for token in tokens)


@pytest.mark.weights
def test_a_whole_file_is_heard_in_pieces_each_where_its_sound_is(moonshine: Moonshine, beckett: Audio) -> None:
    gap = silence(20.0, STT_RATE)
    info, *segments = moonshine.transcribe(concat([gap, beckett, gap, beckett], STT_RATE), PLAIN)
    assert isinstance(info, TranscriptInfo)
    assert all(isinstance(segment, Segment) and segment.end - segment.start <= WINDOW_S for segment in segments)
    starts = [segment.start for segment in segments if isinstance(segment, Segment)]
    assert starts[0] == pytest.approx(20.0, abs=0.5)
    assert any(start == pytest.approx(50.0, abs=0.5) for start in starts)


@pytest.mark.weights
@pytest.mark.parametrize("model_id", ["moonshine/tiny", "moonshine/base"])
def test_its_makers_own_package_recognizes_the_same_words(
    model_folder: Callable[[str], Path], beckett: Audio, reading: Audio, model_id: str
) -> None:
    """The package decodes with our weights; its tokenizer is a file in the package.

    The package ends a text whenever END is the most likely token, even the first one. We accept an empty text only from a probability on
    that speech does not reach, so we recognize words in a clip for which the package returns nothing.
    """
    theirs = pytest.importorskip("moonshine_onnx", reason="needs useful-moonshine-onnx, which this server does not use")
    folder = model_folder(model_id)
    model, ours = theirs.MoonshineOnnxModel(models_dir=folder, model_name=model_id, model_format="ort"), MoonshineModel(folder, 2)
    nothing: list[list[str]] = []
    clips = [beckett, part(reading, 0.5, 12.9), part(reading, 12.9, 20.8), part(reading, 20.8, 28.7), part(reading, 28.7, 40.0)]
    for clip in clips:
        (said,) = ours.decode([clip.samples])
        (expected,) = theirs.load_tokenizer().decode_batch(model.generate(clip.samples[np.newaxis]))
        if expected.strip():
            assert words_of(ours.text(said.tokens)) == words_of(expected)
        else:
            nothing.append(words_of(ours.text(said.tokens)))
    assert len(nothing) <= 1
    assert all(len(found) > 10 and set(found) <= set(words_of(TWO_CITIES)) for found in nothing), nothing
