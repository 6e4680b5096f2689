"""Parakeet and Canary: real loading and real decoding, on tiny models of the same files, names and shapes that are built here.

They are not random: each token of a Parakeet has its tone. So what is heard, and when, is known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, ModelEntry, Setup, Task, TranscribeOptions, Window, WindowResult
from open_speech.errors import BackendFailed, UnsupportedLanguage, UnsupportedValue, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from open_speech.weights import Store
from runners import catalog
from runners.onnx_asr import OnnxAsr, execution_providers, settle_language

pytest.importorskip("onnx_asr", reason="the extra `onnx-asr` is not installed")
onnx = pytest.importorskip("onnx", reason="the package `onnx`, which builds the models of these tests, is not installed")

TOKENS = ["▁go", "od", "▁day", ".", "<blk>"]
CANARY_TOKENS = [
    "<unk>", "<pad>", "▁", "<|startofcontext|>", "<|startoftranscript|>", "<|emo:undefined|>", "<|en|>", "<|de|>", "<|pnc|>", "<|noitn|>",
    "<|notimestamp|>", "<|nodiarize|>", "<|endoftext|>", "▁hello", "▁hallo", "▁Welt", "▁world", ".",
]  # fmt: skip
PARAKEETS = {"nemo-conformer-ctc": 80, "nemo-conformer-rnnt": 80, "nemo-conformer-tdt": 128}
"""Kind -> mel bands, as in NVIDIA's models."""

ENCODER = """<ir_version: 8, opset_import: ["": 17]>
encoder (float[B,F,T] audio_signal, int64[B] length) => (float[B,F,S] outputs, int64[B] encoded_lengths) {
  outputs = AveragePool<kernel_shape = [8], strides = [8], pads = [0, 7], count_include_pad = 1>(audio_signal)
  one = Constant<value_int = 1>()
  eight = Constant<value_int = 8>()
  before = Sub(length, one)
  full = Div(before, eight)
  encoded_lengths = Add(full, one)
}"""
JOINT = """<ir_version: 8, opset_import: ["": 17]>
joint (float[B,F,1] encoder_outputs, int32[B,1] targets, int32[B] target_length,
       float[2,B,4] input_states_1, float[2,B,4] input_states_2)
   => (float[B,1,1,N] outputs, float[2,B,4] output_states_1, float[2,B,4] output_states_2) {
  frame = Transpose<perm = [0, 2, 1]>(encoder_outputs)
  heard = MatMul(frame, bands)
  said = Gather(repeats, targets)
  both = Add(heard, said)
  scores = Add(both, bias)
  place = Constant<value_ints = [2]>()
  outputs = Unsqueeze(scores, place)
  output_states_1 = Identity(input_states_1)
  output_states_2 = Identity(input_states_2)
}"""
CTC = """<ir_version: 8, opset_import: ["": 17]>
ctc (float[B,F,T] audio_signal, int64[B] length) => (float[B,S,N] logprobs) {
  pooled = AveragePool<kernel_shape = [8], strides = [8], pads = [0, 7], count_include_pad = 1>(audio_signal)
  frames = Transpose<perm = [0, 2, 1]>(pooled)
  heard = MatMul(frames, bands)
  scores = Add(heard, bias)
  logprobs = LogSoftmax<axis = 2>(scores)
}"""
CANARY_ENCODER = """<ir_version: 8, opset_import: ["": 17]>
encoder (float[B,F,T] audio_signal, int64[B] length) => (float[B,T,F] encoder_embeddings, int64[B,T] encoder_mask) {
  encoder_embeddings = Transpose<perm = [0, 2, 1]>(audio_signal)
  axis = Constant<value_ints = [1]>()
  sums = ReduceSum<keepdims = 0>(audio_signal, axis)
  zeros = Sub(sums, sums)
  ones = Exp(zeros)
  encoder_mask = Cast<to = 7>(ones)
}"""
CANARY_DECODER = """<ir_version: 8, opset_import: ["": 17]>
decoder (int64[B,L] input_ids, float[B,T,F] encoder_embeddings, int64[B,T] encoder_mask, float[1,B,M,18] decoder_mems)
     => (float[B,L,18] logits, float[1,B,K,18] decoder_hidden_states) {
  known = Gather(embedding, input_ids)
  first = Constant<value_ints = [0]>()
  states = Unsqueeze(known, first)
  decoder_hidden_states = Concat<axis = 2>(decoder_mems, states)
  next = MatMul(known, follows)
  target_place = Constant<value_ints = [5]>()
  target = Gather<axis = 2>(decoder_hidden_states, target_place)
  flat = Squeeze(target, first)
  wanted = MatMul(flat, begins)
  logits = Add(next, wanted)
}"""


