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


def test_installed_is_found_out_without_importing() -> None:
    assert installed(BY_NAME["tones-tts"])
    absent = BackendEntry("x", Task.TTS, "x:X", ("surely_no_such_module",), "x", "MIT")
    assert not installed(absent)
    assert not installed(replace(absent, requires=("surely_no_such_package.module",)))
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
    wanted = {f"{entry.extra}-{code}" for entry in BACKENDS for code in entry.language_modules}
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
