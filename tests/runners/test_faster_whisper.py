"""Whisper's own ways: what the decoder is told, what it tells, and what a broken model says.

Most of it runs on the real weights; loading and the English-only model run on a tiny one with random weights, built here.
"""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, ModelEntry, Setup, Task, TranscribeOptions, Vad
from open_speech.codecs import decode
from open_speech.errors import BackendFailed, UnsupportedLanguage, UnsupportedValue
from open_speech.testing.words import ALLOWED_ERRORS, word_errors
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.faster_whisper import FasterWhisper, encoding_once
from tests.waiting import PATIENCE_S

pytest.importorskip("faster_whisper", reason="the extra `faster-whisper` is not installed")

BASE = "Systran/faster-whisper-base"
NOISE = Audio(np.random.default_rng(0).normal(0, 0.1, STT_RATE).astype(np.float32), STT_RATE)


def entry(name: str, *, translates: bool = True) -> ModelEntry:
    return ModelEntry(name, "faster-whisper", Task.STT, "MIT", (), word_times=True, translates=translates)


def heard(whisper: FasterWhisper, audio: Audio, options: TranscribeOptions) -> Transcript:
    info, *segments = whisper.transcribe(audio, options)
    assert isinstance(info, TranscriptInfo)
    return Transcript(info, tuple(segment for segment in segments if isinstance(segment, Segment)))


def write_tiny_whisper(folder: Path, *, mels: int) -> None:
    """Write an English-only Whisper of one layer with random weights, as a converter would."""
    from ctranslate2.specs import WhisperSpec
    from tokenizers import Tokenizer, models

    width, random = 64, np.random.default_rng(0)
    marks = ["endoftext", "startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{step * 0.02:.2f}" for step in range(1501)]
    vocabulary = [f"w{number}" for number in range(1000)] + [f"<|{mark}|>" for mark in (*marks, *times)]

    def some(*shape: int) -> Any:
        return random.normal(0, 0.02, shape).astype(np.float32)

    def norm(part: Any) -> None:
        part.gamma, part.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def linear(part: Any, rows: int, columns: int) -> None:
        part.weight, part.bias = some(rows, columns), np.zeros(rows, np.float32)

    def attention(part: Any, *widths: int) -> None:
        norm(part.layer_norm)
        for layer, count in zip(part.linear, widths, strict=True):
            linear(layer, count * width, width)

    spec = WhisperSpec(1, 1, 1, 1)
    for conv, channels in ((spec.encoder.conv1, mels), (spec.encoder.conv2, width)):
        conv.weight, conv.bias = some(width, channels, 3), np.zeros(width, np.float32)
    spec.encoder.position_encodings.encodings = some(1500, width)
    spec.decoder.position_encodings.encodings = some(448, width)
    spec.decoder.embeddings.weight = some(len(vocabulary), width)
    linear(spec.decoder.projection, len(vocabulary), width)
    for half in (spec.encoder, spec.decoder):
        norm(half.layer_norm)
        attention(half.layer[0].self_attention, 3, 1)
        norm(half.layer[0].ffn.layer_norm)
        linear(half.layer[0].ffn.linear_0, 4 * width, width)
        linear(half.layer[0].ffn.linear_1, width, 4 * width)
    attention(spec.decoder.layer[0].attention, 1, 2, 1)
    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids = spec.config.suppress_ids_begin = spec.config.lang_ids = []
    spec.config.alignment_heads = [[0, 0]]
    spec.validate()
    spec.save(str(folder))
    Tokenizer(models.WordLevel({token: at for at, token in enumerate(vocabulary)}, unk_token="w0")).save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny.en")
    write_tiny_whisper(folder, mels=80)
    return folder


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> FasterWhisper:
    whisper = FasterWhisper(Setup(entry("tiny.en"), tiny_folder, device="cpu"))
    whisper.load()
    return whisper


@pytest.fixture(scope="module")
def base(model_folder: Callable[[str], Path]) -> FasterWhisper:
    whisper = FasterWhisper(Setup(entry(BASE), model_folder(BASE), device="cpu"))
    whisper.load()
    return whisper


@pytest.fixture(scope="module")
def beckett(speech_clips: dict[str, Path]) -> Audio:
    return decode(speech_clips["beckett"], STT_RATE, max_seconds=600)