def save(path: Path, text: str, **tensors: np.ndarray) -> None:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items())
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_settings(folder: Path, kind: str, mels: int, tokens: list[str]) -> None:
    settings = {"model_type": kind, "features_size": mels, "subsampling_factor": 8, "max_sequence_length": 64}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "vocab.txt").write_text("".join(f"{token} {at}\n" for at, token in enumerate(tokens)), encoding="utf-8")


def write_parakeet(folder: Path, kind: str, *, suffix: str = "", mels: int = 0) -> None:
    """Write a Parakeet whose frame is the token of the loudest band, and which says no token twice in a row."""
    mels, blank = mels or PARAKEETS[kind], len(TOKENS) - 1
    steps = 5 if kind.endswith("tdt") else 0
    bands, bias = np.zeros((mels, len(TOKENS) + steps)), np.zeros(len(TOKENS) + steps)
    for token in range(blank):
        bands[band_of(token, mels), token] = 1.0
    bias[:blank] = -2.0  # beyond half of what a tone gives: a frame of two tones has at most one
    if steps:
        bias[len(TOKENS) + 1] = 1.0  # go on by one frame
    repeats = np.zeros((len(TOKENS), len(bias)))
    repeats[np.arange(blank), np.arange(blank)] = -100.0
    write_settings(folder, kind, mels, TOKENS)
    if kind.endswith("ctc"):
        save(folder / f"model{suffix}.onnx", CTC, bands=bands, bias=bias)
        return
    save(folder / f"encoder-model{suffix}.onnx", ENCODER)
    save(folder / f"decoder_joint-model{suffix}.onnx", JOINT, bands=bands, bias=bias, repeats=repeats)


def write_canary(folder: Path) -> None:
    """Write a Canary that greets in the language that it shall write."""
    at, size = CANARY_TOKENS.index, len(CANARY_TOKENS)
    follows, begins = np.zeros((size, size)), np.zeros((size, size))
    for one, two in (("▁hello", "▁world"), ("▁hallo", "▁Welt"), ("▁world", "."), ("▁Welt", "."), (".", "<|endoftext|>")):
        follows[at(one), at(two)] = 1.0
    begins[at("<|en|>"), at("▁hello")] = begins[at("<|de|>"), at("▁hallo")] = 0.5
    write_settings(folder, "nemo-conformer-aed", 128, CANARY_TOKENS)
    save(folder / "encoder-model.int8.onnx", CANARY_ENCODER)
    save(folder / "decoder-model.int8.onnx", CANARY_DECODER, embedding=np.eye(size), follows=follows, begins=begins)


def band_of(token: int, mels: int) -> int:
    return mels // 2 + token * mels // 10


def tone(token: int, mels: int, seconds: float = 0.4) -> Audio:
    """The tone at the centre of the token's band, on Slaney's mel scale from 0 to 8000 Hz."""
    mel = (band_of(token, mels) + 1) / (mels + 1) * (15 + 27 * np.log(8) / np.log(6.4))
    hertz = 1000 * np.exp((mel - 15) * np.log(6.4) / 27)
    return Audio((0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * STT_RATE)) / STT_RATE)).astype(np.float32), STT_RATE)


