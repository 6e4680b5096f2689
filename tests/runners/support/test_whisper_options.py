"""Whisper's options and results as values."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from open_speech.backends import ModelEntry, Setup, Task, TranscribeOptions, Vad
from open_speech.errors import BackendFailed, UnsupportedLanguage
from runners.support import whisper_options
from runners.support.whisper_options import (
    HOTWORD_TOKENS,
    PROMPT_TOKENS,
    Placement,
    check_files,
    decoder_options,
    fit_prompt,
    place,
    spoken_language,
    timed,
)

SETUP = Setup(ModelEntry("some/whisper", "faster-whisper", Task.STT, "MIT", ("en",)), Path())


@dataclass
class Machine:
    """As much of the ctranslate2 module as tells of the machine's devices."""

    gpus: int = 0
    types: dict[str, set[str]] = field(default_factory=lambda: {"cpu": {"int8", "float32"}, "cuda": {"float16", "int8", "float32"}})

    def get_cuda_device_count(self) -> int:
        return self.gpus

    def get_supported_compute_types(self, device: str, device_index: int = 0) -> set[str]:
        return self.types[device]


class Letters:
    """A tokenizer whose tokens are characters."""

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> SimpleNamespace:
        return SimpleNamespace(ids=[ord(letter) for letter in sequence])

    def decode(self, ids: list[int]) -> str:
        return "".join(map(chr, ids))


def test_auto_takes_the_cpu_with_int8_when_there_is_no_gpu() -> None:
    assert place(SETUP, Machine(), cores=2) == Placement("cpu", 0, "int8", 2)


def test_auto_takes_the_first_gpu_with_float16() -> None:
    assert place(SETUP, Machine(gpus=2), cores=64) == Placement("cuda", 0, "float16", 4)


def test_an_old_gpu_without_float16_computes_in_what_it_has() -> None:
    assert place(SETUP, Machine(gpus=1, types={"cuda": {"float32"}}), cores=1).compute_type == "float32"


def test_what_the_setup_says_is_taken() -> None:
    setup = replace(SETUP, device="cuda:1", compute_type="int8_float16", threads=7)
    assert place(setup, Machine(gpus=2), cores=2) == Placement("cuda", 1, "int8_float16", 7)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda:x", "cuda:-1", "tpu", ""])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        place(replace(SETUP, device=device), Machine(gpus=device == "cuda:1"), cores=2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BackendFailed, match=r"`some/whisper` has no file `tokenizer\.json`"):
        check_files(tmp_path, "some/whisper")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00"])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    for file in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / file).write_text(json.dumps({}))
    check_files(tmp_path, "some/whisper")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackendFailed, match=f"`{name}`.*broken"):
        check_files(tmp_path, "some/whisper")


@pytest.mark.parametrize(("wanted", "code"), [("de", "de"), ("German", "de"), ("EN-us", "en"), (None, None)])
def test_a_known_language_is_found_and_no_language_is_detected(wanted: str | None, code: str | None) -> None:
    assert spoken_language(wanted, "some/whisper", ["en", "de"]) == code


def test_an_english_only_model_has_nothing_to_detect() -> None:
    assert spoken_language(None, "some/whisper.en", ["en"]) == "en"
    with pytest.raises(UnsupportedLanguage, match=r"`some/whisper\.en` supports English only, not `de`"):
        spoken_language("de", "some/whisper.en", ["en"])


@pytest.mark.parametrize("wanted", ["yue", "klingon", ""])
def test_a_language_that_the_model_does_not_know_is_refused(wanted: str) -> None:
    with pytest.raises(UnsupportedLanguage) as caught:
        spoken_language(wanted, "some/whisper", ["en", "de"])
    assert caught.value.param == "language"


def test_every_option_reaches_the_decoder() -> None:
    options = TranscribeOptions(
        task="translate",
        temperatures=(0.3,),
        beam_size=2,
        condition_on_previous_text=True,
        word_times=True,
        vad=Vad(threshold=0.6, min_speech_ms=1, min_silence_ms=2, pad_ms=3),
    )
    assert decoder_options(options, seconds=60.0) == {
        "task": "translate",
        "beam_size": 2,
        "temperature": [0.3],
        "condition_on_previous_text": True,
        "word_timestamps": True,
        "max_new_tokens": 220,
        "vad_filter": True,
        "vad_parameters": {"threshold": 0.6, "min_speech_duration_ms": 1, "min_silence_duration_ms": 2, "speech_pad_ms": 3},
    }


def test_without_vad_nothing_is_cut() -> None:
    options = decoder_options(TranscribeOptions(), seconds=60.0)
    assert options["vad_filter"] is False
    assert options["vad_parameters"] is None


@pytest.mark.parametrize(("seconds", "tokens"), [(0.1, 35), (1.0, 62), (6.0, 212), (6.5, 220), (3600.0, 220)])
def test_a_clip_may_say_only_so_much(seconds: float, tokens: int) -> None:
    assert decoder_options(TranscribeOptions(), seconds)["max_new_tokens"] == tokens


@pytest.mark.parametrize("blank", [None, "", "  \n"])
def test_a_blank_prompt_is_none(blank: str | None) -> None:
    assert fit_prompt(Letters(), blank, blank) == (None, None)


def test_a_long_prompt_keeps_its_end_and_long_hotwords_their_beginning() -> None:
    prompt, hotwords = fit_prompt(Letters(), "a" * 500 + "b", "c" + "d" * 500)
    assert hotwords == "c" + "d" * (HOTWORD_TOKENS - 1)
    assert prompt is not None
    assert len(prompt) + len(hotwords) == PROMPT_TOKENS
    assert prompt[-1] == ord("b")


