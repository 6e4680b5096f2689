"""OpenAI's Whisper: what it is told and what it tells; loading and decoding for real on tiny checkpoints with random weights."""

from __future__ import annotations

import base64
import gzip
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, silence
from open_speech.backends import STT_RATE, ModelEntry, Setup, Task, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, UnsupportedLanguage, UnsupportedValue, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.openai_whisper import OpenAIWhisper, decoder_options, in_order, torch_device
from tests.waiting import PATIENCE_S

NOISE = Audio(np.random.default_rng(0).normal(0, 0.1, STT_RATE).astype(np.float32), STT_RATE)
GREEDY = TranscribeOptions(language="de", temperatures=(0.0,), beam_size=1)
MULTILINGUAL, LARGE, ENGLISH = 51865, 51866, 51864
"""Sizes of Whisper's vocabularies: up to large-v2, with Cantonese since large-v3, and English only."""


pytestmark = [
    # The library leaves its vocabulary file for the garbage collector to close.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
    # It lets NumPy sort a tensor.
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def entry(*, translates: bool = True) -> ModelEntry:
    return ModelEntry("tiny", "openai-whisper", Task.STT, "MIT", ("en",), word_times=True, translates=translates)


def write_checkpoint(path: Path, *, vocabulary: int, mels: int = 80) -> None:
    """Write a Whisper of one layer with random weights, in the form of OpenAI's own files."""
    torch, whisper = pytest.importorskip("torch"), pytest.importorskip("whisper", reason="openai-whisper is not installed")
    torch.manual_seed(0)
    width, heads, layers = 32, 2, 1
    dims = whisper.ModelDimensions(mels, 1500, width, heads, layers, vocabulary, 448, width, heads, layers)
    model = whisper.Whisper(dims)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    torch.save({"dims": vars(dims), "model_state_dict": model.state_dict()}, path)


def loaded(folder: Path, model: ModelEntry | None = None) -> OpenAIWhisper:
    whisper = OpenAIWhisper(Setup(model or entry(), folder, device="cpu", threads=1))
    whisper.load()
    return whisper


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("whisper", reason="openai-whisper is not installed")
    folder = tmp_path_factory.mktemp("whisper")
    write_checkpoint(folder / "random.pt", vocabulary=MULTILINGUAL)
    return folder


@pytest.fixture(scope="module")
def tiny(folder: Path) -> OpenAIWhisper:
    return loaded(folder)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> OpenAIWhisper:
    pytest.importorskip("whisper", reason="openai-whisper is not installed")
    folder = tmp_path_factory.mktemp("english")
    write_checkpoint(folder / "random.en.pt", vocabulary=ENGLISH)
    return loaded(folder)


def heard(whisper: OpenAIWhisper, audio: Audio, options: TranscribeOptions) -> Transcript:
    info, *segments = whisper.transcribe(audio, options)
    assert isinstance(info, TranscriptInfo)
    return Transcript(info, tuple(segment for segment in segments if isinstance(segment, Segment)))


def told(whisper: OpenAIWhisper, audio: Audio) -> list[tuple[str, float, float]]:
    """What is heard in one window; the figures of the decoder vary in their last digits from thread to thread."""
    (found,) = whisper.transcribe_windows([Window(audio, GREEDY)])
    assert isinstance(found, WindowResult) and found.language == "de"
    return [(segment.text, segment.start, segment.end) for segment in found.segments]


def test_a_checkpoint_is_loaded_and_decodes_to_times_in_order(tiny: OpenAIWhisper) -> None:
    found = heard(tiny, NOISE, GREEDY)
    assert found.info == TranscriptInfo("de", 1.0, 1.0)
    assert found.segments
    times = [0.0, *(time for segment in found.segments for time in (segment.start, segment.end)), 1.0]
    assert times == sorted(times)
    assert all(segment.tokens and segment.avg_logprob < 0 for segment in found.segments)


def test_words_have_times_within_their_segment(tiny: OpenAIWhisper) -> None:
    found = heard(tiny, NOISE, TranscribeOptions(language="de", temperatures=(0.0,), beam_size=1, word_times=True))
    assert found.words
    for segment in found.segments:
        times = [segment.start, *(time for word in segment.words for time in (word.start, word.end)), segment.end]
        assert times == sorted(times)
        assert all(0 <= word.probability <= 1 for word in segment.words)


def test_beams_and_the_temperature_ladder_are_taken(tiny: OpenAIWhisper) -> None:
    # Random weights look bad at any temperature, so the last step of the ladder is the one that stays.
    brief = Audio(NOISE.samples[: STT_RATE // 4], STT_RATE)
    found = heard(tiny, brief, TranscribeOptions(language="de", temperatures=(0.0, 0.4), beam_size=2))
    assert {segment.temperature for segment in found.segments} == {0.4}


def test_the_language_is_detected_among_those_allowed(tiny: OpenAIWhisper) -> None:
    free = tiny.transcribe_windows([Window(NOISE, TranscribeOptions(detect_only=True))])[0]
    assert isinstance(free, WindowResult) and 0 < free.language_probability <= 1 and free.segments == ()
    others = tuple(code for code in ("sv", "pl", "de") if code != free.language)
    (bound,) = tiny.transcribe_windows([Window(NOISE, TranscribeOptions(detect_only=True, languages=others))])
    assert isinstance(bound, WindowResult) and bound.language in others
    assert heard(tiny, NOISE, TranscribeOptions(detect_only=True)).info.language == free.language


def test_a_window_is_heard_as_the_file_is(tiny: OpenAIWhisper) -> None:
    whole = heard(tiny, NOISE, GREEDY)
    assert told(tiny, NOISE) == [(segment.text, segment.start, segment.end) for segment in whole.segments]


def test_samples_out_of_a_message_are_taken(tiny: OpenAIWhisper) -> None:
    frozen = Audio(np.frombuffer(NOISE.samples.tobytes(), np.float32), STT_RATE)
    assert told(tiny, frozen) == told(tiny, NOISE)


def test_two_calls_at_once_do_not_mix(tiny: OpenAIWhisper) -> None:
    short = Audio(NOISE.samples[: STT_RATE // 2], STT_RATE)
    alone = {clip.seconds: told(tiny, clip) for clip in (NOISE, short)}
    together: dict[float, Any] = {}
    threads = [threading.Thread(target=lambda clip=clip: together.update({clip.seconds: told(tiny, clip)})) for clip in (NOISE, short)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert together == alone


@pytest.mark.parametrize("count", [0, 1, 160, 2 * STT_RATE])
def test_silence_is_heard_as_nothing(tiny: OpenAIWhisper, count: int) -> None:
    quiet = Audio(np.zeros(count, np.float32), STT_RATE)
    assert heard(tiny, quiet, TranscribeOptions()) == Transcript(TranscriptInfo("en", 0.0, count / STT_RATE))
    assert tiny.transcribe_windows([Window(quiet, GREEDY)]) == [WindowResult("de", 1.0)]


def test_what_is_wrong_with_one_window_is_its_own_result(tiny: OpenAIWhisper) -> None:
    asked = [TranscribeOptions(language="Klingon"), GREEDY, TranscribeOptions(logprobs=True), TranscribeOptions(languages=("xx",))]
    wrong, right, untold, none = tiny.transcribe_windows([Window(NOISE, options) for options in asked])
    assert isinstance(right, WindowResult)
    assert isinstance(wrong, UnsupportedLanguage) and wrong.param == "language"
    assert isinstance(untold, UnsupportedValue) and untold.param == "include"
    assert isinstance(none, UnsupportedLanguage) and none.param == "languages"


def test_an_english_model_says_so(english: OpenAIWhisper) -> None:
    with pytest.raises(UnsupportedLanguage):
        english.transcribe(NOISE, TranscribeOptions(language="de"))
    with pytest.raises(UnsupportedValue) as task:
        english.transcribe(NOISE, TranscribeOptions(task="translate"))
    assert task.value.param == "task"
    assert heard(english, NOISE, TranscribeOptions(temperatures=(0.0,), beam_size=1)).info == TranscriptInfo("en", 1.0, 1.0)


def test_the_large_form_has_128_bands_and_cantonese(tmp_path: Path) -> None:
    pytest.importorskip("whisper", reason="openai-whisper is not installed")
    write_checkpoint(tmp_path / "random-v3.pt", vocabulary=LARGE, mels=128)
    large = loaded(tmp_path)
    assert heard(large, NOISE, TranscribeOptions(language="yue", temperatures=(0.0,), beam_size=1)).info.language == "yue"


def test_the_heads_that_tell_word_times_are_openais_own(tmp_path: Path) -> None:
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    packed = whisper._ALIGNMENT_HEADS["tiny"]
    known = np.frombuffer(gzip.decompress(base64.b85decode(packed)), bool)
    assert known.sum() < len(known)
    dims = whisper.ModelDimensions(80, 1500, 48, 6, 1, MULTILINGUAL, 448, 48, 6, 4)
    pytest.importorskip("torch").save({"dims": vars(dims), "model_state_dict": whisper.Whisper(dims).state_dict()}, tmp_path / "tiny.pt")
    model: Any = loaded(tmp_path)._loaded()
    assert model.alignment_heads.to_dense().numpy().ravel().tolist() == known.tolist()


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("whisper", reason="openai-whisper is not installed")
    with pytest.raises(WeightsUnavailable, match="`tiny` has no file"):
        loaded(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_a_truncated_checkpoint_is_refused_without_telling_its_path(folder: Path, tmp_path: Path, keep: int) -> None:
    (tmp_path / "random.pt").write_bytes((folder / "random.pt").read_bytes()[:keep])
    with pytest.raises(WeightsCorrupt, match="tiny") as caught:
        loaded(tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="openai-whisper is not installed")
    pytest.importorskip("whisper", reason="openai-whisper is not installed")
    torch.save({"dims": threading.Thread}, tmp_path / "random.pt")
    with pytest.raises(WeightsCorrupt):
        loaded(tmp_path)


def test_a_call_before_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="not loaded"):
        OpenAIWhisper(Setup(entry(), tmp_path)).transcribe(silence(1.0, STT_RATE), TranscribeOptions())


def test_the_request_is_said_in_whispers_words() -> None:
    said = decoder_options(TranscribeOptions(prompt=" Dear Sam, ", hotwords="Beckett", beam_size=3, word_times=True), 2.0, " we try.")
    assert said["initial_prompt"] == "Dear Sam, we try. Beckett"
    assert (said["beam_size"], said["word_timestamps"], said["sample_len"]) == (3, True, 92)
    plain = decoder_options(TranscribeOptions(beam_size=1), 30.0)
    assert (plain["initial_prompt"], plain["beam_size"], plain["sample_len"]) == (None, None, 220)


def test_times_are_put_in_order_and_empty_segments_left_out() -> None:
    figures = {"tokens": [1], "seek": 0, "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.1}
    words = [{"word": " a", "start": 0.5, "end": 1.5, "probability": 0.9}, {"word": " b", "start": 1.2, "end": 9.0, "probability": 0.8}]
    found = in_order(
        [
            {"start": 0.0, "end": 2.0, "text": " a b", "words": words, **figures},
            {"start": 2.0, "end": 2.0, "text": "", **figures},
            {"start": 1.8, "end": 30.0, "text": " c", **figures},
        ],
        seconds=4.0,
    )
    assert [(segment.text, segment.start, segment.end) for segment in found] == [(" a b", 0.0, 2.0), (" c", 2.0, 4.0)]
    assert [(word.start, word.end) for word in found[0].words] == [(0.5, 1.5), (1.5, 2.0)]


@pytest.mark.parametrize(("asked", "gpus", "named"), [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda:1", 2, "cuda:1")])
def test_the_device_is_the_one_asked_for(asked: str, gpus: int, named: str) -> None:
    assert torch_device(asked, gpus) == named


@pytest.mark.parametrize("asked", ["tpu", "cuda", "cuda:1", "cuda:x", "cpu:1"])
def test_a_device_that_is_not_here_is_refused(asked: str) -> None:
    with pytest.raises(BackendFailed, match="device"):
        torch_device(asked, 0)