def good_day(mels: int, *, before: float = 1.0, between: float = 1.2) -> Audio:
    """A second of nothing, `good`, a pause, `day.`, a second of nothing; all of it over a little noise."""
    parts = [silence(before, STT_RATE), tone(0, mels), tone(1, mels), silence(between, STT_RATE), tone(2, mels), tone(3, mels)]
    sound = concat([*parts, silence(1.0, STT_RATE)], STT_RATE)
    noise = np.random.default_rng(0).normal(0, 0.01, len(sound.samples)).astype(np.float32)
    return Audio(sound.samples + noise, STT_RATE)


def entry(*languages: str, translates: bool = False, word_times: bool = True) -> ModelEntry:
    return ModelEntry("tiny", "onnx-asr", Task.STT, "MIT", languages or ("en",), translates=translates, word_times=word_times)


def loaded(folder: Path, model: ModelEntry) -> OnnxAsr:
    recogniser = OnnxAsr(Setup(model, folder, device="cpu", threads=1))
    recogniser.load()
    return recogniser


def heard(recogniser: OnnxAsr, audio: Audio, options: TranscribeOptions) -> Transcript:
    info, *segments = recogniser.transcribe(audio, options)
    assert isinstance(info, TranscriptInfo)
    return Transcript(info, tuple(segment for segment in segments if isinstance(segment, Segment)))