def test_a_prompt_alone_may_fill_half_the_window() -> None:
    prompt, hotwords = fit_prompt(Letters(), "a" * 500, None)
    assert prompt is not None
    assert (len(prompt), hotwords) == (PROMPT_TOKENS, None)


def raw_segment(start: float, end: float, *words: tuple[float, float]) -> SimpleNamespace:
    spoken = [SimpleNamespace(word=" w", start=begin, end=finish, probability=0.5) for begin, finish in words] or None
    return SimpleNamespace(
        start=start, end=end, text=" w", words=spoken, tokens=[1, 2], seek=3000, temperature=0.2,
        avg_logprob=-0.3, compression_ratio=1.5, no_speech_prob=0.1,
    )  # fmt: skip


def test_a_segment_keeps_its_figures() -> None:
    segment = timed(raw_segment(1.0, 2.0, (1.0, 1.5)), after=0.5, duration=10.0)
    assert (segment.start, segment.end, segment.text, segment.tokens, segment.seek) == (1.0, 2.0, " w", (1, 2), 3000)
    assert (segment.temperature, segment.avg_logprob, segment.compression_ratio, segment.no_speech_prob) == (0.2, -0.3, 1.5, 0.1)
    assert [(word.text, word.start, word.end, word.probability) for word in segment.words] == [(" w", 1.0, 1.5, 0.5)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (raw_segment(0.0, 30.0), (2.0, 4.0, [])),
        (raw_segment(5.0, 6.0), (4.0, 4.0, [])),
        (raw_segment(3.5, 3.0), (3.5, 3.5, [])),
        (raw_segment(2.5, 3.5, (2.0, 2.8), (2.7, 2.6), (2.9, 9.0)), (2.5, 3.5, [(2.5, 2.8), (2.8, 2.8), (2.9, 3.5)])),
    ],
)
def test_times_never_go_back_nor_beyond_the_audio(raw: SimpleNamespace, expected: tuple[float, float, list[tuple[float, float]]]) -> None:
    segment = timed(raw, after=2.0, duration=4.0)
    assert (segment.start, segment.end, [(word.start, word.end) for word in segment.words]) == expected


TIMES, END = 100, 50
"""In these tests tokens below 50 are text, 100 is the timestamp 0.00 and 150 is 1.00."""


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        ([], []),
        ([100, 1, 2, 150], [(0.0, 1.0, [1, 2])]),
        ([100, 1, 150, 150, 2, 200], [(0.0, 1.0, [1]), (1.0, 2.0, [2])]),
        ([100, 1, 150, 175, 2], [(0.0, 1.0, [1]), (1.5, 3.0, [2])]),
        ([1, 2], [(0.0, 3.0, [1, 2])]),
        ([100, 1, 900], [(0.0, 3.0, [1])]),
        ([150, 1, 120], [(1.0, 1.0, [1])]),
        ([100, 150, 60, 1, 200], [(1.0, 2.0, [1])]),
    ],
)
def test_tokens_are_cut_at_their_times_and_no_text_is_lost(tokens: list[int], pieces: list[tuple[float, float, list[int]]]) -> None:
    found = whisper_options.split_at_times(tokens, TIMES, END, 3.0)
    assert [(piece.start, piece.end, piece.tokens) for piece in found] == pieces


def test_the_best_language_is_one_of_those_allowed_and_its_share_among_them() -> None:
    heard = {"en": 0.6, "de": 0.3, "nl": 0.1}
    assert whisper_options.best_language(heard, ("de", "nl")) == ("de", pytest.approx(0.75))
    assert whisper_options.best_language(heard, ("en",)) == ("en", 1.0)
    assert whisper_options.best_language(heard, ("ko",)) == ("ko", 0.0)


@pytest.mark.parametrize(
    ("heard", "expected", "seconds", "found"),
    [
        ({"en": 0.6, "de": 0.4}, None, 5.0, ("en", 0.6)),
        ({"en": 0.6, "de": 0.4}, "de", 5.0, ("de", 0.4)),
        ({"en": 0.92, "de": 0.08}, "de", 5.0, ("en", 0.92)),
        ({"en": 0.92, "de": 0.08}, "de", 1.0, ("de", 0.08)),
        ({"en": 0.98, "de": 0.02}, "de", 1.0, ("en", 0.98)),
        ({"en": 0.6, "de": 0.4}, "xx", 5.0, ("en", 0.6)),
    ],
    ids=["nothing expected", "a doubtful window", "a sure one", "a short one", "a short one that is sure", "not among those allowed"],
)
def test_a_window_is_in_the_expected_language_unless_it_is_sure_of_another(
    heard: dict[str, float], expected: str | None, seconds: float, found: tuple[str, float]
) -> None:
    language, probability = whisper_options.spoken_in(heard, ("en", "de"), expected, seconds)
    assert (language, probability) == (found[0], pytest.approx(found[1]))


def parts(*languages: tuple[str, float]) -> list[whisper_options.Spoken]:
    return [whisper_options.Spoken(float(at), at + 1.0, *language) for at, language in enumerate(languages)]


def test_parts_of_one_language_become_one_passage_and_a_doubtful_one_follows_the_one_before() -> None:
    found = whisper_options.passages(parts(("en", 0.99), ("en", 0.95), ("nl", 0.5), ("fr", 0.99), ("en", 0.6)))
    assert [(each.start, each.end, each.language) for each in found] == [(0, 3, "en"), (3, 5, "fr")]
    assert [each.language for each in whisper_options.passages(parts(("nl", 0.4), ("fr", 0.99), ("en", 0.99)))] == ["fr", "en"]


def test_there_are_no_passages_unless_two_parts_are_sure() -> None:
    assert whisper_options.passages(parts(("en", 0.99), ("nl", 0.5))) == []
    assert len(whisper_options.passages(parts(("en", 0.99), ("en", 0.99)))) == 1
