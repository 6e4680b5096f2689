"""XTTS on a tiny checkpoint of its own package's classes, with random weights; and the catalog, which needs no package.

The package lives in an environment of its own: after `make runner NAME=xtts`, `.venv-xtts/bin/pip install pytest` and
`.venv-xtts/bin/pytest tests/runners/test_xtts.py`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from open_speech import config
from open_speech.audio import Audio
from open_speech.backends import Setup, SpeechOptions, VoiceReference
from open_speech.errors import (
    InvalidValue,
    NotInstalled,
    SpeechError,
    TextTooLong,
    UnknownVoice,
    UnsupportedLanguage,
    WeightsCorrupt,
)
from runners import catalog
from runners.host.device import has_cuda
from runners.wiring import factories as parts
from runners.xtts import CHARS, PROMPTS, Xtts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
ROOT = Path(__file__).parent.parent.parent
MODEL = next(model for model in catalog.models() if model.id == "xtts-v2")
BACKEND = next(entry for entry in catalog.BACKENDS if entry.name == "xtts")
TONE = Audio((0.3 * np.sin(np.arange(36_000) / 20)).astype(np.float32), 24_000)
RECORDED = VoiceReference.of(TONE)
CLARIBEL, CLONED = SpeechOptions("Claribel_Dervla"), SpeechOptions("Claribel_Dervla", reference=RECORDED)
NEEDS = "needs the environment that `make runner NAME=xtts` makes"


# What needs no package.


@pytest.mark.parametrize("name", ["xtts_v2", "xtts", "coqui/XTTS-v2", "tts_models/multilingual/multi-dataset/xtts_v2"])
def test_it_has_the_names_by_which_other_servers_know_it(name: str) -> None:
    assert parts.registry(config.Settings(), {"xtts": "process"}).find(name).id == "xtts-v2"


def test_a_server_without_it_says_how_to_get_it() -> None:
    with pytest.raises(NotInstalled, match=r"open-speech\[xtts\]") as refused:
        parts.registry(config.Settings(), {}).find("xtts_v2")
    assert "TTS_BACKENDS" in refused.value.message


def test_its_speakers_have_different_names_and_openais_voices_are_among_them() -> None:
    names = [voice.id for voice in MODEL.voices]
    assert len(names) == len(set(names)) == 58
    assert {voice.name.replace(" ", "_") for voice in MODEL.voices} == set(names)
    assert set(BACKEND.openai_voices.values()) <= set(names)


def test_its_environment_pins_the_large_packages_within_the_ranges_of_the_extra() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["xtts"]
    lines = (ROOT / "runners" / "xtts-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert "-e .[xtts]" in lines
    pins = dict(line.split("==") for line in lines if "==" in line)
    ranges = {f"{line.name}[{','.join(sorted(line.extras))}]".removesuffix("[]"): line.specifier for line in map(Requirement, extra)}
    assert pins.keys() == ranges.keys() - {"six"}
    assert [name for name, pin in pins.items() if not ranges[name].contains(pin)] == []


# The real package, on a tiny checkpoint.


def tiny(folder: Path, *, old: bool = False) -> Path:
    """Write a checkpoint as the hub has one, with random weights; an `old` one has the configuration as an object, as XTTS-v2 has."""
    torch = pytest.importorskip("torch", reason=NEEDS)
    pytest.importorskip("TTS", reason=NEEDS)
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models import xtts

    torch.manual_seed(0)
    _write_vocabulary(folder / "vocab.json")
    settings = XttsConfig(
        model_args=XttsArgs(
            gpt_layers=2, gpt_n_model_channels=64, gpt_n_heads=2, gpt_max_audio_tokens=60, gpt_max_text_tokens=120,
            gpt_max_prompt_tokens=40,
            gpt_num_audio_tokens=66, gpt_start_audio_token=64, gpt_stop_audio_token=65, gpt_use_perceiver_resampler=True,
            gpt_number_text_tokens=400, gpt_start_text_token=1, gpt_stop_text_token=2, decoder_input_dim=64,
        )
    )  # fmt: skip
    settings.save_json(str(folder / "config.json"))
    model = xtts.Xtts(settings)
    model.tokenizer = xtts.VoiceBpeTokenizer(vocab_file=folder / "vocab.json")
    model.init_models()
    for name, values in model.hifigan_decoder.waveform_decoder.state_dict().items():
        if "weight" in name and values.ndim > 1:  # as they are made, they are all but silent
            values.normal_(std=0.1)
    model.gpt.init_gpt_for_inference()
    weights = {
        name: values for name, values in model.state_dict().items() if not name.startswith("gpt.gpt_inference") and "gpt.wte" not in name
    }
    if old:
        with xtts._legacy_safe_globals():
            torch.save({"model": weights, "config": settings}, folder / "model.pth")
    else:
        torch.save({"model": weights, "config": settings.to_dict()}, folder / "model.pth")
    speakers = {
        voice.name: {"gpt_cond_latents": torch.randn(1, 32, 64), "speaker_embedding": torch.randn(1, 512, 1)} for voice in MODEL.voices
    }
    torch.save(speakers, folder / "speakers_xtts.pth")
    return folder


def _write_vocabulary(path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    marks = ["[UNK]", "[START]", "[STOP]", "[SPACE]", *(f"[{code}]" for code in (*MODEL.languages, "zh-cn"))]
    letters = [
        chr(code) for block in ((33, 127), (161, 383), (1024, 1104), (1536, 1616), (2304, 2400), (12_353, 12_440)) for code in range(*block)
    ]
    words = {token: place for place, token in enumerate(dict.fromkeys((*marks, *letters)))}
    tokenizer = Tokenizer(models.BPE(words, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(marks)
    tokenizer.save(str(path))


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def spoken_by(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Xtts:
    """A loaded backend."""
    if request.param == "cuda" and not has_cuda():
        pytest.skip("needs a CUDA device")
    backend = Xtts(Setup(MODEL, tiny(tmp_path_factory.mktemp("xtts")), device=request.param, threads=1))
    backend.load()
    return backend


def joined(parts: list[Audio]) -> Any:
    return np.concatenate([part.samples for part in parts])


@pytest.mark.parametrize("options", [CLARIBEL, CLONED], ids=["speaker", "cloned"])
def test_a_text_is_spoken_in_parts_at_the_rate_of_the_catalog(spoken_by: Xtts, options: SpeechOptions) -> None:
    heard = list(spoken_by.synthesize("Good morning, and a good day to all of you.", options))
    assert {part.rate for part in heard} == {MODEL.sample_rate}
    samples = joined(heard)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert 0.1 < len(samples) / 24_000 < 30
    assert 0.01 < np.abs(samples).max() <= 1


def test_the_first_part_is_there_before_the_rest_is_generated(spoken_by: Xtts) -> None:
    import torch

    torch.manual_seed(3)
    stream = spoken_by.synthesize("Good morning, and a good day to all of you.", CLARIBEL)
    first = next(stream)
    rest = list(stream)
    assert 0 < first.seconds <= 1.1  # 20 tokens of 46 ms
    assert rest


def test_a_speech_that_is_abandoned_makes_room_for_the_next(spoken_by: Xtts) -> None:
    stream = spoken_by.synthesize("Good morning, and a good day to all of you.", CLARIBEL)
    next(stream)
    stream.close()
    assert list(spoken_by.synthesize("Hi.", CLARIBEL))


@pytest.mark.parametrize("language", MODEL.languages)
def test_every_language_of_the_catalog_is_spoken(spoken_by: Xtts, language: str) -> None:
    texts = {"ja": "おはよう。", "zh": "早上好。", "ko": "안녕하세요.", "ar": "صباح الخير.", "hi": "नमस्ते।", "ru": "Доброе утро."}
    assert list(spoken_by.synthesize(texts.get(language, "Good morning."), SpeechOptions("Gracie_Wise", language=language)))


def test_every_speaker_of_the_catalog_is_known(spoken_by: Xtts) -> None:
    for voice in MODEL.voices:
        spoken_by.synthesize("Hi.", SpeechOptions(voice.id)).close()


def test_a_text_of_a_language_with_shorter_limits_is_split(spoken_by: Xtts) -> None:
    texts: list[str] = []
    whole = spoken_by._model.inference_stream
    try:
        spoken_by._model.inference_stream = lambda text, *rest, **more: texts.append(text) or whole(text, *rest, **more)
        list(spoken_by.synthesize("早上好，大家好。" * 25, SpeechOptions("Gracie_Wise", language="zh")))
    finally:
        del spoken_by._model.inference_stream
    assert "".join(texts).replace(" ", "") == "早上好，大家好。" * 25  # sentences are joined by a space
    assert max(map(len, texts)) <= CHARS["zh"]


def test_a_recording_is_heard_once_and_the_last_few_are_remembered(spoken_by: Xtts) -> None:
    first = spoken_by._prompt(RECORDED)
    assert spoken_by._prompt(VoiceReference(bytes(bytearray(RECORDED.pcm)), "Hello.")) is first
    for count in range(PROMPTS):
        spoken_by._prompt(VoiceReference(RECORDED.pcm[2 * count + 2 :]))
    assert len(spoken_by._voices) == PROMPTS
    assert spoken_by._prompt(RECORDED) is not first


def test_two_recordings_are_two_voices(spoken_by: Xtts) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 36_000).astype(np.float32)
    (latents, speaker), (others, other) = spoken_by._prompt(RECORDED), spoken_by._prompt(VoiceReference.of(Audio(noise, 24_000)))
    assert latents.shape == others.shape
    assert not np.allclose(latents.cpu(), others.cpu())
    assert not np.allclose(speaker.cpu(), other.cpu())


@pytest.mark.parametrize(
    ("text", "options", "error", "param"),
    [
        ("Hi.", SpeechOptions("nobody"), UnknownVoice, "voice"),
        ("Hi.", SpeechOptions("Gracie_Wise", language="sw"), UnsupportedLanguage, "language"),
        ("word " * 100, CLARIBEL, TextTooLong, "input"),
        ("Hi.", SpeechOptions("", reference=VoiceReference(RECORDED.pcm[:20_000])), InvalidValue, "reference_audio"),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_the_call(
    spoken_by: Xtts, text: str, options: SpeechOptions, error: type[SpeechError], param: str
) -> None:
    with pytest.raises(error) as refused:
        spoken_by.synthesize(text, options)
    assert refused.value.param == param


def test_an_old_checkpoint_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = tiny(tmp_path, old=True)
    before = hashlib.sha256((folder / "model.pth").read_bytes()).digest()
    backend = Xtts(Setup(MODEL, folder, device="cpu", threads=1))
    backend.load()
    assert list(backend.synthesize("Hi.", CLARIBEL))
    assert hashlib.sha256((folder / "model.pth").read_bytes()).digest() == before


@pytest.mark.parametrize("broken", ["config.json", "model.pth", "vocab.json"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, broken: str) -> None:
    folder = tiny(tmp_path)
    (folder / broken).write_text("{}", encoding="utf-8")
    with pytest.raises(WeightsCorrupt, match="xtts-v2"):
        Xtts(Setup(MODEL, folder, device="cpu")).load()


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    torch = pytest.importorskip("torch", reason=NEEDS)
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return (exec, (f"open({str(touched)!r}, 'w').close()",))

    torch.save({"model": {"weight": Evil()}}, folder / "model.pth")
    with pytest.raises(WeightsCorrupt):
        Xtts(Setup(MODEL, folder, device="cpu")).load()
    assert not touched.exists()