def test_an_english_only_model_says_so(tiny: FasterWhisper) -> None:
    with pytest.raises(UnsupportedLanguage) as language:
        tiny.transcribe(NOISE, TranscribeOptions(language="de"))
    with pytest.raises(UnsupportedValue) as task:
        tiny.transcribe(NOISE, TranscribeOptions(task="translate"))
    assert (language.value.param, task.value.param) == ("language", "task")
    assert next(tiny.transcribe(NOISE, TranscribeOptions())) == TranscriptInfo("en", 1.0, 1.0)
    assert next(tiny.transcribe(NOISE, TranscribeOptions(language="English"))) == TranscriptInfo("en", 1.0, 1.0)


def test_times_are_in_order_even_when_the_model_talks_nonsense(tiny: FasterWhisper) -> None:
    found = heard(tiny, NOISE, TranscribeOptions(temperatures=(0.0,), beam_size=1, word_times=True))
    times = [time for segment in found.segments for time in (segment.start, segment.end)]
    assert found.words
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= NOISE.seconds
    assert all(seg.start <= word.start <= word.end <= seg.end for seg in found.segments for word in seg.words)


def test_a_model_of_128_mel_bands_needs_no_preprocessor_file(tmp_path: Path) -> None:
    write_tiny_whisper(tmp_path, mels=128)
    whisper = FasterWhisper(Setup(entry("tiny-v3"), tmp_path, device="cpu"))
    whisper.load()
    assert heard(whisper, NOISE, TranscribeOptions(temperatures=(0.0,), beam_size=1)).info.duration == 1.0


def test_an_empty_folder_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match=r"`tiny\.en` has no file `model\.bin`"):
        FasterWhisper(Setup(entry("tiny.en"), tmp_path)).load()


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_a_truncated_model_is_refused_without_telling_its_path(tiny_folder: Path, tmp_path: Path, keep: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:keep])
    with pytest.raises(BackendFailed, match=r"`tiny\.en` cannot be loaded") as caught:
        FasterWhisper(Setup(entry("tiny.en"), folder, device="cpu")).load()
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(("device", "compute_type"), [("tpu", "auto"), ("cuda:99", "auto"), ("cpu", "int3")])
def test_a_device_or_compute_type_that_is_not_here_is_refused(tiny_folder: Path, device: str, compute_type: str) -> None:
    with pytest.raises(BackendFailed, match="cannot be loaded"):
        FasterWhisper(Setup(entry("tiny.en"), tiny_folder, device=device, compute_type=compute_type)).load()


def test_a_call_before_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="not loaded"):
        FasterWhisper(Setup(entry("tiny.en"), tmp_path)).transcribe(NOISE, TranscribeOptions())


def test_the_first_encoding_serves_the_detection_and_the_first_window() -> None:
    class Engine:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def encode(self, features: str) -> str:
            self.seen.append(features)
            return f"encoded {features}"

    engine: Any = Engine()
    call = encoding_once(engine)
    assert [call.encode(window) for window in ("first", "first", "second", "second")] == [
        "encoded first",
        "encoded first",
        "encoded second",
        "encoded second",
    ]
    assert engine.seen == ["first", "second", "second"]
    assert encoding_once(engine).encode("another call's") == "encoded another call's"


@pytest.mark.weights
def test_a_detected_language_changes_hardly_a_word(base: FasterWhisper, beckett: Audio) -> None:
    given = heard(base, beckett, TranscribeOptions(language="en"))
    detected = heard(base, beckett, TranscribeOptions())
    assert detected.info.language == "en"
    assert 0.5 < detected.info.language_probability < 1
    assert given.info.language_probability == 1.0
    assert word_errors(given.text, detected.text) <= ALLOWED_ERRORS


@pytest.mark.weights
def test_a_language_is_taken_in_any_spelling_and_refused_when_the_model_has_no_token_for_it(base: FasterWhisper, beckett: Audio) -> None:
    for written in ("EN", "en-US", "English"):
        assert next(base.transcribe(beckett, TranscribeOptions(language=written))) == TranscriptInfo("en", 1.0, beckett.seconds)
    for written in ("yue", "Klingon"):
        with pytest.raises(UnsupportedLanguage):
            base.transcribe(beckett, TranscribeOptions(language=written))