@pytest.fixture(scope="module", params=PARAKEETS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def parakeet(kind: str, tmp_path_factory: pytest.TempPathFactory) -> OnnxAsr:
    folder = tmp_path_factory.mktemp("parakeet")
    write_parakeet(folder, kind)
    return loaded(folder, entry())


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> OnnxAsr:
    folder = tmp_path_factory.mktemp("canary")
    write_canary(folder)
    return loaded(folder, entry("en", "de", translates=True, word_times=False))


def test_an_export_that_was_copied_into_the_models_folder_is_used(tmp_path: Path) -> None:
    model = next(model for model in catalog.own_models() if model.id == "nvidia/parakeet-tdt-1.1b")
    store = Store(tmp_path, offline=True)
    with pytest.raises(WeightsUnavailable, match="Copy them by hand"):
        store.pull(model)
    store.folder(model).mkdir(parents=True)
    write_parakeet(store.folder(model), "nemo-conformer-tdt", mels=80)  # v2 and v3 have 128 bands
    assert heard(loaded(store.pull(model), model), good_day(80), TranscribeOptions(word_times=True)).text == "good day."


def test_a_parakeet_hears_words_at_their_times(parakeet: OnnxAsr, kind: str) -> None:
    found = heard(parakeet, good_day(PARAKEETS[kind]), TranscribeOptions(word_times=True, logprobs=True))
    assert found.text == "good day."
    assert found.info == TranscriptInfo("en", 1.0, pytest.approx(4.8))
    good, day = found.words
    assert good.start == pytest.approx(1.0, abs=0.1)
    assert good.end == pytest.approx(1.7, abs=0.1)  # a token ends 0.32 s after it began, at the latest
    assert day.start == pytest.approx(3.0, abs=0.1)
    assert day.end == pytest.approx(3.3, abs=0.1)
    assert 0 < good.probability <= 1
    assert [[token.text for token in segment.logprobs] for segment in found.segments] == [[" go", "od"], [" day", "."]]
    assert all(token.logprob <= 0 for segment in found.segments for token in segment.logprobs)


def test_word_times_and_logprobs_are_not_told_unasked(parakeet: OnnxAsr, kind: str) -> None:
    found = heard(parakeet, good_day(PARAKEETS[kind]), TranscribeOptions())
    assert found.words == ()
    assert all(segment.logprobs == () for segment in found.segments)


def test_a_long_file_goes_through_in_pieces_and_keeps_its_times(parakeet: OnnxAsr, kind: str) -> None:
    clip = good_day(PARAKEETS[kind])
    found = heard(parakeet, concat([clip] * 10, STT_RATE), TranscribeOptions(word_times=True))
    assert found.text == " ".join(["good day."] * 10)
    starts = [word.start for word in found.words]
    assert starts == pytest.approx([start + turn * clip.seconds for turn in range(10) for start in (1.0, 3.0)], abs=0.1)


def test_windows_of_a_batch_are_heard_as_if_alone(parakeet: OnnxAsr, kind: str) -> None:
    mels = PARAKEETS[kind]
    clips = [good_day(mels), good_day(mels, before=0.3), good_day(mels, between=0.3)]
    windows = [Window(clip, TranscribeOptions(word_times=True)) for clip in clips]
    alone = [parakeet.transcribe_windows([window])[0] for window in windows]
    assert parakeet.transcribe_windows(windows) == alone
    assert all(isinstance(one, WindowResult) and one.segments for one in alone)


def test_what_is_wrong_with_one_window_is_its_own_result(parakeet: OnnxAsr, kind: str) -> None:
    clip = good_day(PARAKEETS[kind])
    asked = [TranscribeOptions(language="de"), TranscribeOptions()]
    wrong, right = parakeet.transcribe_windows([Window(clip, options) for options in asked])
    assert isinstance(wrong, UnsupportedLanguage) and wrong.param == "language"
    assert isinstance(right, WindowResult) and "".join(segment.text for segment in right.segments) == " good day."


@pytest.mark.parametrize("count", [0, 1, 160, STT_RATE])
def test_silence_is_heard_as_nothing(parakeet: OnnxAsr, count: int) -> None:
    quiet = Audio(np.zeros(count, np.float32), STT_RATE)
    assert parakeet.transcribe_windows([Window(quiet, TranscribeOptions())]) == [WindowResult("en", 1.0)]
    assert heard(parakeet, quiet, TranscribeOptions()).segments == ()


def test_where_only_the_language_is_wanted_no_text_is_made(parakeet: OnnxAsr, canary: OnnxAsr, kind: str) -> None:
    window = Window(good_day(PARAKEETS[kind]), TranscribeOptions(detect_only=True))
    assert parakeet.transcribe_windows([window]) == [WindowResult("en", 1.0)]
    (refused,) = canary.transcribe_windows([window])
    assert isinstance(refused, UnsupportedValue) and refused.param == "model"


def test_hearing_nothing_at_all_is_an_empty_answer(parakeet: OnnxAsr) -> None:
    assert parakeet.transcribe_windows([]) == []


def test_what_a_parakeet_cannot_do_is_refused_at_the_call(parakeet: OnnxAsr) -> None:
    with pytest.raises(UnsupportedLanguage) as language:
        parakeet.transcribe(silence(1.0, STT_RATE), TranscribeOptions(language="Klingon"))
    assert language.value.param == "language"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (TranscribeOptions(language="de"), "hallo Welt."),
        (TranscribeOptions(language="German"), "hallo Welt."),
        (TranscribeOptions(languages=("de",)), "hallo Welt."),
        (TranscribeOptions(language="de", task="translate"), "hello world."),
        (TranscribeOptions(language="en"), "hello world."),
        (TranscribeOptions(), "hello world."),
    ],
)
def test_a_canary_writes_in_the_language_of_the_request(canary: OnnxAsr, asked: TranscribeOptions, text: str) -> None:
    found = heard(canary, good_day(128), asked)
    assert found.text == text
    assert [(segment.start, segment.end) for segment in found.segments] == [(0.0, pytest.approx(4.8))]
    assert found.info.task == asked.task


def test_each_window_of_a_canary_has_its_own_language(canary: OnnxAsr) -> None:
    asked = [TranscribeOptions(language="de", logprobs=True), TranscribeOptions(language="en")]
    german, english = canary.transcribe_windows([Window(good_day(128), options) for options in asked])
    assert isinstance(german, WindowResult) and isinstance(english, WindowResult)
    assert (german.language, german.segments[0].text) == ("de", " hallo Welt.")
    assert [token.text for token in german.segments[0].logprobs] == [" hallo", " Welt", "."]
    assert (english.language, english.segments[0].text) == ("en", " hello world.")


