"""The catalog is consistent with itself."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.model_files import ArchiveSource
from open_speech.plugins.checks import model_faults
from open_speech.registry import OPENAI_VOICES, Defaults, Registry
from open_speech.weights import Store
from runners.catalog import BACKENDS, MODELS_FOLDER, installed, own_models, with_needs

BY_NAME = {entry.name: entry for entry in BACKENDS}
BY_ID = {model.id: model for model in own_models()}


def test_names_and_ids_are_unique() -> None:
    assert len(BY_NAME) == len(BACKENDS)
    assert len(BY_ID) == len(own_models())


@pytest.mark.parametrize("model", own_models(), ids=lambda model: model.id)
def test_a_model_fits_its_backend_and_itself(model: ModelEntry, tmp_path: Path) -> None:
    assert list(model_faults(model, BY_NAME[model.backend])) == []
    assert Store(tmp_path, offline=True).folder(model).is_relative_to(tmp_path)


def test_an_alias_of_the_catalog_belongs_to_one_model_of_a_backend() -> None:
    named = [(model.backend, alias.lower()) for model in own_models() for alias in model.aliases]
    assert len(named) == len(set(named))


def test_no_models_folder_lies_inside_another() -> None:
    assert not [(a, b) for a in BY_ID for b in BY_ID if b.startswith(f"{a}/")]


def test_the_default_models_can_be_had_without_a_hub() -> None:
    for name in ("Systran/faster-whisper-base", "kokoro", "piper/en_US-joe-medium"):
        whole = {file.path for file in BY_ID[name].files}
        assert all(file.sha256 and file.size for file in BY_ID[name].files)
        assert any(isinstance(source, ArchiveSource) and set(source.members) == whole for source in BY_ID[name].sources)


def test_kokoros_voices_speak_the_language_and_gender_of_their_prefix() -> None:
    languages = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr-FR", "h": "hi", "i": "it", "j": "ja", "p": "pt-BR", "z": "zh"}
    voices = BY_ID["kokoro"].voices
    assert len(voices) == 54
    for voice in voices:
        assert voice.language == languages[voice.id[0]]
        assert voice.gender == {"f": "female", "m": "male"}[voice.id[1]]
    assert {f"voices/{voice.id}.bin" for voice in voices} == {file.path for file in BY_ID["kokoro"].files} - {"kokoro-v1.0.int8.onnx"}


def test_every_openai_voice_is_a_kokoro_voice() -> None:
    mapped = BY_NAME["kokoro"].openai_voices
    assert set(mapped) == set(OPENAI_VOICES)
    assert set(mapped.values()) <= {voice.id for voice in BY_ID["kokoro"].voices}
    assert len(set(mapped.values())) == len(mapped)


def test_whisper_states_its_languages_and_what_it_translates() -> None:
    base, large, distil = (BY_ID[f"Systran/faster-{name}"] for name in ("whisper-base", "whisper-large-v3", "distil-whisper-large-v3"))
    assert len(base.languages) == len(set(base.languages)) == 99
    assert set(large.languages) == {*base.languages, "yue"}
    assert base.translates and distil.languages == ("en",) and not distil.translates


SIZES = ["tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en", "large-v1", "large-v2", "large-v3", "large"]
TURBO = ["turbo", "large-v3-turbo", "whisper-turbo", "openai/whisper-large-v3-turbo"]
DISTILLED = ["small.en", "medium.en", "large-v2", "large-v3", "large-v3.5"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *((f"{prefix}{size}", f"Systran/faster-whisper-{size}") for size in SIZES[:-1] for prefix in ("", "whisper-", "openai/whisper-")),
        *((name, "deepdml/faster-whisper-large-v3-turbo-ct2") for name in TURBO),
        *(
            (f"{prefix}{size}", f"Systran/faster-distil-whisper-{size}")
            for size in DISTILLED[:-1]
            for prefix in ("distil-", "distil-whisper-")
        ),
        ("large", "Systran/faster-whisper-large-v3"),
        ("distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2"),
    ],
)
def test_whispers_sizes_are_names_of_its_models(name: str, model: str) -> None:
    registry = Registry(BACKENDS, own_models(), {"faster-whisper": "process"}, Defaults("whisper-large-v3-turbo", "kokoro", "af_heart"))
    assert registry.find(name, Task.STT).id == model
    assert registry.listed(name).id == model


def test_whispers_sizes_are_names_of_the_models_of_its_own_package_if_that_is_served() -> None:
    registry = Registry(BACKENDS, own_models(), {"openai-whisper": "process"}, Defaults("base", "kokoro", "af_heart"))
    assert [registry.find(name).id for name in ("whisper-1", "base", "turbo")] == [
        "openai-whisper/base", "openai-whisper/base", "openai-whisper/turbo",
    ]  # fmt: skip


def test_installed_is_found_out_without_importing() -> None:
    assert installed(BY_NAME["tones-tts"])
    absent = BackendEntry("x", Task.TTS, "x:X", ("surely_no_such_module",), "x", "MIT")
    assert not installed(absent)
    assert not installed(replace(absent, requires=("surely_no_such_package.module",)))
    assert not installed(replace(absent, requires=(), requires_any=("surely_no_such_module", "nor_this")))
    assert installed(replace(absent, requires=(), requires_any=("surely_no_such_module", "json")))
    assert installed(replace(absent, requires=(), programs=("sh",)))
    assert not installed(replace(absent, requires=(), programs=("sh", "surely-no-such-program")))


def test_every_file_of_models_is_read() -> None:
    runners = {entry.module.rpartition(".")[2] for entry in BACKENDS}
    assert {path.stem for path in MODELS_FOLDER.glob("*.toml")} == runners


def test_voices_whose_language_lacks_a_package_name_the_extra_that_brings_it() -> None:
    entry = replace(BY_NAME["kokoro"], language_modules={"ja": ("json", "no_such_module"), "zh": ("json",)})
    needs = {voice.language[:2]: voice.needs for voice in with_needs(BY_ID["kokoro"], entry).voices}
    assert needs["ja"] == "pip install 'open-speech[kokoro-ja]'"
    assert not any(command for language, command in needs.items() if language != "ja")


def test_every_extra_for_a_language_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(entry.language_extras.keys() == entry.language_modules.keys() for entry in BACKENDS)
    wanted = {extra for entry in BACKENDS for extra in entry.language_extras.values()}
    assert wanted and wanted <= project["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("nvidia/parakeet-tdt-0.6b-v3", "istupakov/parakeet-tdt-0.6b-v3-onnx"),
        ("nvidia/parakeet-tdt-0.6b-v2", "istupakov/parakeet-tdt-0.6b-v2-onnx"),
        ("nvidia/canary-1b-v2", "istupakov/canary-1b-v2-onnx"),
        ("nvidia/canary-180m-flash", "istupakov/canary-180m-flash-onnx"),
        ("nvidia/parakeet-tdt-1.1b", "nvidia/parakeet-tdt-1.1b"),
    ],
)
def test_nvidias_names_are_names_of_their_exports(name: str, model: str) -> None:
    registry = Registry(BACKENDS, own_models(), {"onnx-asr": "process"}, Defaults("", "", ""))
    assert registry.find(name, Task.STT).id == model