@pytest.mark.weights
def test_hotwords_and_prompt_sway_the_spelling(base: FasterWhisper, beckett: Audio) -> None:
    plain = TranscribeOptions(language="en", temperatures=(0.0,))
    prompted = TranscribeOptions(language="en", temperatures=(0.0,), prompt="EVER TRIED? EVER FAILED? NO MATTER. WE SHOUT ALL OF IT.")
    assert not heard(base, beckett, plain).text.isupper()
    assert heard(base, beckett, prompted).text.isupper()
    hot = TranscribeOptions(language="en", temperatures=(0.0,), hotwords="EVER TRIED, EVER FAILED, NO MATTER, TRY AGAIN, FAIL BETTER")
    assert heard(base, beckett, hot).text != heard(base, beckett, plain).text


@pytest.mark.weights
def test_a_prompt_and_hotwords_beyond_the_window_leave_room_for_the_text(base: FasterWhisper, beckett: Audio) -> None:
    # Without the cut CTranslate2 fails: "No position encodings are defined for positions >= 448". Repetition would sway the model.
    words = "river stone window margin apple candle whisper orchard railway pencil ocean silver kitchen winter garden doctor".split()
    pairs = [(one, two) for one in words for two in words if one != two]
    story = " ".join(f"The {one} was near the {two}." for one, two in pairs)
    hotwords = ", ".join(f"{one} {two}" for one, two in pairs)
    options = TranscribeOptions(language="en", temperatures=(0.0,), prompt=story, hotwords=hotwords)
    assert "try again" in heard(base, beckett, options).text.lower()


@pytest.mark.weights
@pytest.mark.parametrize("beam_size", [1, 5])
def test_a_single_temperature_is_used(base: FasterWhisper, beckett: Audio, beam_size: int) -> None:
    found = heard(base, beckett, TranscribeOptions(language="en", temperatures=(0.2,), beam_size=beam_size))
    assert [segment.temperature for segment in found.segments] == [pytest.approx(0.2)] * len(found.segments)
    assert found.text


@pytest.mark.weights
def test_a_segment_carries_the_decoders_own_figures_and_leading_space(base: FasterWhisper, beckett: Audio) -> None:
    segment = heard(base, beckett, TranscribeOptions(language="en")).segments[0]
    assert segment.text.startswith(" ")
    assert segment.tokens
    assert -1 < segment.avg_logprob < 0
    assert 0 < segment.compression_ratio < 2.4
    assert 0 <= segment.no_speech_prob < 0.5


@pytest.mark.weights
@pytest.mark.parametrize("sound", [np.zeros(5 * STT_RATE, np.float32), NOISE.samples.repeat(3)], ids=["silence", "noise"])
def test_with_vad_nothing_is_made_up_where_nobody_speaks(base: FasterWhisper, sound: np.ndarray) -> None:
    assert heard(base, Audio(sound, STT_RATE), TranscribeOptions(vad=Vad())).segments == ()


@pytest.mark.weights
def test_vad_keeps_the_times_of_the_whole_audio(base: FasterWhisper, beckett: Audio) -> None:
    quiet = np.zeros(6 * STT_RATE, np.float32)
    late = Audio(np.concatenate([quiet, beckett.samples]), STT_RATE)
    found = heard(base, late, TranscribeOptions(language="en", vad=Vad(), word_times=True))
    assert found.info.duration == pytest.approx(beckett.seconds + 6)
    assert found.segments[0].start > 5.5
    assert found.words[-1].end <= late.seconds


@pytest.mark.weights
def test_two_calls_decode_side_by_side_without_mixing(base: FasterWhisper, beckett: Audio) -> None:
    half = Audio(beckett.samples[: len(beckett.samples) // 2], STT_RATE)
    alone = {name: heard(base, clip, TranscribeOptions()).text for name, clip in (("whole", beckett), ("half", half))}
    together: dict[str, str] = {}

    def work(name: str, clip: Audio) -> None:
        together[name] = heard(base, clip, TranscribeOptions()).text

    threads = [threading.Thread(target=work, args=item) for item in (("whole", beckett), ("half", half))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert together == alone
    assert alone["whole"] != alone["half"]
