"""Qwen3-TTS on tiny checkpoints of its own package's classes, with random weights; and the catalog and the host, which need no package.

The package lives in an environment of its own: after `make runner NAME=qwen`, `.venv-qwen/bin/pip install pytest` and
`.venv-qwen/bin/pytest tests/runners/test_qwen.py`.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_speech import config
from open_speech.audio import Audio
from open_speech.backends import ModelEntry, Setup, SpeechOptions, Utterance, VoiceReference
from open_speech.errors import (
    BackendFailed,
    InvalidValue,
    MissingField,
    NotInstalled,
    SpeechError,
    UnknownVoice,
    UnsupportedLanguage,
    WeightsCorrupt,
)
from runners import catalog
from runners.host.device import has_cuda
from runners.qwen import LANGUAGES, PROMPTS, Qwen, most_tokens
from runners.wiring import factories as parts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
ROOT = Path(__file__).parent.parent.parent
BIG, SMALL = (next(model for model in catalog.models() if model.id == f"qwen3-tts-{size}") for size in ("1.7b", "0.6b"))
KINDS = ("custom_voice", "voice_design", "base")
TONE = Audio((0.3 * np.sin(np.arange(36_000) / 20)).astype(np.float32), 24_000)
SPOKEN = VoiceReference.of(TONE, "Hello.")
RYAN, MADE_UP, CLONED = SpeechOptions("Ryan"), SpeechOptions("Ryan", design="an old man"), SpeechOptions("Ryan", reference=SPOKEN)
HOW = dict(zip(KINDS, (RYAN, MADE_UP, CLONED), strict=True))


# What needs no package.


@pytest.mark.parametrize(("options", "chosen"), [(None, "CustomVoice"), (RYAN, "CustomVoice"), (MADE_UP, "VoiceDesign"), (CLONED, "Base")])
def test_a_request_is_spoken_by_the_checkpoint_of_its_kind(options: SpeechOptions | None, chosen: str) -> None:
    assert BIG.part_for(options).id == f"Qwen/Qwen3-TTS-12Hz-1.7B-{chosen}"


def test_a_model_can_do_what_its_checkpoints_can() -> None:
    assert (BIG.clones, BIG.designs, BIG.instructs) == (True, True, True)
    assert (SMALL.clones, SMALL.designs, SMALL.instructs) == (True, False, False)


@pytest.mark.parametrize("part", [*BIG.parts, *SMALL.parts], ids=lambda part: part.id)
def test_every_checkpoint_has_its_files_and_a_repository(part: ModelEntry) -> None:
    assert {"config.json", "model.safetensors", "speech_tokenizer/model.safetensors", "vocab.json"} <= {file.path for file in part.files}
    assert [source.repo for source in part.sources] == [part.id]


def test_a_checkpoint_can_be_named_but_is_not_listed() -> None:
    registry = parts.registry(config.Settings(), {"qwen": "process"})
    assert registry.find("Qwen/Qwen3-TTS-12Hz-1.7B-Base").clones
    assert [model.id for model in registry.models()] == ["qwen3-tts-1.7b", "qwen3-tts-0.6b"]


def test_the_setting_says_which_size_the_short_name_stands_for() -> None:
    for size in ("0.6B", "1.7B"):
        registry = parts.registry(config.load({"TTS_QWEN3_SIZE": size}), {"qwen": "process"})
        assert registry.find("qwen3-tts").id == f"qwen3-tts-{size.lower()}"


def test_a_server_without_it_says_how_to_run_it() -> None:
    with pytest.raises(NotInstalled, match="make runner NAME=qwen") as refused:
        parts.registry(config.Settings(), {}).find("qwen3-tts")
    assert "TTS_BACKENDS" in refused.value.message


def test_its_own_settings_reach_the_backend() -> None:
    settings = config.load({"TTS_QWEN3_DEVICE": "cuda:1", "TTS_QWEN3_FLASH_ATTN": "true"})
    assert parts.host_options(settings, "qwen").settings == {"tts_qwen3_device": "cuda:1", "tts_qwen3_flash_attn": True}


def test_its_environment_has_what_the_project_needs_but_for_the_hub_library() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    here = (ROOT / "runners" / "qwen-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in project["dependencies"] if line not in here] == ["huggingface_hub>=1,<3"], "add it to qwen-requirements.txt"


def test_a_text_may_take_no_more_tokens_than_it_has_sound_for() -> None:
    assert most_tokens(["Hi."]) < 100
    assert most_tokens(["Hi.", "long " * 30]) == most_tokens(["long " * 30])
    assert most_tokens(["long " * 1000]) == 2048


# The real package, on tiny checkpoints.


def tiny(folder: Path, kind: str) -> Path:
    """Write a checkpoint of `kind` as the hub has one, a megabyte of random weights."""
    torch = pytest.importorskip("torch", reason="needs the environment that `make runner NAME=qwen` makes")
    pytest.importorskip("qwen_tts", reason="needs the environment that `make runner NAME=qwen` makes")
    from qwen_tts.core import Qwen3TTSTokenizerV2Config, Qwen3TTSTokenizerV2Model
    from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration

    torch.manual_seed(0)
    shape, codes = _shape(kind), {"codebook_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "num_quantizers": 4}
    mimi = {"codebook_dim": 16, "vector_quantization_hidden_dimension": 16, "num_semantic_quantizers": 1, "num_filters": 4}
    codec = Qwen3TTSTokenizerV2Model(
        Qwen3TTSTokenizerV2Config(
            encoder_config={**codes, **heads, **mimi, "upsample_groups": 32, "sampling_rate": 24_000},
            decoder_config={**codes, **heads, "latent_dim": 32, "codebook_dim": 32, "decoder_dim": 32},
            encoder_valid_num_quantizers=4,
        )
    )
    for name, values in codec.decoder.state_dict().items():
        if "embedding_sum" in name or ("conv" in name and values.ndim > 1):  # as they are made, they are all but silent
            values.normal_(std=0.15)
    # The copy: the classes change what they are given, and what they would write they cannot read back.
    Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**copy.deepcopy(shape))).save_pretrained(folder)
    codec.save_pretrained(folder / "speech_tokenizer")
    _write(folder, shape)
    return folder


MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "assistant", "user", "<tts_pad>", "<tts_bos>", "<tts_eod>")
"""Tokens of the text beyond the 256 bytes."""


def _shape(kind: str) -> dict[str, Any]:
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    small |= {"head_dim": 16, "num_code_groups": 4}
    marks = {mark: 256 + place for place, mark in enumerate(MARKS)}
    speakers = [voice.id.lower() for voice in BIG.voices]
    tokens = ("eos_token_id", "pad_id", "bos_id", "think_id", "nothink_id", "think_bos_id", "think_eos_id")
    talker = {
        **small,
        "vocab_size": 64 + 1024,  # the last 1024 are no sounds
        "text_vocab_size": 300,
        "text_hidden_size": 32,
        "rope_scaling": {"rope_type": "default", "mrope_section": [4, 2, 2], "interleaved": True},
        **{f"codec_{name}": 70 + place for place, name in enumerate(tokens)},
        "codec_language_id": {name.lower(): 80 + place for place, name in enumerate((*LANGUAGES.values(), "beijing_dialect"))},
        "spk_id": {name: 100 + place for place, name in enumerate(speakers)} if kind == "custom_voice" else {},
        "spk_is_dialect": {name: "beijing_dialect" if name == "dylan" else False for name in speakers},
        "code_predictor_config": {**small, "vocab_size": 64},
    }
    ears = {"enc_dim": 32, "enc_channels": [32, 32, 32, 32, 96], "enc_attention_channels": 16, "enc_se_channels": 16}
    return {
        "talker_config": talker,
        "speaker_encoder_config": ears,
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_model_size": "1b7",
        "tts_model_type": kind,
        "im_start_token_id": marks["<|im_start|>"],
        "im_end_token_id": marks["<|im_end|>"],
        **{f"tts_{name}_token_id": marks[f"<tts_{mark}>"] for name, mark in (("pad", "pad"), ("bos", "bos"), ("eos", "eod"))},
    }


def _write(folder: Path, shape: dict[str, Any]) -> None:
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

    mark = {"special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    sampling = {"do_sample": True, "top_k": 50, "top_p": 1.0, "temperature": 0.9, "repetition_penalty": 1.05}
    ear = {"feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1, "sampling_rate": 24_000, "padding_value": 0.0}
    text = {"tokenizer_class": "Qwen2Tokenizer", "processor_class": "Qwen3TTSProcessor", "eos_token": MARKS[0], "pad_token": MARKS[0]}
    text["added_tokens_decoder"] = {str(256 + place): {"content": name, **mark} for place, name in enumerate(MARKS)}
    files = {
        "config.json": {**shape, "model_type": "qwen3_tts", "architectures": ["Qwen3TTSForConditionalGeneration"]},
        "generation_config.json": sampling | {f"subtalker_{name}": sampling[name] for name in ("top_k", "top_p", "temperature")},
        "preprocessor_config.json": {"processor_class": "Qwen3TTSProcessor"},
        "speech_tokenizer/configuration.json": {},
        "speech_tokenizer/preprocessor_config.json": {**ear, "padding_side": "right", "return_attention_mask": True},
        "tokenizer_config.json": {**text, "model_max_length": 4096},
        "vocab.json": {sign: place for place, sign in enumerate(bytes_to_unicode().values())},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Qwen]:
    """A loaded backend by kind; each is made once."""
    if request.param == "cuda" and not has_cuda():
        pytest.skip("needs a CUDA device")
    made: dict[str, Qwen] = {}

    def get(kind: str) -> Qwen:
        if kind not in made:
            folder = tiny(tmp_path_factory.mktemp(kind), kind)
            made[kind] = Qwen(Setup(BIG.parts[KINDS.index(kind)], folder, device=request.param, threads=1))
            made[kind].load()
        return made[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_checkpoint_speaks(checkpoint: Callable[[str], Qwen], kind: str) -> None:
    (sound,) = checkpoint(kind).synthesize("Good morning.", HOW[kind])
    assert sound.rate == BIG.sample_rate
    assert sound.samples.dtype == np.float32
    assert sound.samples.ndim == 1
    assert 0.1 < sound.seconds < 15
    assert np.abs(sound.samples).max() <= 1
    assert np.abs(sound.samples).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_spoken_together_are_one_sound_each_and_a_wrong_one_fails_alone(checkpoint: Callable[[str], Qwen], kind: str) -> None:
    texts = {"Good morning.": None, "Nuq neH.": "tlh", "And good night.": None}
    pieces = [Utterance(text, replace(HOW[kind], language=language)) for text, language in texts.items()]
    assert [type(result) for result in checkpoint(kind).synthesize_batch(pieces)] == [Audio, UnsupportedLanguage, Audio]


def test_every_speaker_of_the_catalog_speaks(checkpoint: Callable[[str], Qwen]) -> None:
    results = checkpoint("custom_voice").synthesize_batch([Utterance("Hi.", SpeechOptions(voice.id)) for voice in BIG.voices])
    assert all(isinstance(result, Audio) for result in results)


def test_every_language_of_the_catalog_is_spoken(checkpoint: Callable[[str], Qwen]) -> None:
    assert set(LANGUAGES) == set(BIG.languages)
    results = checkpoint("base").synthesize_batch(
        [Utterance("Hi.", SpeechOptions("", language=code, reference=SPOKEN)) for code in BIG.languages]
    )
    assert all(isinstance(result, Audio) for result in results)


def test_a_voice_can_be_cloned_without_knowing_what_it_says(checkpoint: Callable[[str], Qwen]) -> None:
    (sound,) = checkpoint("base").synthesize("Good morning.", SpeechOptions("", reference=VoiceReference(SPOKEN.pcm)))
    assert sound.seconds > 0.1


def test_one_description_gives_the_same_speech_again(checkpoint: Callable[[str], Qwen]) -> None:
    design = checkpoint("voice_design")
    once, again = (next(design.synthesize("Good morning.", MADE_UP)) for _ in range(2))
    np.testing.assert_array_equal(once.samples, again.samples)
    many = design.synthesize_batch([Utterance("Hi.", SpeechOptions("", design=name)) for name in ("an old man", "a child", "an old man")])
    assert all(isinstance(result, Audio) for result in many)


def test_a_recording_is_heard_once_and_the_last_few_are_remembered(checkpoint: Callable[[str], Qwen]) -> None:
    base = checkpoint("base")
    prompts = [base._prompt(SPOKEN), base._prompt(VoiceReference(bytes(bytearray(SPOKEN.pcm)), "Hello."))]
    assert prompts[0] is prompts[1]
    other = base._prompt(VoiceReference(SPOKEN.pcm, "Other words."))
    assert other is not prompts[0]
    for count in range(PROMPTS - 1):
        base._prompt(VoiceReference(SPOKEN.pcm, f"Words, {count}."))
        base._prompt(SPOKEN)
    assert len(base._prompts) == PROMPTS
    assert base._prompt(SPOKEN) is prompts[0]
    assert base._prompt(VoiceReference(SPOKEN.pcm, "Other words.")) is not other


@pytest.mark.parametrize(
    ("kind", "text", "options", "error", "param"),
    [
        ("custom_voice", "Hi.", SpeechOptions("nobody"), UnknownVoice, "voice"),
        ("custom_voice", "Hi.", SpeechOptions("Ryan", language="tlh"), UnsupportedLanguage, "language"),
        ("voice_design", "Hi.", SpeechOptions(""), MissingField, "voice_design"),
        ("base", "Hi.", SpeechOptions(""), MissingField, "reference_audio"),
        ("base", "Hi.", SpeechOptions("", reference=VoiceReference(SPOKEN.pcm[:20_000])), InvalidValue, "reference_audio"),
    ],
)
def test_what_cannot_be_spoken_is_refused_at_the_call(
    checkpoint: Callable[[str], Qwen], kind: str, text: str, options: SpeechOptions, error: type[SpeechError], param: str
) -> None:
    with pytest.raises(error) as refused:
        checkpoint(kind).synthesize(text, options)
    assert refused.value.param == param


def test_what_is_no_checkpoint_is_named(checkpoint: Callable[[str], Qwen], tmp_path: Path) -> None:
    checkpoint("base")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsCorrupt, match="Qwen/Qwen3-TTS-12Hz-1.7B-Base"):
        Qwen(Setup(BIG.parts[2], tmp_path, device="cpu")).load()


def test_flash_attention_without_its_package_is_named(checkpoint: Callable[[str], Qwen], tmp_path: Path) -> None:
    checkpoint("base")
    own = {"tts_qwen3_device": "cuda:0", "tts_qwen3_flash_attn": True}
    with pytest.raises(BackendFailed, match="flash-attn"):
        Qwen(Setup(BIG.parts[2], tiny(tmp_path, "base"), settings=own)).load()