@pytest.mark.parametrize(
    ("options", "known", "expected"),
    [
        (TranscribeOptions(), ("en",), ("en", 1.0)),
        (TranscribeOptions(), ("de", "en"), ("en", 0.0)),
        (TranscribeOptions(), ("ru", "uk"), ("ru", 0.0)),
        (TranscribeOptions(language="de-AT"), ("de", "en"), ("de", 1.0)),
        (TranscribeOptions(languages=("fr", "de")), ("de", "en"), ("de", 1.0)),
        (TranscribeOptions(languages=("fr", "de")), ("de", "en", "fr"), ("fr", 0.0)),
    ],
)
def test_a_language_is_sure_when_it_is_named_or_there_is_no_other(
    options: TranscribeOptions, known: tuple[str, ...], expected: tuple[str, float]
) -> None:
    assert settle_language(options, "tiny", known) == expected


def test_a_list_of_languages_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(UnsupportedLanguage, match="English only, not `fr`, `de`") as caught:
        settle_language(TranscribeOptions(languages=("fr", "de")), "tiny", ("en",))
    assert caught.value.param == "languages"


def test_eight_bit_files_are_found_by_their_name(tmp_path: Path) -> None:
    write_parakeet(tmp_path, "nemo-conformer-tdt", suffix=".int8")
    assert heard(loaded(tmp_path, entry()), good_day(128), TranscribeOptions()).text == "good day."


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("istupakov/parakeet-tdt-0.6b-v3-onnx", {"model_type": "nemo-conformer-tdt", "features_size": 128, "subsampling_factor": 8}),
        ("istupakov/canary-1b-v2-onnx", {"model_type": "nemo-conformer-aed", "features_size": 128}),
    ],
)
def test_the_settings_of_these_models_are_those_of_the_catalogs(model: str, settings: dict[str, Any]) -> None:
    (row,) = [row for row in catalog.models() if row.id == model]
    (file,) = [file for file in row.files if file.path == "config.json"]
    text = json.dumps(settings, indent=4).encode()
    assert (file.size, file.sha256) == (len(text), hashlib.sha256(text).hexdigest())


def forget(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def spoil(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (forget("config.json"), WeightsUnavailable),
        (forget("vocab.txt"), WeightsUnavailable),
        (forget("encoder-model.onnx"), WeightsUnavailable),
        (spoil("config.json", "{}"), WeightsCorrupt),
        (spoil("config.json", '{"model_type": '), WeightsCorrupt),
        (spoil("vocab.txt", "good\n"), WeightsCorrupt),
        (spoil("encoder-model.onnx", "no model"), WeightsCorrupt),
        (spoil("decoder_joint-model.onnx", ""), WeightsCorrupt),
        (spoil("config.json", '{"model_type": "whisper"}'), BackendFailed),
    ],
)
def test_a_damaged_folder_is_refused_without_telling_its_path(tmp_path: Path, damage: Callable[[Path], Any], error: type[Any]) -> None:
    write_parakeet(tmp_path, "nemo-conformer-tdt")
    damage(tmp_path)
    with pytest.raises(error, match="tiny") as caught:
        loaded(tmp_path, entry())
    assert str(tmp_path) not in caught.value.message


def test_a_call_before_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="not loaded"):
        OnnxAsr(Setup(entry(), tmp_path)).transcribe(silence(1.0, STT_RATE), TranscribeOptions())


CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")


def test_a_gpu_is_taken_where_there_is_one_and_it_may_be() -> None:
    assert execution_providers("auto", CUDA) == [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]
    assert execution_providers("cuda:1", CUDA)[0] == ("CUDAExecutionProvider", {"device_id": 1})
    assert execution_providers("auto", CUDA[1:]) == execution_providers("cpu", CUDA) == ["CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["tpu", "cuda", "cuda:1", "cpu:1", "cuda:x"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(BackendFailed, match="device"):
        execution_providers(device, CUDA[1:])
